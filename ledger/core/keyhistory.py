"""The keys of a log, each with the entries it signs for: judged by index, never by a time that somebody claims (docs/keys.md).

    entry 0    log.created        log.vkey: the first key
    entry r    log.key_rotated    log.vkey: the key of every checkpoint that covers entry r; the first such checkpoint is signed with both
    entry m    log.key_revoked    log.vkey: a key that was rotated away; log.from: from this entry on its signatures count for nothing

A checkpoint of size s is signed by the key of its last entry, s - 1. As a portable proof a history is one line of canonical JSON:

    {"entries": ["<receipt>", …], "first": "<vkey>", "keys": 1}

Each receipt (c2sp.org/tlog-proof) carries its entry in its extra line. That of a rotation leads to the checkpoint signed with both keys: the one before
hands over, the next one takes over. So whoever knows any one key of the log knows all of them, and nobody without a key of the log can add one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

from ledger.core import canonical
from ledger.core.canonical import JsonValue
from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.entry import OWN_SUBMITTER, parse_entry
from ledger.core.errors import Code, FormatError, LedgerError, VerificationError
from ledger.core.merkle import leaf_hash, verify_inclusion
from ledger.core.note import ED25519, Note, VerifierKey, format_vkey, open_note, parse_vkey
from ledger.core.receipt import Receipt, parse_receipt

CREATED: Final = "log.created"
ROTATED: Final = "log.key_rotated"
KEY_REVOKED: Final = "log.key_revoked"
KEY_TYPES: Final = (CREATED, ROTATED, KEY_REVOKED)
VERSION: Final = 1
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_KEYS: Final = 1_000
_MARKS: Final = tuple(f'"type":"{each}"'.encode() for each in KEY_TYPES)


class Term(NamedTuple):
    """A key, and what it signs for.

    Attributes:
        key: the key.
        start: the first entry that it signs for.
        end: the entry after the last; None while it is in force.
        revoked: from this entry on its signatures count for nothing; None where nobody has said so.
    """

    key: VerifierKey
    start: int
    end: int | None = None
    revoked: int | None = None


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """A log's keys, the first one first. Never changed: a later one is made of it."""

    terms: tuple[Term, ...]

    @classmethod
    def begin(cls, first: VerifierKey) -> Self:
        """The history of a log that began with this key, and has no other so far."""
        return cls((Term(first, 0),))

    @classmethod
    def of_entries(cls, entries: Iterable[bytes]) -> "KeyHistory":
        """What a log's own entries say of its keys; others may be among them. Whether they are the log's is not checked.

        Raises:
            LedgerError: `malformed-verifier-key`: they name no first key; a later one is no good, as of `after`.
        """
        history: KeyHistory | None = None
        for data in filter(may_tell_keys, entries):
            entry = parse_entry(data)
            ext = entry.members.get("ext")
            if entry.submitter == OWN_SUBMITTER and isinstance(ext, dict):
                kind = str(entry.members.get("type"))
                if history is not None:
                    history = history.after(kind, ext, entry.seq)
                elif kind == CREATED and entry.seq == 0:
                    history = cls.begin(_key(ext))
        if history is None:
            raise FormatError(
                Code.MALFORMED_VERIFIER_KEY,
                "the log does not say which key it began with: give the one you know",
            )
        return history

    def to_json(self) -> list[list[Any]]:
        """It, of lists, text and integers: from one process of the ledger to another, and into a record of a verification."""
        told = [-1 if term.revoked is None else term.revoked for term in self.terms]
        return [[format_vkey(t.key), t.start, revoked] for t, revoked in zip(self.terms, told, strict=True)]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """What `to_json` made; the caller believes it.

        Raises:
            FormatError, TypeError, ValueError: it did not.
        """
        starts = [int(start) for _, start, _ in value]
        ends: list[int | None] = [*starts[1:], None]
        rows = zip(value, starts, ends, strict=True)
        return cls(
            tuple(
                Term(parse_vkey(key), start, end, None if told < 0 else int(told))
                for (key, _, told), start, end in rows
            )
        )

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.first.name

    @property
    def first(self) -> VerifierKey:
        """The key that the log began with: it names the log."""
        return self.terms[0].key

    @property
    def current(self) -> VerifierKey:
        """The key in force at the end."""
        return self.terms[-1].key

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """All of them."""
        return tuple(term.key for term in self.terms)

    def at(self, size: int) -> Term:
        """Whose checkpoints of this size are."""
        return next(term for term in reversed(self.terms) if term.start < size or not term.start)

    def after(self, record_type: str, ext: Mapping[str, Any], seq: int) -> "KeyHistory":
        """What holds once one of the log's own records is entry `seq`.

        Raises:
            LedgerError: `malformed-verifier-key` and others of `parse_vkey`, `key-exists` (a key that was rotated away never comes back),
                `origin-mismatch` (it is another log's), `not-found`, `invalid-parameter` (it cannot be revoked from there).
        """
        if record_type == ROTATED:
            return self._rotated(_key(ext), seq)
        if record_type == KEY_REVOKED:
            return self._revoked(_key(ext), ext.get("log.from"))
        return self

    def _rotated(self, key: VerifierKey, seq: int) -> "KeyHistory":
        if key.name != self.origin or key.algorithm != ED25519:
            raise LedgerError(Code.ORIGIN_MISMATCH, f"{key} is not a key for the log {self.origin}")
        if any(key.public == each.public or key.key_id == each.key_id for each in self.keys):
            raise LedgerError(
                Code.KEY_EXISTS, f"{key} was this log's key before, or has its id: a key never comes back"
            )
        if len(self.terms) >= MAX_KEYS:
            raise LedgerError(Code.KEY_EXISTS, f"a log has at most {MAX_KEYS} keys")
        ended = self.terms[-1]._replace(end=seq)
        return replace(self, terms=(*self.terms[:-1], ended, Term(key, seq)))

    def _revoked(self, key: VerifierKey, start: Any) -> "KeyHistory":
        term = next((term for term in self.terms if term.key == key), None)
        if term is None:
            raise LedgerError(Code.NOT_FOUND, f"{key} was never a key of this log")
        if term.end is None:
            raise LedgerError(
                Code.INVALID_PARAMETER,
                f"{key} is the key in force: rotate it away first; where it was stolen, the log needs a successor (docs/keys.md)",
            )
        if type(start) is not int or not term.start <= start <= term.end:
            raise LedgerError(
                Code.INVALID_PARAMETER,
                f"{key} signs for the entries {term.start} to {term.end - 1}: it is revoked from one of them on, or from {term.end}",
                path="from",
            )
        # The earliest holds: a later statement takes nothing back.
        told = start if term.revoked is None else min(start, term.revoked)
        return replace(
            self, terms=tuple(each._replace(revoked=told) if each is term else each for each in self.terms)
        )

    def goes_on_from(self, before: "KeyHistory") -> bool:
        """Whether this may be what became of an earlier history: the same keys from the same entries on, and no revocation taken back.

        A key alone may be of any time of the log.
        """
        if len(before.terms) == 1:
            return before.first in self.keys
        if len(before.terms) > len(self.terms):
            return False
        return all(
            (was.key, was.start) == (now.key, now.start)
            and (was.revoked is None or (now.revoked is not None and now.revoked <= was.revoked))
            for was, now in zip(before.terms, self.terms, strict=False)
        )

    def later(self, size: int) -> tuple[VerifierKey, ...]:
        """The key of checkpoints of this size, and those after it: who may have sealed what was written up to there."""
        return tuple(term.key for term in self.terms if term.end is None or term.end >= size)

    def open(self, note: bytes, *, own: bool = False) -> Checkpoint:
        """Read a checkpoint of this log, signed by the key of its size.

        Args:
            note: the signed note; witnesses' lines may follow.
            own: it stands in the log's own storage, from where a later revocation takes nothing.

        Raises:
            FormatError: it is no signed checkpoint.
            VerificationError: another key signed it, or one that was out of force, or revoked; it is of another log.
        """
        opened = open_note(note, self.keys)
        checkpoint = parse_checkpoint(opened.text)
        if checkpoint.origin != self.origin:
            raise VerificationError(
                Code.ORIGIN_MISMATCH,
                f"the checkpoint is of the log {checkpoint.origin!r}, not of {self.origin!r}",
            )
        self._refuse_out_of_force(opened, checkpoint.size)
        term = self.at(checkpoint.size)
        if not own and self.is_revoked(checkpoint.size):
            raise VerificationError(
                Code.UNKNOWN_SIGNER,
                f"the checkpoint of size {checkpoint.size} is signed with {term.key}, whose signatures count for nothing from entry "
                f"{term.revoked} on: the key was revoked",
            )
        return checkpoint

    def is_revoked(self, size: int) -> bool:
        """Whether the signature on a checkpoint of this size counts for nothing."""
        revoked = self.at(size).revoked
        return revoked is not None and size > revoked

    def _refuse_out_of_force(self, opened: Note, size: int) -> None:
        """Whoever has an old key can sign; that counts only for what the key was in force for.

        Raises:
            VerificationError: `unknown-signer`.
        """
        term = self.at(size)
        if term.key not in opened.verified_keys:
            other = next(each for each in self.terms if each.key in opened.verified_keys)
            upto = "" if other.end is None else f" to {other.end - 1}"
            raise VerificationError(
                Code.UNKNOWN_SIGNER,
                f"the checkpoint of size {size} is signed with {other.key}, which signs for the entries from {other.start}{upto} alone; "
                f"the key of that size is {term.key}",
            )


def may_tell_keys(entry: bytes) -> bool:
    """Whether an entry may be about keys: told without parsing, of canonical bytes; of own entries there may be very many."""
    return any(mark in entry for mark in _MARKS)


def _key(ext: Mapping[str, Any]) -> VerifierKey:
    return parse_vkey(str(ext.get("log.vkey")))


# ---- as a proof


def format_history(first: VerifierKey, receipts: Sequence[bytes]) -> bytes:
    """The text that `parse_history` reads, with a newline: the receipts are those of the log's own entries about its keys, in order."""
    entries: list[JsonValue] = [receipt.decode() for receipt in receipts]
    return canonical.dumps({"entries": entries, "first": format_vkey(first), "keys": VERSION}) + b"\n"


def parse_history(data: bytes, known: VerifierKey) -> KeyHistory:
    """Read a history and check all of it.

    Args:
        data: the proof.
        known: any key of the log, which whoever asks has from somebody they trust.

    Raises:
        FormatError: it is none.
        LedgerError: it does not hold; or it is not of the log that has this key.
    """
    first, receipts = parse_steps(data)
    history = KeyHistory.begin(first)
    for text in receipts:
        history = follow_step(history, text)
    if known not in history.keys:
        raise VerificationError(
            Code.UNKNOWN_SIGNER,
            f"the key {known} is none of those that the log proves to have had: {', '.join(map(str, history.keys))}",
        )
    return history


def handovers(data: bytes) -> tuple[bytes, ...]:
    """The checkpoints that a history leads to, those signed with both keys among them; nothing is checked.

    Raises:
        FormatError: it is none.
    """
    return tuple(parse_receipt(text).checkpoint_note for text in parse_steps(data)[1])


def follow_step(history: KeyHistory, text: bytes) -> KeyHistory:
    """The history with what the entry of one receipt of a proof says of it, once that is checked.

    Raises:
        LedgerError: as `parse_history`.
    """
    receipt = parse_receipt(text)
    entry = parse_entry(receipt.extra or b"")
    ext = entry.members.get("ext")
    kind = entry.members.get("type")
    if (
        entry.seq != receipt.index
        or entry.submitter != OWN_SUBMITTER
        or kind not in (ROTATED, KEY_REVOKED)
        or not isinstance(ext, dict)
    ):
        raise _malformed(f"the receipt of entry {receipt.index} is not that of a {ROTATED} or {KEY_REVOKED}")
    if entry.seq <= history.terms[-1].start:
        raise _malformed(f"entry {entry.seq} is not in its order")
    later = history.after(str(kind), ext, entry.seq)
    signers = {history.current, later.current}  # of a rotation both: one hands over, the other takes over
    checkpoint = _signed_by(signers, receipt, history.origin)
    leaf = leaf_hash(receipt.extra or b"")
    verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    return later


def _signed_by(signers: set[VerifierKey], receipt: Receipt, origin: str) -> Checkpoint:
    opened = open_note(receipt.checkpoint_note, signers)
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != origin or signers != {*opened.verified_keys}:
        raise VerificationError(
            Code.UNKNOWN_SIGNER,
            f"the checkpoint of size {checkpoint.size} that covers entry {receipt.index} is not signed with "
            + " and ".join(sorted(map(str, signers))),
        )
    return checkpoint


def parse_steps(data: bytes) -> tuple[VerifierKey, list[bytes]]:
    """The first key and the receipts of a proof; nothing is checked.

    Raises:
        FormatError: it is none.
    """
    if len(data) > MAX_BYTES:
        raise _malformed(f"it is longer than {MAX_BYTES} bytes")
    match canonical.loads(data):
        case {"entries": list(texts), "first": str(first), "keys": 1, **rest} if not rest:
            if all(isinstance(text, str) for text in texts):
                return parse_vkey(first), [str(text).encode() for text in texts]
    raise _malformed(f"it is an object with the members entries (texts), first (a text) and keys ({VERSION})")


def _malformed(detail: str) -> FormatError:
    return FormatError(Code.MALFORMED_EVIDENCE, f"not a history of keys: {detail}")
