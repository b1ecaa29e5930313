"""What the tests of this folder know about the checkout."""

import socket
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BINARY = {".png", ".gz", ".zip", ".parquet", ".duckdb", ".arrow", ".pb"}


def tracked() -> list[Path]:
    """Every file of the project: what git tracks or, outside a repository, what lies there."""
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
        return [path for name in names if name and (path := ROOT / name).is_file()]
    hidden = {path for path in ROOT.rglob(".*") if path.is_dir()}
    return [path for path in ROOT.rglob("*") if path.is_file() and not hidden & set(path.parents)]


def texts() -> list[tuple[Path, str]]:
    """Path and text of every text file of the project."""
    return [(path, path.read_text(encoding="utf-8")) for path in tracked() if path.suffix not in BINARY]


def python(folder: str) -> list[tuple[Path, str]]:
    """Path and text of the Python files below a folder."""
    return [(path, text) for path, text in texts() if path.suffix == ".py" and ROOT / folder in path.parents]


def place(path: Path, line: int | None = None) -> str:
    """How a file, or a line of it, is named in a failure."""
    name = str(path.relative_to(ROOT))
    return name if line is None else f"{name}:{line}"


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(*arguments: str) -> list[str]:
    """The project's command, from this checkout whether or not it is installed."""
    module, function = PYPROJECT["project"]["scripts"]["agent-ledger"].split(":")
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from {module} import {function}; {function}()"
    return [sys.executable, "-c", script, *arguments]
