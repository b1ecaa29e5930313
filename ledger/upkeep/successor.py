"""A log that takes the place of one that cannot be continued: a new key, a new origin, and an entry that says whose place it takes.

    entry 0   log.created    the new origin and its first verifier key
    entry 1   log.succeeds   in `ext`:
        log.predecessor_origin, log.predecessor_vkey      whose place it takes
        log.predecessor_size, log.predecessor_root        how much of it there was, and the root over that, in hex
        log.predecessor_checkpoint                        the predecessor's own signed checkpoint of that size
        log.reason                                        why, in the operator's words
        log.seen                                          [[who, size, signed note], …]: what the outside world had seen of it beyond that

The predecessor is not touched: if more of it is ever found, it extends the checkpoint named here, and there is no fork.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import format_vkey
from ledger.core.succession import SUCCEEDS
from ledger.log.keys import FILE
from ledger.log.log import Log
from ledger.upkeep.outside import Known

MAX_REASON_CHARS: Final = 2_000
MAX_SEEN: Final = 16
MAX_WHAT_CHARS: Final = 200


class Predecessor(NamedTuple):
    """The log whose place is taken.

    Attributes:
        keys: its keys.
        note: its signed checkpoint of what there is of it.
    """

    keys: KeyHistory
    note: bytes

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says.

        Raises:
            LedgerError: its own key did not sign it.
        """
        return self.keys.open(self.note, own=True)


def create_successor(
    data: Path, origin: str, predecessor: Predecessor, *, reason: str, seen: Sequence[Known], anchor: Path
) -> str:
    """Make a log in `data` whose first entries are `log.created` and `log.succeeds`. Returns its verifier key.

    Args:
        data: the folder; the caller puts it where it belongs once it is whole.
        origin: the new log's name.
        predecessor: whose place it takes.
        reason: why, for whoever reads the log years later.
        seen: checkpoints of the predecessor that others have and that know of more than there is.
        anchor: where the new log's head anchor is made.

    Raises:
        LedgerError: `invalid-parameter`: the origin is the predecessor's own or cannot be one, the reason is empty or too long;
            `log-exists`; why the entry could not be written.
    """
    checkpoint = predecessor.checkpoint
    if origin == checkpoint.origin:
        raise LedgerError(
            Code.INVALID_PARAMETER,
            f"{origin} is the log that cannot be continued: its successor needs another name, or there would be two histories under one",
            path="origin",
        )
    if not reason.strip() or len(reason) > MAX_REASON_CHARS:
        raise LedgerError(
            Code.INVALID_PARAMETER,
            f"say why the log is succeeded, in 1 to {MAX_REASON_CHARS} characters: it stands in the new log for ever",
            path="reason",
        )
    Log.create(data, origin, anchor=anchor, key=FILE)  # what the environment holds is the old one's
    log = Log.open(data, anchor=anchor)
    try:
        log.append_own(SUCCEEDS, _ext(predecessor, checkpoint, reason, seen))
        return log.vkey
    finally:
        log.close()


def _ext(
    predecessor: Predecessor, checkpoint: Checkpoint, reason: str, seen: Sequence[Known]
) -> dict[str, Any]:
    return {
        "log.predecessor_origin": checkpoint.origin,
        "log.predecessor_vkey": format_vkey(predecessor.keys.at(checkpoint.size).key),
        "log.predecessor_size": checkpoint.size,
        "log.predecessor_root": checkpoint.root.hex(),
        "log.predecessor_checkpoint": predecessor.note.decode(),
        "log.reason": reason,
        "log.seen": [
            [each.what[:MAX_WHAT_CHARS], each.checkpoint.size, each.note.decode()] for each in seen[:MAX_SEEN]
        ],
    }
