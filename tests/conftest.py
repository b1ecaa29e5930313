"""Fixtures that every room's tests may use."""

from collections.abc import Generator
from pathlib import Path

import pytest

collect_ignore = ["frameworks"]  # run by each framework's own Python: make test-frameworks

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of vectors and real data beside the project; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("the folder shared/ is not beside the project")
    return SHARED


@pytest.fixture(autouse=True)
def _seen_nothing_before(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test's user saw of a log is no other test's: their logs have the same names and are not the same."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test wrote goes from one process to another as UTF-8, and some tests write what is none."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report
