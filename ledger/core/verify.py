"""Verifies a whole log: joins its stretches, follows its keys, compares it with what was kept outside.

    verifier = Verifier(vkey, pins=[note])
    for stored in stretches(...): verifier.join(check_stretch(stored, verifier.hints(stored.start)))
    report = verifier.finish()

`check_stretch` may run in other processes, with hints that are not the newest; stretches are joined in order.
What a verification must establish is said in docs/format.md.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ledger.core.chain import Stored, name_gap
from ledger.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from ledger.core.entry import FORMAT_VERSION, GENESIS_PREV
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import EMPTY_ROOT, frontier_nodes, node_hash, verify_inclusion
from ledger.core.note import VerifierKey, format_vkey, parse_note, parse_vkey
from ledger.core.receipt import Receipt, parse_receipt
from ledger.core.report import Anchor, Findings, Kind, Level, Report
from ledger.core.stretch import (
    STRETCH_ENTRIES,
    Hints,
    Noted,
    Outcome,
    Own,
    Signed,
    Visit,
    check_stretch,
    follow_agent_keys,
    given_again,
    signature_holds,
)

CREATED = "log.created"
ROTATED = "log.key_rotated"


class Pin(NamedTuple):
    """A signed checkpoint of this log that was kept somewhere else.

    Attributes:
        note: the signed note.
        what: how to name it in a report.
        outside: whether it was out of reach of whoever runs the log. The head anchor beside the data folder was not.
    """

    note: bytes
    what: str = "pinned checkpoint"
    outside: bool = True


class _Kept(NamedTuple):
    """A pin or receipt that could be read."""

    what: str
    outside: bool
    checkpoint: Checkpoint
    note: bytes
    receipt: Receipt | None


class Verifier:
    """Joins stretches into a report. Feed it in order, then `finish`."""

    def __init__(
        self,
        vkey: VerifierKey,
        *,
        pins: Iterable[Pin | bytes] = (),
        receipts: Iterable[bytes] = (),
        level: Level = Level.ENTRIES,
        own_key: bool = False,
    ) -> None:
        """A verifier of the log that began with this key.

        Args:
            vkey: the log's first key. It names the log, and rotations are followed from it.
            pins: checkpoints kept elsewhere.
            receipts: receipts kept elsewhere.
            level: how much will be checked, for the report; at `hashes` the form of entries is not.
            own_key: the key is the log's own word.
        """
        self.origin = vkey.name
        self.findings = Findings()
        self.size = 0
        self.entries_read = 0
        self.erased = self.withheld = 0
        self._level, self._own_key = level, own_key
        self._log_keys, self._all_log_keys = [vkey], [vkey]
        self._agent_keys: dict[str, bytes] = {}
        self._given: set[str] = set()
        self._tree: list[tuple[int, bytes]] | None = []  # the complete subtrees so far, largest first
        self._last_hash: bytes | None = GENESIS_PREV
        self._linked = False  # whether the link from the last entry to the next was checked already
        self._last_time = ""
        self._noted = -1  # the newest row with a checkpoint, whatever that is worth
        self._covered = 0  # the size of the newest checkpoint that holds
        self._doubted_roots = 0
        self._kept = [kept for pin in pins if (kept := self._read_pin(pin))]
        self._kept += [kept for data in receipts if (kept := self._read_receipt(data))]
        self._marks = frozenset(kept.checkpoint.size for kept in self._kept)
        self._leaves = frozenset(kept.receipt.index for kept in self._kept if kept.receipt is not None)
        self._roots: dict[int, bytes] = {0: EMPTY_ROOT}
        self._leaf_hashes: dict[int, bytes] = {}

    # ---- what was kept elsewhere

    def _read_pin(self, pin: Pin | bytes) -> _Kept | None:
        pin = Pin(pin) if isinstance(pin, bytes) else pin
        try:
            checkpoint = parse_checkpoint(parse_note(pin.note).text)
            if checkpoint.origin == self.origin:
                return _Kept(pin.what, pin.outside, checkpoint, pin.note, None)
            problem = f"it is of the log {checkpoint.origin}, not of {self.origin}"
        except LedgerError as error:
            problem = error.detail
        self.findings.add(Kind.UNVERIFIABLE, f"the {pin.what}", problem)
        return None

    def _read_receipt(self, data: bytes) -> _Kept | None:
        try:
            receipt = parse_receipt(data)
        except LedgerError as error:
            self.findings.add(Kind.UNVERIFIABLE, "a receipt", error.detail)
            return None
        kept = self._read_pin(Pin(receipt.checkpoint_note, f"receipt of entry {receipt.index}"))
        return None if kept is None else kept._replace(receipt=receipt)

    # ---- taking in

    def hints(self, start: int) -> Hints:
        """What `check_stretch` needs to know for the stretch from `start` on."""
        end = start + STRETCH_ENTRIES
        return Hints(
            self.origin,
            self._log_keys[-1],
            dict(self._agent_keys),
            tuple(size for size in self._marks if start < size <= end),
            tuple(index for index in self._leaves if start <= index < end),
            self._level is not Level.HASHES,
        )

    def add(self, stored: Stored, visit: Visit | None = None) -> None:
        """Check a stretch in this process and join it."""
        self.join(check_stretch(stored, self.hints(stored.start), visit))

    def join(self, outcome: Outcome) -> None:
        """Take in the next stretch.

        Raises:
            LedgerError: `out-of-range`: it does not begin where a stretch can, or before the end of what was joined.
        """
        if outcome.start % STRETCH_ENTRIES or outcome.start < self.size or outcome.length > STRETCH_ENTRIES:
            raise LedgerError(
                Code.OUT_OF_RANGE,
                f"a stretch of {outcome.length} from {outcome.start} cannot follow {self.size} entries: stretches begin at "
                f"multiples of {STRETCH_ENTRIES}",
            )
        if outcome.start > self.size:
            self.skip(outcome.start)
        self._link(outcome)
        self.findings.take(outcome.findings, outcome.unlisted)
        self._follow(outcome)
        for kept in self._marks:
            if self.size < kept <= outcome.start + outcome.length and (
                root := self._root(outcome.nodes[kept])
            ):
                self._roots[kept] = root
        self._leaf_hashes.update(outcome.leaves)
        self._grow(outcome)

    def skip(self, to: int, *, unreadable: str | None = None) -> None:
        """Nothing is stored from the end of what was joined to before `to`, or it cannot be read, and why."""
        if unreadable is None:
            name_gap(self.size, to - self.size, self.findings)
        else:
            where = f"entries {self.size} to {to - 1}"
            self.findings.add(Kind.UNVERIFIABLE, where, f"they cannot be read: {unreadable}", self.size)
        self.size, self._tree, self._last_hash, self._linked = to, None, None, False

    def _link(self, outcome: Outcome) -> None:
        """The chain and the clock between the stretch and what comes before it."""
        claim, last = outcome.first_prev, self._last_hash
        if not self._linked and claim is not None and last is not None and claim != last.hex().encode():
            detail = "its `prev` is not the leaf hash of the entry before"
            self.findings.add(Kind.ALTERED, f"entry {outcome.start}", detail, outcome.start)
        self._linked = outcome.looked_ahead
        if outcome.first_time and outcome.first_time < self._last_time:
            detail = f"recorded at {outcome.first_time}, and one before it at {self._last_time}"
            self.findings.add(Kind.ALTERED, f"entry {outcome.start}", detail, outcome.start)
        self._last_time = outcome.last_time or self._last_time

    def _grow(self, outcome: Outcome) -> None:
        end = outcome.start + outcome.length
        nodes = outcome.nodes.get(end)
        if self._tree is not None and nodes is not None:
            for (level, _), node in zip(frontier_nodes(outcome.length), nodes, strict=True):
                _attach(self._tree, level, node)
        else:
            self._tree = None
        self.size, self._last_hash = end, outcome.last_hash
        self.entries_read += outcome.length - outcome.missing

    def _root(self, nodes: Sequence[bytes] | None = ()) -> bytes | None:
        """The root over what was joined and subtrees after it; None where a hash among them is unknown."""
        if self._tree is None or nodes is None:
            return None
        subtrees = [*(node for _, node in self._tree), *nodes]
        root = subtrees.pop() if subtrees else EMPTY_ROOT
        while subtrees:
            root = node_hash(subtrees.pop(), root)
        return root

    # ---- what the log says of itself, in order

    def _follow(self, outcome: Outcome) -> None:
        """Own records, signatures and checkpoints, each judged under the keys in force at its place."""
        events: list[Own | Signed | Noted] = [*outcome.own, *outcome.signed, *outcome.noted]
        # A checkpoint on a row covers the row: it comes after what the row says.
        events.sort(key=lambda event: (event.seq, isinstance(event, Noted)))
        if (
            outcome.start == 0
            and outcome.first_prev is not None
            and (not outcome.own or outcome.own[0].seq != 0)
        ):
            self.findings.add(Kind.ALTERED, "entry 0", f"it is not the log's own {CREATED}", 0)
        for event in events:
            if isinstance(event, Own):
                self._learn(event)
            elif isinstance(event, Signed):
                self._check_signature(event)
            else:
                self._check_note(event, self._root(outcome.nodes[event.seq + 1]))

    def _learn(self, own: Own) -> None:
        if own.seq == 0:
            self._check_genesis(own)
        elif own.type == CREATED:
            self.findings.add(Kind.ALTERED, f"entry {own.seq}", f"a second {CREATED}", own.seq)
        elif own.type == ROTATED:
            self._rotate(own)
        else:
            if given_again(self._given, own):
                detail = "it gives a key id for a second time"
                self.findings.add(Kind.ALTERED, f"entry {own.seq}", detail, own.seq)
            follow_agent_keys(self._agent_keys, own)

    def _check_genesis(self, own: Own) -> None:
        told = (own.type, own.ext.get("log.origin"), own.ext.get("log.format"), own.ext.get("log.vkey"))
        if told != (CREATED, self.origin, FORMAT_VERSION, format_vkey(self._all_log_keys[0])):
            detail = f"it is {told[0]} of the log {told[1]}, format {told[2]}, with the key {told[3]}: not the log of the key given"
            self.findings.add(Kind.ALTERED, "entry 0", detail, 0)

    def _rotate(self, own: Own) -> None:
        try:
            key = parse_vkey(str(own.ext.get("log.vkey")))
        except LedgerError as error:
            self.findings.add(
                Kind.ALTERED, f"entry {own.seq}", f"its new key cannot be used: {error.detail}", own.seq
            )
            return
        self._log_keys.append(key)
        self._all_log_keys.append(key)

    def _check_signature(self, signed: Signed) -> None:
        public = self._agent_keys.get(signed.key_id)
        where = f"entry {signed.seq}"
        if public is None:
            detail = f"signed with {signed.key_id}, which no entry before it puts in force: its signature cannot be checked"
            self.findings.add(Kind.UNVERIFIABLE, where, detail, signed.seq)
        elif public != signed.public and not (
            signed.record and signature_holds(public, self.origin, signed.record, signed.signature)
        ):
            detail = f"the signature with {signed.key_id} does not hold"
            self.findings.add(Kind.ALTERED, where, detail, signed.seq)

    def _check_note(self, noted: Noted, root: bytes | None) -> None:
        """A stored checkpoint: signed by the key in force (during a rotation by both), of its size, with this root."""
        where = f"the checkpoint on entry {noted.seq}"
        self._noted = noted.seq
        checkpoint = noted.checkpoint
        if checkpoint is None or [noted.signer] != self._log_keys:
            try:
                for key in self._log_keys:
                    checkpoint = open_checkpoint(noted.note, [key], self.origin)
            except LedgerError as error:
                self.findings.add(Kind.ALTERED, where, error.detail, noted.seq)
                return
            self._log_keys = self._log_keys[-1:]
        if checkpoint is None or checkpoint.size != noted.seq + 1:
            size = checkpoint.size if checkpoint else "unknown"
            self.findings.add(Kind.ALTERED, where, f"it is of size {size}, not {noted.seq + 1}", noted.seq)
            return
        self._check_root(checkpoint, root, where)

    def _check_root(self, checkpoint: Checkpoint, root: bytes | None, where: str) -> None:
        if root == checkpoint.root:
            self._covered = checkpoint.size
            return
        self._doubted_roots += 1
        if self._doubted_roots > 1 or self.findings.between(self._covered, checkpoint.size):
            return  # the roots after one that is wrong, and those over an altered entry, are wrong for the same reason
        if root is None:
            detail = "entries before it are missing, so the roots from here on cannot be computed"
            self.findings.add(Kind.UNVERIFIABLE, where, detail, checkpoint.size - 1)
        else:
            detail = f"the entries do not give the root it signs; they last did at size {self._covered}"
            self.findings.add(Kind.ALTERED, where, detail, self._covered)

    # ---- the end

    def end_with(self, note: bytes) -> None:
        """Check the newest checkpoint where no checkpoints are stored with entries: in tiles."""
        self._check_note(Noted(self.size - 1, note), self._root())

    def finish(self) -> Report:
        """The report on everything that was joined."""
        if not self.size:
            self.findings.add(
                Kind.MISSING, "entry 0", f"there is no entry: not even the log's own {CREATED}", 0
            )
        elif self._noted != self.size - 1:
            detail = f"no signed checkpoint covers the entries {self._noted + 1} to {self.size - 1}"
            self.findings.add(Kind.MISSING, f"the checkpoint of size {self.size}", detail, self._noted + 1)
        compared = [self._compare(kept) for kept in self._kept]
        anchors = tuple(anchor for anchor in compared if anchor is not None)
        anchored_to = max((a.size for a in anchors if a.agrees and a.outside), default=0)
        for anchor in anchors:
            if not anchor.agrees:
                self._report_disagreement(anchor, anchors)
        findings = self.findings.listed()
        doubt = self.findings.first_seq
        return Report(
            origin=self.origin,
            size=self.size,
            root=self._root() or b"",
            entries_checked=self.entries_read,
            anchored_to=anchored_to,
            anchors=anchors,
            findings=findings,
            unlisted=self.findings.count - len(findings),
            erased=self.erased,
            withheld=self.withheld,
            good_up_to=self.size if doubt is None else min(doubt, self.size),
            level=self._level,
            own_key=self._own_key,
        )

    def _compare(self, kept: _Kept) -> Anchor | None:
        """Compare the log with something kept elsewhere; None when that cannot be used."""
        checkpoint = kept.checkpoint
        try:
            open_checkpoint(kept.note, self._all_log_keys, self.origin)
            if kept.receipt is not None:
                self._check_receipt(kept.receipt, checkpoint)
        except LedgerError as error:
            self.findings.add(Kind.UNVERIFIABLE, f"the {kept.what}", error.detail)
            return None
        if checkpoint.size <= self.size and checkpoint.size not in self._roots:
            detail = "entries below its size are missing, so it cannot be compared"
            self.findings.add(Kind.UNVERIFIABLE, f"the {kept.what}", detail)
            return None
        agrees = self._roots.get(checkpoint.size) == checkpoint.root
        return Anchor(kept.what, checkpoint.size, agrees, kept.outside)

    def _check_receipt(self, receipt: Receipt, checkpoint: Checkpoint) -> None:
        """A receipt that vouches for this log's leaf, or for another log's root, is in order.

        Raises:
            VerificationError: it is not a receipt of the entry at its place, though its root is this log's.
        """
        leaf = self._leaf_hashes.get(receipt.index)
        if leaf is not None and self._roots.get(checkpoint.size) == checkpoint.root:
            verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)

    def _report_disagreement(self, anchor: Anchor, anchors: Sequence[Anchor]) -> None:
        if anchor.size > self.size:
            detail = (
                f"it is of size {anchor.size}, and the log ends at {self.size}: entries were lost or cut off"
            )
            self.findings.add(Kind.ROLLED_BACK, f"the log against the {anchor.what}", detail, self.size)
            return
        if self._covered < anchor.size and self.findings.between(0, anchor.size):
            return  # the log's own signed roots do not hold there either: what was altered is named already
        agreed = max((a.size for a in anchors if a.agrees and a.size < anchor.size), default=0)
        kind = Kind.FORKED if self._covered >= anchor.size else Kind.ALTERED
        detail = f"the log has another root at size {anchor.size}: entries from {agreed} on are not those it vouches for"
        self.findings.add(kind, f"the log against the {anchor.what}", detail, agreed)


def _attach(tree: list[tuple[int, bytes]], level: int, node: bytes) -> None:
    """Add a subtree at the right edge; equal ones become one."""
    while tree and tree[-1][0] == level:
        node = node_hash(tree.pop()[1], node)
        level += 1
    tree.append((level, node))
