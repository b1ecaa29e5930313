"""An export verifies offline, and everything in it that was altered is found."""

import json
import shutil
from pathlib import Path

import pytest

from ledger.client.export import export_log
from ledger.client.sources import FolderSource
from ledger.client.verify import verify_source
from ledger.core.errors import Code, LedgerError
from ledger.core.note import VerifierKey, parse_vkey
from ledger.core.report import Report
from ledger.core.tiles import parse_tile_path
from ledger.log.log import Log
from tests.log.conftest import ORIGIN, post, record

SIZE = 2 * 2048 + 300


class LogSource:
    """A log in this process, by the same paths as over HTTP."""

    def __init__(self, log: Log) -> None:
        self.log, self.note = log, log.head().note

    def checkpoint(self) -> bytes:
        return self.note

    def tile(self, path: str) -> bytes | None:
        level, n, width = parse_tile_path(path)
        return self.log.bundle(n, width) if level == "entries" else self.log.tile(level, n, width)

    def cosigned(self) -> bytes | None:
        return None

    def verifier_key(self) -> VerifierKey:
        return parse_vkey(self.log.vkey)

    def key_proof(self) -> bytes | None:
        return self.log.key_proof()


class Exported:
    """An export, and what was kept of the log elsewhere."""

    def __init__(self, folder: Path) -> None:
        data = folder / "data"
        Log.create(data, ORIGIN)
        log = Log.open(data)
        self.small, self.folder = folder / "small", folder / "export"
        post(log, *[record(number) for number in range(1, 300)])
        self.vkey, self.old = parse_vkey(log.vkey), log.head().note
        export_log(LogSource(log), self.small)
        post(log, *[record(number) for number in range(300, SIZE)])
        self.receipt = log.receipt(77)
        self.seen: list[tuple[int, int]] = []
        export_log(LogSource(log), self.folder, lambda *at: self.seen.append(at))
        shutil.copytree(self.small, folder / "grown")
        self.grown = folder / "grown"
        export_log(LogSource(log), self.grown)
        log.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def folder(made: Exported, tmp_path: Path) -> Path:
    shutil.copytree(made.folder, tmp_path / "copy")
    return tmp_path / "copy"


def verified(made: Exported, folder: Path, **kept) -> Report:
    return verify_source(FolderSource(folder), vkey=made.vkey, **kept)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def found(report: Report) -> list[tuple[str, int | None]]:
    return [(str(finding.kind), finding.seq) for finding in report.findings]


def test_an_export_verifies_offline_against_what_was_kept(made: Exported):
    report = verified(made, made.folder, pins=[made.old], receipts=[made.receipt])
    assert report.findings == ()
    assert report.verdict == f"verified and anchored up to {SIZE}"
    assert made.seen[-1][0] == made.seen[-1][1]
    assert FolderSource(made.folder).verifier_key() == made.vkey


def test_an_export_that_was_brought_up_to_date_equals_a_new_one(made: Exported):
    assert verified(made, made.grown).findings == ()
    new = {p.relative_to(made.folder): p.read_bytes() for p in made.folder.rglob("*") if p.is_file()}
    grown = {p.relative_to(made.grown): p.read_bytes() for p in made.grown.rglob("*") if p.is_file()}
    assert new.items() <= grown.items()


def test_a_wider_tile_stands_in_for_a_partial_one(made: Exported, folder: Path):
    """A log may drop partial tiles once they are full (tlog-tiles): an old checkpoint still verifies."""
    shutil.copy(made.small / "checkpoint", folder / "checkpoint")
    shutil.copytree(made.small / "tile/1", folder / "tile/1", dirs_exist_ok=True)
    report = verified(made, folder)
    assert (report.size, report.findings) == (300, ())


def test_an_export_says_only_what_its_files_say(made: Exported, folder: Path):
    report = verify_source(FolderSource(folder), vkey=made.vkey, own_key=True)
    assert report.verdict == "consistent with itself, not anchored"
    assert report.own_key


@pytest.mark.parametrize(("n", "at"), [("000", 5), ("000", 40), ("001", 70_000), ("017.p/44", 300)])
def test_a_byte_of_a_bundle_is_found(made: Exported, folder: Path, n: str, at: int):
    flip(folder / f"tile/entries/{n}", at)
    report = verified(made, folder)
    assert {finding.kind for finding in report.findings} == {"altered"}
    first = int(n[:3]) * 256
    assert first <= report.good_up_to < first + 256


@pytest.mark.parametrize(("path", "seq"), [("tile/0/000", 3), ("tile/0/007", 7 * 256 + 3)])
def test_a_byte_of_a_tile_of_leaf_hashes_is_found(made: Exported, folder: Path, path: str, seq: int):
    flip(folder / path, 3 * 32)
    assert found(verified(made, folder)) == [("altered", seq)]


def test_a_byte_of_an_upper_tile_is_found_and_puts_no_entry_in_doubt(made: Exported, folder: Path):
    flip(folder / "tile/1/000.p/17", 100)
    report = verified(made, folder)
    assert found(report) == [("altered", None)]
    assert report.findings[0].where == "tile/1/000.p/17"
    assert report.good_up_to == SIZE


@pytest.mark.parametrize("path", ["tile/0/003", "tile/1/000.p/17"])
def test_a_missing_tile_is_named_though_its_hashes_follow(made: Exported, folder: Path, path: str):
    (folder / path).unlink()
    report = verified(made, folder)
    assert [(str(f.kind), f.where) for f in report.findings] == [("missing", path)]


def test_a_missing_bundle_is_missing_entries(made: Exported, folder: Path):
    (folder / "tile/entries/009").unlink()
    report = verified(made, folder)
    assert found(report)[0] == ("missing", 9 * 256)
    assert "entries 2304 to 2559" in report.findings[0].where


def test_the_length_of_tiles_and_bundles_is_checked(made: Exported, folder: Path):
    for path in ("tile/0/002", "tile/1/000.p/17", "tile/entries/004"):
        (folder / path).write_bytes((folder / path).read_bytes()[:-1])
    wheres = {finding.where: str(finding.kind) for finding in verified(made, folder).findings}
    assert wheres["tile/0/002"] == wheres["tile/entries/004"] == "altered"


def test_any_byte_of_the_checkpoint_is_found(made: Exported, folder: Path):
    for at in range(0, len((folder / "checkpoint").read_bytes()), 7):
        flip(folder / "checkpoint", at)
        report = verified(made, folder)
        assert report.verdict == "findings"
        assert {str(finding.kind) for finding in report.findings} <= {"altered", "missing", "unverifiable"}, (
            at
        )
        flip(folder / "checkpoint", at)


def test_a_claimed_size_without_entries_does_not_keep_the_verifier_busy(made: Exported, folder: Path):
    note = (
        (folder / "checkpoint").read_text(encoding="utf-8").replace(f"\n{SIZE}\n", "\n4611686018427387904\n")
    )
    (folder / "checkpoint").write_text(note, encoding="utf-8")
    report = verified(made, folder)
    assert {"missing", "altered"} <= {str(finding.kind) for finding in report.findings}


def test_an_older_export_is_rolled_back_against_what_was_kept(made: Exported):
    report = verified(made, made.small, receipts=[made.receipt])
    assert found(report) == [("rolled-back", 300)]


def test_a_folder_without_a_checkpoint_is_no_export(tmp_path: Path):
    with pytest.raises(LedgerError) as caught:
        FolderSource(tmp_path).checkpoint()
    assert caught.value.code == Code.NOT_FOUND


def test_an_export_does_not_overwrite_another_log_or_a_newer_export(
    made: Exported, folder: Path, tmp_path: Path
):
    Log.create(tmp_path / "other", "ledger.example/other")
    log = Log.open(tmp_path / "other")
    for source in (LogSource(log), FolderSource(made.small)):
        with pytest.raises(LedgerError) as caught:
            export_log(source, folder)
        assert caught.value.code == Code.LOG_EXISTS
    log.close()


def test_log_json_without_a_key_is_refused_and_its_absence_is_not(folder: Path):
    about = json.loads((folder / "log.json").read_text())
    assert about["origin"] == ORIGIN
    for text in ("", "[]", "{}", '{"verifier_key": 3}'):
        (folder / "log.json").write_text(text)
        with pytest.raises(LedgerError) as caught:
            FolderSource(folder).verifier_key()
        assert caught.value.code == Code.MALFORMED_VERIFIER_KEY
    (folder / "log.json").unlink()
    assert FolderSource(folder).verifier_key() is None
