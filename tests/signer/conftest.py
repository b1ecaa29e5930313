"""Folders whose paths are short enough for a unix socket, and agents in them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.log import environment
from tests.signer.agents import OpenSSH, Told, short_folder


@pytest.fixture
def place() -> Iterator[Path]:
    """Where sockets may be."""
    with short_folder() as folder:
        yield folder


@pytest.fixture
def openssh(place: Path) -> Iterator[OpenSSH]:
    agent = OpenSSH(place)
    yield agent
    agent.kill()


@pytest.fixture
def told(place: Path) -> Iterator[Told]:
    agent = Told(place / "told.sock")
    yield agent
    agent.close()


@pytest.fixture(autouse=True)
def _nothing_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test had in its environment is no other's."""
    monkeypatch.setattr(environment, "_taken", {})
