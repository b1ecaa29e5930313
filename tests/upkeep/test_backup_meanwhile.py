"""What is erased at any moment of a backup leaves one that restores: its reason is in it, or nothing of it is gone."""

from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder
from ledger.log import sealing
from ledger.log.log import Log
from ledger.storage.build import Build
from ledger.upkeep import backup as module
from ledger.upkeep.backup import Made
from ledger.upkeep.backupset import open_backup
from ledger.upkeep.compact import compact
from ledger.upkeep.restore import restore
from tests.upkeep.conftest import save

PLACES = [(3, "request.text"), (4, "request.user")]


def restores(made: Made, tmp_path: Path) -> None:
    assert verify_folder(made.folder).findings == ()
    backup = open_backup(made.folder)
    assert restore(backup, tmp_path / "back", key=tmp_path / "data" / "log.key").size == made.size


def test_an_erasure_while_the_backups_own_seal_runs(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Meanwhile(Build):
        def run(self, rows):
            log.erase(PLACES, by="token:dpo", ground="asked")
            return super().run(rows)

    monkeypatch.setattr(sealing, "Build", Meanwhile)
    made = save(log, tmp_path / "set")
    assert made.size == 11, "the entry that says so is not in it"
    restores(made, tmp_path)


def test_an_erasure_and_a_compaction_of_what_was_just_sealed_while_it_is_copied(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real, done = module._Attempt._others, []

    def meanwhile(self, end, *, with_key):
        if not done:
            done.append(log.erase(PLACES, by="token:dpo", ground="asked"))
            compact(log)
        return real(self, end, with_key=with_key)

    monkeypatch.setattr(module._Attempt, "_others", meanwhile)
    made = save(log, tmp_path / "set")
    assert made.size == 12, "the entry that says so is in it"
    restores(made, tmp_path)
