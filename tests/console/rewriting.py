"""What the holder of a log's key can do to it: entries changed, and all that vouches for them made anew."""

import copy
import json
from collections.abc import Callable

from ledger.core import canonical
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.merkle import leaf_hash
from ledger.core.text import format_base64
from tests.storage.sealing import ORIGIN, SIGNER, MemoryLog


def rewritten(log: MemoryLog, changes: dict[int, Callable[[dict], object]], *, fit: bool = True) -> MemoryLog:
    """The log with entries changed, and all after them written anew as its key's holder would: hashes, tree, checkpoints; and the chain, where it is to `fit`."""
    at = min(changes)
    made = copy.copy(log)
    made.rows, made.notes = log.rows[:at], {seq: note for seq, note in log.notes.items() if seq < at}
    frontier = log.frontier(at)
    for row in log.rows[at:]:
        entry = row.entry
        if fit or row.seq in changes:
            members = json.loads(entry)
            members["prev"] = made.rows[-1].hash.hex()
            changes.get(row.seq, bool)(members)
            entry = canonical.dumps(members)
        made.rows.append(row._replace(entry=entry, hash=leaf_hash(entry)))
        frontier.append(made.rows[-1].hash)
        if row.seq in log.notes:
            made.notes[row.seq] = sign_checkpoint(Checkpoint(ORIGIN, row.seq + 1, frontier.root()), SIGNER)
    return made


def earlier(log: MemoryLog) -> MemoryLog:
    """The log when its last commit was not there yet."""
    made = copy.copy(log)
    made.rows = log.rows[: sorted(log.notes)[-2] + 1]
    return made


def another_tool(members: dict) -> None:
    members["record"]["tool"]["name"] = "another_tool"


def another_chain(members: dict) -> None:
    members["prev"] = "f" * 64


def granted(members: dict) -> None:
    """An agent's key put in force."""
    key = {"log.key_id": "agent-7", "log.public_key": format_base64(SIGNER.key.public)}
    members["record"] = {**members["record"], "ext": key, "type": "log.access_granted"}
    members["submitter"] = "log"


def signed_by_nobody(members: dict) -> None:
    members["signature"] = {"key": "agent-7", "sig": format_base64(bytes(64))}
