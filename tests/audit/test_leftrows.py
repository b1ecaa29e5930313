"""What was sealed and stands in a hot file still, as a crash leaves it, is compared with its contents; what was erased since is counted."""

import shutil
from pathlib import Path

import duckdb
import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.ranges import Ranges
from ledger.core.report import Kind
from ledger.log.keeping import Removes
from ledger.log.log import Log
from ledger.log.removal import retire
from ledger.upkeep.compact import compact
from tests.upkeep.holding import ANYBODY, filled


@pytest.fixture
def left(data: Path, tmp_path: Path) -> Path:
    """A stopped log, sealed and compacted, and the hot file that it was sealed of, as it was."""
    filled(data, hot=20).close()
    (hot,) = (data / "hot").glob("*.duckdb")
    shutil.copy(hot, tmp_path / "kept")
    log = Log.open(data)
    log.seal()
    log.erase([(3, "request.text")], **ANYBODY)
    retire(log, "old", Removes.CONTENTS, Ranges([(10, 12)]))
    compact(log)
    log.close()
    assert not hot.exists()
    shutil.copy(tmp_path / "kept", hot)
    return hot


def test_what_was_erased_and_stands_there_still_is_counted_and_no_finding(data: Path, left: Path):
    report = verify_folder(data)
    assert (report.findings, report.waiting) == ((), 3)
    left.unlink()
    assert verify_folder(data).waiting == 0


@pytest.mark.parametrize("of", ["entries.contents", "another entry"])
def test_a_content_that_stands_there_altered_is_found(data: Path, left: Path, of: str):
    with duckdb.connect(str(left)) as connection:
        other = "SELECT contents FROM entries WHERE seq = 6"
        text = f"({other})" if of == "another entry" else "replace(contents, 'TEXT-00005', 'TEXT-99999')"
        connection.execute(f"UPDATE entries SET contents = {text} WHERE seq = 5")
    findings = verify_folder(data).findings
    assert findings
    assert {(finding.kind, finding.seq) for finding in findings} == {(Kind.ALTERED, 5)}
    assert f"hot/{left.name}, contents of entry 5, request.text" in {finding.where for finding in findings}
