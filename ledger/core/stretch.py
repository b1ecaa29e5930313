"""Verifies a stretch of entries by itself, so that stretches can be spread over processes.

A stretch begins at a multiple of STRETCH_ENTRIES, so its subtrees are subtrees of the whole tree: what joins the stretches
(`ledger.core.verify.Verifier`) hashes next to nothing. What depends on entries before the stretch (which keys were in force, the
link to the entry before) is assumed from hints and reported, and the joiner settles it. Wrong hints cost time, never truth.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from ledger.core.canonical import JsonValue
from ledger.core.chain import Stored, claimed_prev, gone, leaf_hashes
from ledger.core.checkpoint import Checkpoint, open_checkpoint
from ledger.core.ed25519 import verify
from ledger.core.entry import OWN_PREFIX, OWN_SUBMITTER, Entry, parse_entry, record_signing_input
from ledger.core.errors import LedgerError
from ledger.core.merkle import complete_subtrees, frontier_nodes
from ledger.core.note import VerifierKey
from ledger.core.report import Finding, Findings, Kind
from ledger.core.shape import Seen, Shapes
from ledger.core.text import parse_base64

STRETCH_ENTRIES = 2048

_SUBMITTER = b',"submitter":"'
_BRACE = b"}"
_OWN_END = _SUBMITTER + b'log","v":1}'

Visit = Callable[[int, Seen, bool], None]

_PLAIN = Shapes()


class Hints(NamedTuple):
    """What is known or assumed of the log before a stretch.

    Attributes:
        origin: the log's name.
        log_key: its key, probably in force.
        agent_keys: the agent keys probably in force at the start: key id → public key.
        marks: sizes at which the tree's nodes are wanted.
        leaves: entries whose leaf hashes are wanted.
        forms: whether to check the form of every entry, or hashes alone.
    """

    origin: str
    log_key: VerifierKey
    agent_keys: Mapping[str, bytes] = {}
    marks: Collection[int] = ()
    leaves: Collection[int] = ()
    forms: bool = True


class Signed(NamedTuple):
    """An entry's signature: under which key it was found to hold, or what is needed to check it."""

    seq: int
    key_id: str
    public: bytes | None
    record: bytes = b""
    signature: bytes = b""


class Own(NamedTuple):
    """One of the log's own records."""

    seq: int
    type: str
    ext: dict[str, JsonValue]


class Noted(NamedTuple):
    """A stored checkpoint, and the key it was opened under: None where it could not be, under the hinted one."""

    seq: int
    note: bytes
    checkpoint: Checkpoint | None = None
    signer: VerifierKey | None = None


class Outcome(NamedTuple):
    """What a stretch turned out to be.

    Attributes:
        start: the seq of its first entry.
        length: how many entries it covers, missing ones included.
        missing: how many of them are missing.
        gone: the ranges of those among them whose hashes are stored.
        first_prev: the hex that its first entry gives as the hash before it; None when that entry cannot say.
        looked_ahead: the link to the entry after the stretch was checked here.
        last_hash: the leaf hash of its last entry; None when unknown.
        nodes: the complete subtrees of the stretch at each size that is wanted and at its end, largest first; None from
            where on a hash is unknown.
        leaves: the leaf hashes wanted.
        first_time: the first and
        last_time: the last `recorded_at`, "" when not read.
        own: the log's own records, in order.
        signed: the entries with signatures, in order.
        noted: the stored checkpoints, in order.
        findings: what is wrong within the stretch.
        unlisted: how many more are.
    """

    start: int
    length: int
    missing: int
    gone: list[tuple[int, int]]
    first_prev: bytes | None
    looked_ahead: bool
    last_hash: bytes | None
    nodes: dict[int, list[bytes] | None]
    leaves: dict[int, bytes]
    first_time: str
    last_time: str
    own: list[Own]
    signed: list[Signed]
    noted: list[Noted]
    findings: list[Finding]
    unlisted: int


def check_stretch(
    stored: Stored, hints: Hints, visit: Visit | None = None, shapes: Shapes = _PLAIN
) -> Outcome:
    """Verify what can be verified of a stretch by itself.

    Args:
        stored: the stretch.
        hints: what is assumed of the log before it.
        visit: called, where forms are checked, with each entry that can be read, in order: its place, what it says, and whether it
            is sound.
        shapes: the shapes of entries met before, and which members `visit` is told.
    """
    findings = Findings()
    reader = _Reader(hints, findings, visit, shapes)
    hashes = leaf_hashes(stored, findings)
    numbered: Iterable[tuple[int, bytes | None]] = enumerate(stored.entries, stored.start)
    reader.read(numbered if hints.forms else _telling(stored.entries, stored.start))
    outcome = _conclude(stored.start, hashes, stored.notes, reader)
    return outcome._replace(
        missing=list(stored.entries).count(None),
        gone=gone(stored),
        first_prev=claimed_prev(stored.entries[0]) if stored.entries else None,
        looked_ahead=bool(stored.following),
    )


class Sound(NamedTuple):
    """A stretch whose hashes and chain were found to hold by whoever read it, faster than `check_stretch` can.

    Attributes:
        start: the seq of its first entry.
        hashes: the hashes computed of its entries' bytes; each is the one stored, and what the next entry says.
        first_prev: the hex that the first entry says.
        looked_ahead: whether the entry after it was there and says the last hash.
        notes: the signed checkpoints stored on its rows, by seq.
        telling: the log's own entries and those with a signature, in order; others may be among them.
    """

    start: int
    hashes: Sequence[bytes]
    first_prev: bytes
    looked_ahead: bool
    notes: Mapping[int, bytes]
    telling: Sequence[tuple[int, bytes]]


def check_sound(sound: Sound, hints: Hints) -> Outcome:
    """What is left to verify of such a stretch: roots, signatures, what the log says of itself. Forms are not looked at."""
    reader = _Reader(hints, Findings(), None, _PLAIN)
    reader.read(sound.telling)
    outcome = _conclude(sound.start, sound.hashes, sound.notes, reader)
    return outcome._replace(first_prev=sound.first_prev, looked_ahead=sound.looked_ahead)


def _conclude(
    start: int, hashes: Sequence[bytes | None], notes: Mapping[int, bytes], reader: "_Reader"
) -> Outcome:
    """What is found of whole entries, but for how the stretch begins and ends."""
    hints, findings, count = reader.hints, reader.findings, len(hashes)
    noted = [_open_note(seq, note, hints) for seq, note in sorted(notes.items())]
    marks = {entry.seq + 1 for entry in noted} | {m for m in hints.marks if start < m <= start + count}
    return Outcome(
        start=start,
        length=count,
        missing=0,
        gone=[],
        first_prev=None,
        looked_ahead=False,
        last_hash=hashes[-1] if hashes else None,
        nodes=_fold(hashes, start, sorted(marks | {start + count})),
        leaves={i: h for i in hints.leaves if start <= i < start + count and (h := hashes[i - start])},
        first_time=reader.first_time,
        last_time=reader.last_time,
        own=reader.own,
        signed=reader.signed,
        noted=noted,
        findings=findings.kept,
        unlisted=findings.count - len(findings.kept),
    )


def _open_note(seq: int, note: bytes, hints: Hints) -> Noted:
    try:
        return Noted(seq, note, open_checkpoint(note, [hints.log_key], hints.origin), hints.log_key)
    except LedgerError:
        return Noted(seq, note)


def _fold(hashes: Sequence[bytes | None], start: int, sizes: Sequence[int]) -> dict[int, list[bytes] | None]:
    """The subtrees of the stretch's beginnings. It begins where its largest could, so they are all among its own complete ones."""
    # `all` first: to compare each with None costs several times as much.
    known = len(hashes) if all(hashes) or None not in hashes else hashes.index(None)
    levels = complete_subtrees(hashes[:known])  # type: ignore[arg-type]  # none is None before `known`
    return {
        size: [levels[level][index] for level, index in frontier_nodes(size - start)]
        if size - start <= known
        else None
        for size in sizes
    }


# ---- the entries' form


class _Reader:
    """Reads the entries of a stretch in order: form, place, time, submitter, signature."""

    def __init__(self, hints: Hints, findings: Findings, visit: Visit | None, shapes: Shapes) -> None:
        self.first_time = self.last_time = ""
        self.own: list[Own] = []
        self.signed: list[Signed] = []
        self.hints, self.findings, self._visit, self._shapes = hints, findings, visit, shapes
        self._agent_keys = dict(hints.agent_keys)

    def read(self, numbered: Iterable[tuple[int, bytes | None]]) -> None:
        visit, findings, known = self._visit, self.findings, self._shapes.read
        for seq, data in numbered:
            if data is None:
                continue
            # An entry of a known shape is of a common author, and not signed.
            seen = known(data)
            if seen is not None:
                self._check_place(seq, seen)
            elif (seen := self._parse(seq, data)) is None:
                continue
            if visit is not None:
                visit(seq, seen, not (findings.kept and findings.between(seq, seq + 1)))

    def _parse(self, seq: int, data: bytes) -> Seen | None:
        try:
            entry = parse_entry(data)
        except LedgerError as error:
            self.findings.add(Kind.ALTERED, f"entry {seq}", error.detail, seq)
            return None
        self._shapes.learn(data, entry)
        seen = self._shapes.seen(entry)
        self._check_place(seq, seen)
        self._check_author(seq, entry)
        if entry.signature is not None:
            self.signed.append(self._check_signature(seq, entry, entry.signature))
        return seen

    def _check_place(self, seq: int, seen: Seen) -> None:
        if seen.seq != seq:
            self.findings.add(Kind.ALTERED, f"entry {seq}", f"it says that it is entry {seen.seq}", seq)
        # An altered entry tells no time.
        if seen.recorded_at != self.last_time and not self.findings.between(seq, seq + 1):
            self._check_time(seq, seen.recorded_at)

    def _check_time(self, seq: int, recorded_at: str) -> None:
        if recorded_at < self.last_time:
            self.findings.add(
                Kind.ALTERED,
                f"entry {seq}",
                f"recorded at {recorded_at}, and the one before it at {self.last_time}",
                seq,
            )
        self.last_time = recorded_at
        self.first_time = self.first_time or recorded_at

    def _check_author(self, seq: int, entry: Entry) -> None:
        record_type, ext = entry.members.get("type"), entry.members.get("ext", {})
        if not isinstance(record_type, str) or not isinstance(ext, dict):
            self.findings.add(
                Kind.ALTERED, f"entry {seq}", "its record has no type, or an ext that is no object", seq
            )
            return
        owns = entry.submitter == OWN_SUBMITTER
        if owns != record_type.startswith(OWN_PREFIX) or (
            ext and not owns and any(key.startswith(OWN_PREFIX) for key in ext)
        ):
            self.findings.add(
                Kind.ALTERED,
                f"entry {seq}",
                f"{entry.submitter} wrote {record_type}: `log.` is for the log itself, and nothing else is",
                seq,
            )
        elif owns:
            self.own.append(Own(seq, record_type, ext))
            follow_agent_keys(self._agent_keys, self.own[-1])

    def _check_signature(self, seq: int, entry: Entry, signature: tuple[str, str]) -> Signed:
        key_id, raw = signature[0], parse_base64(signature[1])
        public = self._agent_keys.get(key_id)
        if public is not None and signature_holds(public, self.hints.origin, entry.record, raw):
            return Signed(seq, key_id, public)
        return Signed(seq, key_id, None, entry.record, raw)


def _telling(entries: Sequence[bytes | None], start: int) -> list[tuple[int, bytes | None]]:
    """The entries that must be read even where forms are not checked: the log's own, and those with a signature.

    Submitter and version end an entry, and a signature, an object, would stand right before them. Most entries of a stretch
    end as its last one does, and comparing ends takes half as long as looking for the submitter.
    """
    last = (entries[-1] if entries else None) or b""
    at = last.rfind(_SUBMITTER)
    end = last[at:]
    numbered: Iterable[tuple[int, bytes | None]] = enumerate(entries, start)
    if at >= 0 and end != _OWN_END:
        before, size = -len(end) - 1, -len(end)
        numbered = [
            (seq, data)
            for seq, data in numbered
            if not data or not data.endswith(end) or data[before:size] == _BRACE
        ]
    return [
        (seq, data)
        for seq, data in numbered
        if data and (_before_submitter(data) == _BRACE or data.endswith(_OWN_END))
    ]


def _before_submitter(data: bytes) -> bytes:
    at = data.rfind(_SUBMITTER)
    return data[at - 1 : at]


def signature_holds(public: bytes, origin: str, record: bytes, signature: bytes) -> bool:
    """Whether an agent's signature over its record holds under a key."""
    try:
        verify(public, record_signing_input(origin, record), signature)
    except LedgerError:
        return False
    return True


def follow_agent_keys(keys: dict[str, bytes], own: Own) -> None:
    """Change which agent keys are in force by one of the log's own records.

    `log.access_granted` with `log.key_id` and `log.public_key` (base64) puts a key in force for the entries after it,
    `log.access_revoked` takes it out of force.
    """
    key_id, public = own.ext.get("log.key_id"), own.ext.get("log.public_key")
    if not isinstance(key_id, str):
        return
    if own.type == "log.access_revoked":
        keys.pop(key_id, None)
    elif own.type == "log.access_granted" and isinstance(public, str):
        try:
            keys[key_id] = parse_base64(public)
        except ValueError:
            keys.pop(key_id, None)


def given_again(given: set[str], own: Own) -> bool:
    """Whether a record grants a key id of `given`, which is added to: what the first key signed would be the word of the second."""
    key_id = own.ext.get("log.key_id")
    if own.type != "log.access_granted" or not isinstance(key_id, str):
        return False
    again = key_id in given
    given.add(key_id)
    return again
