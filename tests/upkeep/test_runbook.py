"""docs/backup.md, rehearsed: its commands are run as they are written, against a real server, one disaster after the other."""

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

from tests.project.tree import ROOT, command

PAGE = (ROOT / "docs/backup.md").read_text(encoding="utf-8")
DATA = ".local/share/agent-ledger"
REFUSED, FOUND = 2, 1


def blocks(heading: str, page: str = PAGE) -> list[str]:
    """The commands under a heading of a page."""
    (section,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


class Machine:
    """Somebody's home on a machine: a data folder, backups, a copy of the key kept offline."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / DATA
        self.anchor = home / f"{DATA}.head"
        (home / "bin").mkdir()
        script = home / "bin" / "agent-ledger"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(command())} "$@"\n')
        script.chmod(0o755)
        self.server: subprocess.Popen[bytes] | None = None

    def sh(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._shell(script), cwd=self.home, capture_output=True, text=True, check=False, timeout=120
        )

    def _shell(self, script: str) -> list[str]:
        return [
            *("env", "-i", f"HOME={self.home}", f"PATH={self.home / 'bin'}:{os.environ['PATH']}"),
            *("XDG_STATE_HOME=" + str(self.home / "state"), "sh", "-euc", script),
        ]

    def good(self, script: str) -> str:
        ended = self.sh(script)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def serve(self, options: str = "") -> None:
        self.server = subprocess.Popen(
            self._shell(f"exec agent-ledger serve --port 0 {options}"),
            cwd=self.home,
            stdout=subprocess.DEVNULL,
            stderr=(self.home / "serve.log").open("wb"),
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.server.poll() is not None:
                raise RuntimeError((self.home / "serve.log").read_text())
            with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
                said = json.loads((self.data / "serving.json").read_bytes())
                if httpx.get(f"{said['url']}/readyz", trust_env=False).is_success and said["pid"]:
                    return
            time.sleep(0.05)
        raise TimeoutError

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(30)
            self.server = None

    def post(self, low: int, high: int) -> None:
        lines = "".join(
            json.dumps(
                {
                    "id": f"r-{number}",
                    "type": "action",
                    "time": "2026-11-21T09:30:00Z",
                    "request": {"user": f"u{number % 3}@example.com"},
                    "tool": {"name": "send", "arguments": {"n": number}},
                }
            )
            + "\n"
            for number in range(low, high)
        )
        (self.home / "records.ndjson").write_text(lines)
        self.good("agent-ledger post records.ndjson")

    def size(self) -> int:
        return int(json.loads(self.good("agent-ledger verify --no-stored --json"))["client"]["size"])

    def lose(self) -> None:
        self.sh(f"chmod -R u+w {DATA}; rm -rf {DATA}")


@pytest.fixture
def machine(tmp_path):
    """A log of 21 entries, backed up beside its server as the page says, its key kept offline."""
    made = Machine(tmp_path)
    made.serve()
    made.post(0, 20)
    made.good("mkdir offline && cp .local/share/agent-ledger/log.key offline/")
    (every_day, made.rehearse) = blocks("Every day")
    told = json.loads(made.good(every_day))
    assert told["size"] == 21
    yield made
    made.stop()


def test_a_rehearsal_beside_the_running_server_verifies(machine):
    machine.good(machine.rehearse.replace("rm -r ", "rm -rf "))
    assert not (machine.home / "rehearsal").exists()
    machine.post(20, 21)


def test_the_disk_is_gone_and_nothing_was_acknowledged_since(machine):
    machine.stop()
    machine.lose()
    (lost,) = blocks("The disk is gone")
    assert json.loads(machine.good(lost))["can_be_continued"] is True
    machine.serve()
    machine.post(0, 22)
    assert machine.size() == 23, "retries found their entries"


def test_the_disk_is_gone_with_its_anchor_and_the_operator_knows_that_nobody_saw_more(machine):
    machine.stop()
    machine.lose()
    machine.anchor.unlink()
    (lost,) = blocks("The disk is gone")
    machine.good(lost)
    with pytest.raises(RuntimeError, match="anchor-missing"):
        machine.serve()
    machine.serve("--accept-missing-anchor")
    machine.post(20, 21)
    machine.stop()
    machine.serve()


def test_entries_that_were_seen_and_are_lost_end_the_log_and_a_successor_goes_on(machine):
    machine.post(20, 25)
    machine.good("agent-ledger verify")
    machine.stop()
    machine.lose()
    (lost,) = blocks("The disk is gone")
    refused = machine.sh(lost)
    assert refused.returncode == REFUSED
    assert "[rolled-back]" in refused.stderr
    assert "last 5" in refused.stderr
    assert not machine.data.exists()
    succeed, verify_old = blocks("Go on as a successor")
    made = json.loads(machine.good(succeed))
    assert made["origin"] == "ledger.example/prod-2"
    machine.good(verify_old)
    machine.serve()
    machine.post(0, 25)
    assert machine.size() == 27
    assert "log.succeeds" in machine.good("agent-ledger get 1 --json")


def test_a_snapshot_that_was_rolled_back_is_not_served_and_the_newest_backup_is(machine):
    machine.stop()
    machine.good(f"cp -a {DATA} snapshot")
    machine.serve()
    machine.post(20, 25)
    machine.good(blocks("Every day")[0])
    machine.stop()
    machine.lose()
    machine.good(f"mv snapshot {DATA}")
    with pytest.raises(RuntimeError, match="rolled-back"):
        machine.serve()
    (back,) = blocks("A virtual machine was rolled back")
    machine.good(back)
    machine.serve()
    assert machine.size() == 26


def test_a_copy_that_is_too_old_is_found_out_by_a_checkpoint_somebody_kept(machine):
    machine.post(20, 25)
    machine.good(blocks("Every day")[0])
    machine.good(
        'url=$(sed \'s/.*"url": "\\([^"]*\\)".*/\\1/\' .local/share/agent-ledger/serving.json); '
        'curl -s -H "Authorization: Bearer $(cat .local/share/agent-ledger/cli.token)" $url/checkpoint > kept.checkpoint'
    )
    machine.stop()
    machine.lose()
    machine.anchor.unlink()
    oldest = min((machine.home / "backups").iterdir())
    machine.good(f"agent-ledger restore {oldest} {DATA} --key offline/log.key")
    (check,) = blocks("Restored too old")
    assert "seen further" in machine.good(check)
    machine.lose()
    refused = machine.sh(
        f"agent-ledger restore {oldest} {DATA} --key offline/log.key --checkpoint kept.checkpoint"
    )
    assert refused.returncode == REFUSED
    assert "last 5" in refused.stderr
    machine.good(f"agent-ledger restore backups {DATA} --key offline/log.key --checkpoint kept.checkpoint")


def test_a_stolen_key_ends_the_log_and_its_successor_has_another(machine):
    machine.post(20, 22)
    before = machine.good("agent-ledger keys show")
    machine.stop()
    time.sleep(1.1)  # a set has at most one backup of a second and size
    (stolen,) = blocks("The key was stolen")
    told = machine.good(stolen)
    assert json.loads(told.strip().split("\n")[-1])["verifier_key"] not in before
    machine.good("agent-ledger verify successor; agent-ledger verify successor/predecessor")


def test_a_damaged_segment_is_put_back(machine):
    machine.stop()
    folder = machine.data / "segments" / "0000000000000000"
    data = bytearray((folder / "contents.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    folder.chmod(0o700)
    (folder / "contents.parquet").chmod(0o600)
    (folder / "contents.parquet").write_bytes(data)
    assert machine.sh(f"agent-ledger verify {DATA}").returncode == FOUND
    (repair,) = blocks("A segment is damaged")
    machine.good(repair)
    machine.serve()


def test_a_log_is_moved_and_goes_on(machine):
    machine.stop()
    (move,) = blocks("Move a log to another storage")
    machine.good(move)
    machine.lose()
    machine.good(f"mv moved {DATA}")
    machine.serve()
    machine.post(0, 22)
    assert machine.size() == 23


def test_every_block_of_the_page_is_rehearsed():
    used = {
        name
        for name in re.findall(r'blocks\("([^"]+)"\)', Path(__file__).read_text(encoding="utf-8"))
        if "^" not in name
    }
    with_commands = {
        heading
        for heading, section in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
        if "```sh" in section
    }
    assert with_commands == used
