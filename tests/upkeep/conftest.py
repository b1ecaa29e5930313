"""Folders of version 1 as the release before made them, and logs that are backed up."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.log.log import Log
from ledger.upkeep.backup import Made, back_up
from tests.log.conftest import ORIGIN, data, post, record  # noqa: F401
from tests.storage.conftest import _credentials, bucket, locked_bucket, s3  # noqa: F401

ARCHIVE = Path(__file__).with_name("data") / "version-1.tar.gz"
V1_ORIGIN = "version-1.example/log"
V1_SIZE = 48  # log.created, a key granted, 40 records, and six times that arguments were withheld


@pytest.fixture
def version_1(tmp_path: Path) -> Callable[[str], Path]:
    """Unpacks a folder of version 1: `stopped`, or `killed` with its last commits in the WAL."""

    def unpack(name: str = "stopped") -> Path:
        with tarfile.open(ARCHIVE) as packed:
            packed.extractall(tmp_path, [m for m in packed if m.name.startswith(name)], filter="data")
        return tmp_path / name

    return unpack


stopped: list[Log] = []


def stop(log: Log) -> None:
    """Close the log before its fixture does."""
    log.close()
    stopped.append(log)


@pytest.fixture
def log(tmp_path: Path):
    """A log of three segments, if it is sealed when it is backed up: `grow` adds to it."""
    Log.create(tmp_path / "data", ORIGIN)
    opened = Log.open(tmp_path / "data")
    grow(opened, 0, 10)
    yield opened
    if opened not in stopped:
        opened.close()
    stopped.clear()


def grow(log: Log, low: int, high: int) -> None:
    post(
        log,
        *(
            record(number, request={"user": f"u{number % 4}@example.com", "text": "hi"})
            for number in range(low, high)
        ),
    )


def save(log: Log, place: Path, **options: object) -> Made:
    """A backup of an open log, as the command makes it beside its server."""
    data = place.parent / "data"  # noqa: F811 - the fixture is the same folder
    return back_up(data, place, log.seal, **options)  # type: ignore[arg-type]
