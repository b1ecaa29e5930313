"""Installs each peer by itself, at the versions and hashes in this folder: an environment for each Python package, one build for Go."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.catalog import Peer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PATIENCE_S = 900
_said: dict[str, str] = {}


class CannotRunError(Exception):
    """This peer cannot be installed or run here; the table says why."""


def command(peer: Peer, installed: Path) -> Sequence[str]:
    """What starts the peer; installs it into the folder `installed` where it is not there yet.

    Raises:
        CannotRunError: it cannot be installed here.
    """
    if peer.environment is None:
        return [sys.executable, "-m", f"benchmarks.peers.{peer.module}"]
    if peer.environment in _said:
        raise CannotRunError(_said[peer.environment])
    try:
        if peer.environment == "go":
            return [str(_built(installed / "go") / peer.module)]
        return [
            str(_python(peer.environment, installed / peer.environment)),
            "-m",
            f"benchmarks.peers.{peer.module}",
        ]
    except CannotRunError as error:
        _said[peer.environment] = str(error)
        raise


def _python(name: str, folder: Path) -> Path:
    requirements = HERE / f"requirements-{name}.txt"
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if stamp.exists() and stamp.read_bytes() == requirements.read_bytes():
        return python
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run(
        [
            str(python),
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--require-hashes",
            "-r",
            str(requirements),
        ]
    )
    shutil.copyfile(requirements, stamp)
    return python


def _built(folder: Path) -> Path:
    if shutil.which("go") is None:
        raise CannotRunError("there is no `go` here")
    folder.mkdir(parents=True, exist_ok=True)
    # Go's own cache decides what has changed; the checksums are in go.sum.
    _run(["go", "build", "-mod=readonly", "-o", f"{folder}/", "./immudb", "./tessera"], cwd=HERE / "go")
    return folder


def _run(words: list[str], cwd: Path = ROOT) -> None:
    with tempfile.TemporaryFile("w+") as said:
        try:
            subprocess.run(words, cwd=cwd, stdout=said, stderr=said, check=True, timeout=PATIENCE_S)
        except (OSError, subprocess.SubprocessError) as error:
            said.seek(0)
            last = said.read().strip().splitlines()[-1:] or [type(error).__name__]
            raise CannotRunError(
                f"`{' '.join(map(os.path.basename, words[:3]))}` failed: {last[0]}"
            ) from error
