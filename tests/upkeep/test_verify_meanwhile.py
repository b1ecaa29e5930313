"""A verification of a running log goes on while something is removed from what it has not read yet."""

from pathlib import Path

from ledger.audit.fsck import verify_live
from ledger.core.ranges import Ranges
from ledger.log.keeping import Removes
from ledger.log.removal import retire
from ledger.upkeep.compact import compact
from tests.upkeep.holding import ANYBODY, filled

BEYOND_THE_FIRST_STRETCH = 2_060


def test_what_is_removed_while_a_log_is_verified_is_explained_by_what_the_log_said_since(data: Path):
    log = filled(data, 2_100)
    read: list[int] = []

    def remove(done: int, _: int) -> None:
        if not read:
            first = BEYOND_THE_FIRST_STRETCH
            log.erase([(first, "request.text"), (first + 1, "request.user")], **ANYBODY)
            retire(log, "old", Removes.CONTENTS, Ranges([(first + 2, first + 4)]))
            retire(log, "old", Removes.ENTRIES, Ranges([(first + 4, first + 8)]))
            compact(log)
        read.append(done)

    report = verify_live(log, progress=remove)
    assert len(read) > 1, "some was read before, and some after"
    assert report.findings == ()
    assert report.retired_entries == 4
    assert verify_live(log).findings == ()
    log.close()
