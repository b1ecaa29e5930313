"""A portable proof that a log signed two histories: nobody can make one of a log that did not (docs/witnesses.md).

    {"consistency": ["<base64>", …], "fork": 1, "newer": "<signed note>", "older": "<signed note>", "root": "<base64>", "vkey": "<vkey>"}

Both notes are checkpoints signed by the key; where the log has rotated it, `keys` is the proof of its keys (`ledger.core.keyhistory`), and each
note is signed by the key of its size. `root` is the root that the newer tree has at the older one's size, which `consistency` (RFC 9162)
shows; the older checkpoint signs another. For two of one size the newer one's own root is `root`, and nothing more is to be shown.

A smaller checkpoint that is shown after a larger one is no fork: both may be of one history.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from ledger.core import canonical
from ledger.core.canonical import JsonValue
from ledger.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from ledger.core.errors import Code, FormatError, VerificationError
from ledger.core.keyhistory import KeyHistory, parse_history
from ledger.core.merkle import verify_consistency
from ledger.core.note import VerifierKey, format_vkey, parse_note, parse_vkey
from ledger.core.text import format_base64, parse_base64

VERSION: Final = 1
MAX_BYTES: Final = 4 * 1024 * 1024
_MEMBERS: Final = frozenset({"consistency", "fork", "newer", "older", "root", "vkey"})
_OPTIONAL: Final = frozenset({"keys"})


@dataclass(frozen=True, slots=True)
class Fork:
    """A proof that parses.

    Attributes:
        key: a key of the log, as the proof says.
        older: the signed checkpoint that is smaller, or one of the two.
        newer: the other.
        root: what the newer tree's root was at the older one's size, 32 bytes.
        consistency: the proof of that.
        keys: the proof of the log's keys; None where it has one.
    """

    key: VerifierKey
    older: bytes
    newer: bytes
    root: bytes
    consistency: tuple[bytes, ...]
    keys: bytes | None = None


class Forked(NamedTuple):
    """What a proof proves: both checkpoints are signed by the log, and no log has both."""

    older: Checkpoint
    newer: Checkpoint


def parse_fork(data: bytes) -> Fork:
    """Take a proof apart, without checking it.

    Raises:
        FormatError: it is none.
    """
    if len(data) > MAX_BYTES:
        raise _malformed(f"it is longer than {MAX_BYTES} bytes")
    value = canonical.loads(data)
    if not isinstance(value, dict) or value.keys() - _OPTIONAL != _MEMBERS or value["fork"] != VERSION:
        raise _malformed(
            f"it is an object with exactly the members {', '.join(sorted(_MEMBERS))}, fork {VERSION}"
        )
    texts = [value[name] for name in ("vkey", "older", "newer", "root")]
    texts += [value[name] for name in _OPTIONAL if name in value]
    hashes = value["consistency"]
    if not isinstance(hashes, list) or not all(isinstance(text, str) for text in (*texts, *hashes)):
        raise _malformed("its members are texts, and consistency a list of them")
    vkey, older, newer, root, *keys = map(str, texts)
    try:
        return Fork(
            parse_vkey(vkey),
            older.encode(),
            newer.encode(),
            parse_base64(root),
            tuple(parse_base64(str(each)) for each in hashes),
            keys[0].encode() if keys else None,
        )
    except ValueError as error:
        raise _malformed(str(error)) from None


def format_fork(fork: Fork) -> bytes:
    """The text that `parse_fork` reads."""
    value: dict[str, JsonValue] = {
        "consistency": [format_base64(each) for each in fork.consistency],
        "fork": VERSION,
        "newer": fork.newer.decode(),
        "older": fork.older.decode(),
        "root": format_base64(fork.root),
        "vkey": format_vkey(fork.key),
    }
    if fork.keys is not None:
        value["keys"] = fork.keys.decode()
    return canonical.dumps(value)


def keys_of(fork: Fork) -> KeyHistory:
    """The keys of the log, as the proof shows them.

    Raises:
        LedgerError: it does not.
    """
    return KeyHistory.begin(fork.key) if fork.keys is None else parse_history(fork.keys, fork.key)


def verify_fork(fork: Fork, key: VerifierKey | None = None) -> Forked:
    """Check that a log signed two histories.

    Args:
        fork: the proof.
        key: one of the log's keys as whoever checks knows it; the proof's own word where None.

    Raises:
        FormatError: a checkpoint does not parse.
        VerificationError: it proves nothing.
    """
    keys = keys_of(fork)
    if key is not None and key not in keys.keys:
        raise VerificationError(
            Code.UNKNOWN_SIGNER, f"it is about the key {fork.key}, and the log's is {key}"
        )
    older, newer = _signed(fork.older, keys), _signed(fork.newer, keys)
    if fork.root == older.root:
        raise VerificationError(Code.INVALID_PROOF, "it proves no fork: both checkpoints have one root")
    if older.size == newer.size and fork.root != newer.root:
        raise VerificationError(Code.INVALID_PROOF, "its root is not that of the newer checkpoint")
    verify_consistency(older.size, newer.size, fork.consistency, fork.root, newer.root)
    return Forked(older, newer)


def _signed(note: bytes, keys: KeyHistory) -> Checkpoint:
    """A checkpoint that a key signed which was in force for it, or came later: with one that was rotated away before, a thief may have.

    That a key was revoked since hides nothing that it signed.
    """
    size = parse_checkpoint(parse_note(note).text).size
    return open_checkpoint(note, keys.later(size), keys.origin)


def _malformed(detail: str) -> FormatError:
    return FormatError(Code.MALFORMED_EVIDENCE, f"not a proof of a fork: {detail}")
