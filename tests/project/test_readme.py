"""README's commands, run as they are written: a real server on loopback, a home of their own, another port."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.project.tree import ROOT, command, free_port

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PORT = "8731"


def shell(script: str, home: Path) -> list[str]:
    """The environment of somebody who installed the project and has nothing else."""
    return ["env", "-i", f"HOME={home}", f"PATH={home / 'bin'}:{os.environ['PATH']}", "sh", "-euc", script]


def install(home: Path) -> None:
    """Put `agent-ledger` on the path of that home."""
    script = home / "bin" / "agent-ledger"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command())} "$@"\n')
    script.chmod(0o755)


@pytest.fixture(scope="module")
def transcript(tmp_path_factory):
    """What each block of commands printed, while the first of them served."""
    home = tmp_path_factory.mktemp("home")
    install(home)
    port = free_port()
    serve, *others = BLOCKS
    assert serve.startswith("agent-ledger serve")
    server = subprocess.Popen(
        shell(f"exec {serve.strip()} --port {port}", home), cwd=home, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/readyz")
        printed = [
            subprocess.run(
                shell(block.replace(PORT, str(port)), home),
                cwd=home,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            for block in others
        ]
        yield home, printed
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)


def wait_for(url: str) -> None:
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=1).is_success:
                return
        time.sleep(0.1)
    pytest.fail(f"{url} did not answer")


def test_every_command_of_the_readme_succeeds(transcript):
    _, printed = transcript
    assert [result.stderr for result in printed if result.returncode] == []


def test_the_answer_to_the_first_post_has_the_members_that_the_readme_shows(transcript):
    _, printed = transcript
    (shown,) = re.findall(r"^```json\n(.*?)\n```$", README, re.MULTILINE | re.DOTALL)
    answer, shown = json.loads(printed[0].stdout), json.loads(shown)
    assert answer.keys() == shown.keys()
    same = {member for member, value in shown.items() if value != "…"}
    assert {member: answer[member] for member in same} == {member: shown[member] for member in same}


def test_the_readmes_receipt_and_export_are_kept(transcript):
    home, _ = transcript
    assert (home / "try-1.receipt").read_text().startswith("c2sp.org/tlog-proof@v1\n")
    assert (home / "export" / "checkpoint").is_file()


def test_the_readmes_question_counts_the_record_it_posted(transcript):
    _, printed = transcript
    assert '"send_email"' in printed[2].stdout
