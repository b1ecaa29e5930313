"""docs/keys.md: the commands under "Where the key lives", run as they are written."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ledger.log.keys import home_of
from tests.project.tree import ROOT, command

PAGE = (ROOT / "docs/keys.md").read_text(encoding="utf-8")
DATA = ".local/share/agent-ledger"


def blocks() -> list[str]:
    (section,) = re.findall(r"^## Where the key lives\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def sh(home: Path, script: str) -> None:
    """Run it in somebody's home. What it leaves running is waited for until it listens, and stopped at the end."""
    (home / "bin").mkdir(exist_ok=True)
    program = home / "bin" / "agent-ledger"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command())} "$@"\n')
    program.chmod(0o755)
    waiting = re.sub(r"(\S+\.sock) &\n", r"\1 &\nleft=$!\nuntil [ -S \1 ]; do sleep 0.05; done\n", script)
    done = subprocess.run(
        ["sh", "-euc", f"trap 'kill $left' EXIT\n{waiting}"],
        cwd=home,
        env={
            "HOME": str(home),
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(home / "state"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.soak
def test_its_commands_make_a_log_with_a_signer_and_move_the_key_of_another_out(place: Path):
    with_signer, moving = blocks()
    sh(place, with_signer)
    assert home_of(place / DATA / "log.key") == f"ssh-agent:{place / 'signer.sock'}"
    other = place / "o"
    other.mkdir()
    sh(other, f"agent-ledger init --origin ledger.example/moved\n{moving}")
    assert home_of(other / DATA / "log.key") == f"ssh-agent:{other / 'moved.sock'}"
