"""A disk that fails, processes that live on it, and none of them left behind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.injector import compiled
from tests.faults.nursery import Nursery
from tests.faults.server import Server


@pytest.fixture(scope="session")
def injector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes disks and clocks fail."""
    library = compiled(tmp_path_factory.mktemp("injector"))
    if library is None:
        pytest.skip("a C compiler is needed to make a disk fail")
    return library


@pytest.fixture(scope="session")
def nursery(injector: Path) -> Iterator[Nursery]:
    """Forks processes on such a disk."""
    with Nursery(injector) as nursery:
        yield nursery


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers and leaves none behind."""
    started: list[Server] = []

    def start(folder: Path, **options: object) -> Server:
        started.append(Server(folder, **options))
        return started[-1]

    yield start
    for server in started:
        server.kill()
