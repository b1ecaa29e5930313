"""A log's process without HTTP: what `agent-ledger serve` does to the disk at a third of its cost, for thousands of faults.

One client over a socket, one JSON value a line: `{"post": [record, …]}`, `{"receipt": seq}`, `{"checkpoint": 1}`, `{"bundle": [n, width]}`,
`{"erase": [[seq, member], …]}`, `{"seal": 1}`, `{"compact": 1}`, `{"retire": [what, [seq, …]]}`, `{"backup": folder}`. The answer is what
HTTP would answer, problems included.
"""

import base64
import itertools
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ledger.api.problems import problem
from ledger.cli.main import _end
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log.keeping import Policy, Removes
from ledger.log.log import Log
from ledger.log.plan import Appended
from ledger.log.removal import set_policy
from ledger.records.prepare import prepare
from ledger.storage.anchor import default_anchor
from ledger.storage.layout import KEY, holds_log
from ledger.upkeep.backup import back_up
from ledger.upkeep.backupset import open_backup
from ledger.upkeep.compact import compact
from ledger.upkeep.outside import read_anchor
from ledger.upkeep.restore import restore
from ledger.upkeep.retention import run_policies
from tests.faults.server import ORIGIN

SUBMITTER = "token:cli"


def main() -> None:
    """`writer DATA SOCKET [--rotate-entries N]`: make the log where there is none, open it, serve one client until SIGTERM."""
    data, at, *options = sys.argv[1:]
    signal.signal(signal.SIGTERM, _asked_to_stop)
    try:
        _serve(Path(data), at, options)
    except Exception as error:  # noqa: BLE001 - one line and an exit status, as the command has it
        _end(error)


def bring_back() -> None:
    """`bring_back DATA SET LOST`: what an operator does whose disk is gone. The anchor was on another one, the key in a safe."""
    data, place, lost = map(Path, sys.argv[1:])
    try:
        if data.exists() and not lost.exists():
            data.rename(lost)
        if not data.exists():
            restore(open_backup(place), data, key=lost / KEY, seen=read_anchor(default_anchor(data)))
    except Exception as error:  # noqa: BLE001 - one line and an exit status, as the command has it
        _end(error)


def _serve(data: Path, at: str, options: list[str]) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(at)
    if not holds_log(data):
        Log.create(data, ORIGIN)
    given = {"rotate_entries": int(options[1])} if options else {}
    log = Log.open(data, origin=ORIGIN, **given)
    try:
        listening.listen()
        client, _ = listening.accept()
        with client, client.makefile("rw") as lines:
            for line in lines:
                lines.write(json.dumps(_answer(log, data, json.loads(line))) + "\n")
                lines.flush()
    finally:
        log.close()


def _asked_to_stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


def _answer(log: Log, data: Path, asked: dict[str, Any]) -> Any:
    """What HTTP would answer; of what has no answer but that it was done, nothing."""
    try:
        [(what, value)] = asked.items()
        return ASKED[what](log, data, value) or {}
    except LedgerError as error:
        return {"problem": problem(error)}


def _post(log: Log, records: list[dict[str, Any]]) -> Any:
    items = [
        prepare(
            json.dumps(record).encode(),
            submitter=SUBMITTER,
            persons=log.persons,
            origin=log.origin,
            agent_key=log.agent_key,
        )
        for record in records
    ]
    settled, results = threading.Event(), []

    def done(answers: list[Appended | LedgerError]) -> None:
        results.extend(answers)
        settled.set()

    log.submit(items, atomic=False, done=done)
    settled.wait()
    for number, result in zip(itertools.count(), results):
        if isinstance(result, LedgerError):
            return {"problem": problem(result, record=number)}
    return {"results": [{"id": r.id, "seq": r.seq, "leaf_hash": r.leaf_hash.hex()} for r in results]}


def _retire(log: Log, removes: Removes, seqs: list[int]) -> Any:
    """What a policy takes whose SELECT gives these entries; the answer is all that is gone by now, this time or before."""
    name = f"{removes}-{seqs[0]}"
    log.seal()  # a policy takes what is sealed
    if name not in log.keeping.policies:
        set_policy(log, Policy(name, removes, None, "SELECT seq FROM records", SUBMITTER))
    run_policies(log, lambda _: Ranges((seq, seq + 1) for seq in seqs), names=[name])
    gone = log.removed
    return {"entries": list(gone.entries), "contents": list(gone.contents)}


def _erase(log: Log, _data: Path, places: list[list[Any]]) -> None:
    log.erase([(seq, member) for seq, member in places], by=SUBMITTER, ground="asked")


def _back_up(log: Log, data: Path, place: str) -> Any:
    time.sleep(1)  # its name is its second and its size, and one that is there is refused
    try:
        return {"size": back_up(data, Path(place), log.seal).size}
    except OSError as error:  # ends a command, and nothing else
        words = f"{error.filename or 'file'}: {error.strerror or error}"
        raise LedgerError(Code.STORAGE_FAILED, words) from error


ASKED: dict[str, Callable[[Log, Path, Any], Any]] = {
    "post": lambda log, _, records: _post(log, records),
    "receipt": lambda log, _, seq: log.receipt(seq).decode(),
    "checkpoint": lambda log, _, __: log.head().note.decode(),
    "bundle": lambda log, _, at: base64.b64encode(log.bundle(*at)).decode(),
    "erase": _erase,
    "seal": lambda log, _, __: {"size": log.seal()},
    "compact": lambda log, _, __: {"renewed": len(compact(log).renewed)},
    "retire": lambda log, _, asked: _retire(log, Removes(asked[0]), asked[1]),
    "backup": _back_up,
}
