"""A log that takes the place of another: entry 1, `log.succeeds`, with the predecessor's own signed checkpoint (docs/backup.md)."""

from typing import Final

from ledger.core.checkpoint import open_checkpoint
from ledger.core.errors import LedgerError
from ledger.core.note import parse_vkey
from ledger.core.stretch import Own

SUCCEEDS: Final = "log.succeeds"
PLACE: Final = 1


def wrong_succession(own: Own) -> str | None:
    """What is wrong with what an entry says of its log's predecessor; None where nothing is."""
    if own.seq != PLACE:
        return f"a {SUCCEEDS} that is not entry {PLACE}"
    said = {
        name: own.ext.get(f"log.predecessor_{name}")
        for name in ("origin", "vkey", "size", "root", "checkpoint")
    }
    try:
        key = parse_vkey(str(said["vkey"]))
        checkpoint = open_checkpoint(str(said["checkpoint"]).encode(), [key], str(said["origin"]))
    except LedgerError as error:
        return f"its predecessor's checkpoint does not hold: {error.detail}"
    if (checkpoint.size, checkpoint.root.hex()) != (said["size"], said["root"]):
        return "its predecessor's checkpoint is of another size or root than it says"
    return None
