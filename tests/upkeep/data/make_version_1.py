"""Made version-1.tar.gz, in a checkout of commit c56893c, the last whose storage is version 1. Run there, not here:

    git worktree add /tmp/version-1 c56893c && cd /tmp/version-1
    PYTHONPATH=. python <here>/make_version_1.py <here>/version-1.tar.gz

Two data folders with their head anchors, all that they say made up here: `stopped` was closed, `killed` has its last commits in the WAL
alone. Keys and tokens in them are worth nothing.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path

from ledger.cli.folder import ensure_cli_token, token_store
from ledger.core.text import format_base64
from ledger.log.log import Log
from ledger.records.prepare import prepare
from ledger.trust.tokens import Role

ORIGIN = "version-1.example/log"
AGENT_KEY = bytes.fromhex(
    "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7"
)  # the agent of docs/format.md
RECORDS = 40


def record(number: int) -> dict[str, object]:
    about: dict[str, object] = {
        "id": f"v1-{number:03}",
        "type": "action",
        "time": "2026-11-21T09:30:00.000001Z",
        "request": {"user": f"user-{number % 3}@example.com", "text": f"please do {number}"},
        "tool": {"name": "send_money", "arguments": {"amount": number, "to": "bob"}},
    }
    if number % 7 == 0:
        about["tool"] = {"name": "send_money", "arguments": {"commitment": "ab" * 32}}
    return about


def fill(folder: Path, *, stop: bool) -> None:
    Log.create(folder, ORIGIN)
    ensure_cli_token(folder)
    token_store(folder).create("gw-eu-1", [Role.WRITER])
    log = Log.open(folder)
    log.append_own(
        "log.access_granted", {"log.key_id": "agent-7", "log.public_key": format_base64(AGENT_KEY)}
    )
    for number in range(RECORDS):
        item = prepare(
            json.dumps(record(number)).encode(),
            submitter="token:gw-eu-1",
            persons=log.persons,
            origin=log.origin,
            agent_key=log.agent_key,
        )
        settled = threading.Event()
        log.submit([item], atomic=True, done=lambda _, settled=settled: settled.set())
        settled.wait()
    if stop:
        log.close()
    os._exit(0)


def main(archive: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        for name in ("stopped", "killed"):
            subprocess.run([sys.executable, __file__, str(Path(place, name)), name], check=True)
        with tarfile.open(archive, "w:gz") as packed:
            for path in sorted(Path(place).rglob("*")):
                packed.add(path, path.relative_to(place), recursive=False, filter=_nobody)


def _nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    if len(sys.argv) == 3:
        fill(Path(sys.argv[1]), stop=sys.argv[2] == "stopped")
    else:
        main(Path(sys.argv[1]))
