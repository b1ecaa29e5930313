"""What the local signer signs: statements that this project's logs make about the log whose key it holds, and nothing else.

A key that signs whatever it is sent would also sign another log's checkpoint, a login, or a record in an agent's name. A statement is

    <origin>                    a checkpoint, without extension lines: size and root in their one form
    <size>
    <root>

    agent-ledger <kind> v1      a manifest: of a segment, a backup, evidence, …
    <origin>
    <one line of canonical JSON, an object>
"""

from typing import Final

from ledger.core import canonical, evidence, invitation
from ledger.core.checkpoint import format_checkpoint, parse_checkpoint
from ledger.core.errors import LedgerError
from ledger.core.note import MAX_NOTE_BYTES
from ledger.storage import manifest

BACKUP: Final = "agent-ledger backup v1"  # of a room beside this one; a test holds them together
TITLES: Final = frozenset({manifest.TITLE, BACKUP, evidence.TITLE, invitation.TITLE})
CHECKPOINT: Final = "checkpoint"
_MANIFEST_LINES: Final = 4  # title, origin, JSON, and nothing after the last newline


def kind_of(message: bytes, origin: str) -> str:
    """What statement about the log `origin` a message is: `checkpoint`, or a manifest's title.

    Args:
        message: what is to be signed, from anybody.
        origin: the log whose key it is.

    Raises:
        ValueError: it is none, with the reason.
    """
    if len(message) > MAX_NOTE_BYTES:
        raise ValueError(f"a note has at most {MAX_NOTE_BYTES:,} bytes")
    text = message.decode()  # UnicodeDecodeError is a ValueError
    lines = text.split("\n")
    try:
        if lines[0] in TITLES:
            _refuse_manifest(lines, origin)
            return lines[0]
        checkpoint = parse_checkpoint(text)
    except LedgerError as error:
        raise ValueError(error.detail) from None
    if checkpoint.origin != origin:
        raise ValueError(f"it is of {checkpoint.origin[:80]!a}, and the key is {origin}'s")
    if checkpoint.extensions or format_checkpoint(checkpoint) != text:
        raise ValueError("it is no checkpoint as these logs write it")
    return CHECKPOINT


def _refuse_manifest(lines: list[str], origin: str) -> None:
    if len(lines) != _MANIFEST_LINES or lines[-1]:
        raise ValueError(f"{lines[0]}: it is a title, an origin and one line of JSON")
    if lines[1] != origin:
        raise ValueError(f"{lines[0]}: it is of {lines[1][:80]!a}, and the key is {origin}'s")
    if not lines[2].startswith("{"):
        raise ValueError(f"{lines[0]}: its third line is no JSON object")
    canonical.parse_canonical(lines[2].encode())
