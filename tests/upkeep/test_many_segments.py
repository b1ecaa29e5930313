"""A log of more than a hundred segments under a low limit of open files: what takes years to grow, made small."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.log.log import Log
from ledger.storage.build import Worker
from ledger.storage.layout import KEY, segment_folders
from ledger.storage.making import Job, Steps, check_rows, write_rows
from ledger.storage.opened import OPEN_FILES, FileClosed, Opened, Reopened, opened, raise_limit
from ledger.upkeep.backupset import open_backup
from ledger.upkeep.load import load
from ledger.upkeep.restore import restore
from ledger.upkeep.transfer import dump
from tests.faults.server import ROOT
from tests.log.conftest import ORIGIN, post, record
from tests.upkeep.conftest import save

SEGMENTS = 150
FILES = 110  # of the process that reads them: a third of what they consist of


def in_this_process(_worker: Worker, asked: dict, rows) -> dict:
    """A process for each of hundreds of segments takes minutes; what it does is the same here."""
    job = Job(
        Path(asked["folder"]),
        asked["start"],
        asked["end"],
        asked["origin"],
        asked["checkpoint"].encode(),
        [bytes.fromhex(digest) for digest in asked["before"]],
        None if asked["frontier"] is None else [bytes.fromhex(node) for node in asked["frontier"]],
    )
    return json.loads(json.dumps(check_rows(job, write_rows(job, rows, Steps()), Steps()))) | {"seconds": {}}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The log goes through a dump: that cuts segments as short as one likes, without a hot file for each."""
    made, folder = tmp_path / "made", tmp_path / "data"
    Log.create(made, ORIGIN)
    log = Log.open(made)
    for number in range(SEGMENTS):
        post(log, record(number))
    dump(log, tmp_path / "dump")
    log.close()
    monkeypatch.setattr(Worker, "work", in_this_process)
    load(tmp_path / "dump", folder, key=made / KEY, sealed=True, entries_per_file=1)
    assert len(segment_folders(folder)) == SEGMENTS + 1
    return folder


@pytest.mark.soak
def test_more_segments_than_files_may_be_open_are_read_backed_up_and_restored(data):
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(data)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"rows": SEGMENTS + 1, "existing": SEGMENTS, "restored": SEGMENTS + 1}


def main(data: Path) -> None:
    log = Log.open(data, accept_missing_anchor=True)
    try:
        size = log.head().size
        rows = sum(batch.num_rows for batch in log.rows(0, size))
        again = [result for n in range(SEGMENTS) for result in post(log, record(n))]
        assert log.head().size == size
        made = save(log, data.parent / "set")
    finally:
        log.close()
    assert len(opened._order) <= OPEN_FILES
    to = data.parent / "restored"
    restored = restore(open_backup(made.folder), to, key=data / KEY)
    print(json.dumps({"rows": rows, "existing": sum(r.existing for r in again), "restored": restored.size}))  # noqa: T201


def test_the_file_that_was_not_used_for_longest_is_closed_and_opened_again_when_it_is_used(
    tmp_path, monkeypatch
):
    few, done = Opened(2), []
    monkeypatch.setattr("ledger.storage.opened.opened", few)

    def open_file(path):
        done.append(path.name)
        return path.open()

    files = []
    for name in "abc":
        (tmp_path / name).write_text(name)
        files.append(Reopened(tmp_path / name, open_file))
    assert (
        "".join(files[n].use(lambda file: file.seek(0) or file.read()) for n in (0, 1, 0, 2, 0, 2, 1))
        == "abacacb"
    )
    assert done == ["a", "b", "c", "b"]
    files[0].close()
    with pytest.raises(FileClosed):
        files[0].use(print)


def test_a_file_that_is_used_is_not_closed_under_its_user(tmp_path, monkeypatch):
    monkeypatch.setattr("ledger.storage.opened.opened", Opened(1))
    for name in "ab":
        (tmp_path / name).write_text(name)
    first, second = (Reopened(tmp_path / name, Path.open) for name in "ab")
    assert first.use(lambda file: second.use(lambda other: other.read()) + file.read()) == "ba"


def test_the_limit_of_open_files_is_raised_to_what_the_system_allows():
    code = "import resource as r; from ledger.storage.opened import raise_limit; r.setrlimit(r.RLIMIT_NOFILE, (100, 300)); print(raise_limit(), *r.getrlimit(r.RLIMIT_NOFILE))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["300", "300", "300"]
    assert raise_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
