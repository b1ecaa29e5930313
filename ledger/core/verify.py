"""Verifies a whole log: joins its stretches, follows its keys, compares it with what was kept outside.

    verifier = Verifier(vkey, pins=[note])
    for stored in stretches(...): verifier.join(check_stretch(stored, verifier.hints(stored.start)))
    report = verifier.finish()

`check_stretch` may run in other processes, with hints that are not the newest; stretches are joined in order.
What a verification must establish is said in docs/format.md.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.chain import Stored, name_gap
from ledger.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from ledger.core.entry import FORMAT_VERSION
from ledger.core.errors import Code, LedgerError
from ledger.core.joined import Joined
from ledger.core.kept import Compared, KeptElsewhere, Pin
from ledger.core.keyhistory import CREATED, KEY_REVOKED, ROTATED, KeyHistory
from ledger.core.merkle import EMPTY_ROOT, frontier_nodes, node_hash
from ledger.core.note import VerifierKey, format_vkey, parse_note
from ledger.core.report import Findings, Kind, Level, Report, Rested
from ledger.core.retired import Retirement
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
from ledger.core.succession import SUCCEEDS, wrong_succession

__all__ = ["Pin", "Verifier"]

ROTATING = "; the first one after a rotation of the log's key is signed with both keys"


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
        joined: Joined | None = None,
        rested: Rested | None = None,
        goes_on: bool = False,
        handovers: Iterable[bytes] = (),
        known: VerifierKey | None = None,
    ) -> None:
        """A verifier of the log that began with this key.

        Args:
            vkey: the log's first key. It names the log, and rotations are followed from it.
            pins: checkpoints kept elsewhere.
            receipts: receipts kept elsewhere.
            level: how much will be checked, for the report; at `hashes` the form of entries is not.
            own_key: the key is the log's own word.
            joined: where an earlier verification stood, to go on from; the caller believes it.
            rested: the record it comes from, where that was another verification, not this one interrupted.
            goes_on: the log goes on beyond what will be joined: what was kept of a larger size is not compared.
            known: the key that somebody has from elsewhere, where that is a later one: the log must come to have had it.
            handovers: where no checkpoints are stored with entries: those that were signed with both keys during rotations.

        Raises:
            LedgerError: `origin-mismatch`: the earlier verification was of a log that began with another key.
        """
        self.origin = vkey.name
        self.erased = self.withheld = 0
        self._at = joined or Joined([vkey], KeyHistory.begin(vkey))
        if self._at.history.first != vkey:
            detail = f"the verification to go on from was of the log {format_vkey(self._at.history.first)}"
            raise LedgerError(Code.ORIGIN_MISMATCH, f"{detail}, not of {format_vkey(vkey)}")
        self._level, self._own_key, self._rested = level, own_key, rested
        self._base, self._goes_on = self._at.size, goes_on
        self._handovers = _by_size(handovers)
        self._known = known or vkey
        self._at.retirement.base = rested.base if rested is not None else 0
        self._kept = KeptElsewhere(self.origin, pins, receipts, rested, self.findings)
        if (root := self._root()) is not None:
            self._at.roots[self.size] = root

    @property
    def size(self) -> int:
        """Where what was joined ends."""
        return self._at.size

    @property
    def findings(self) -> Findings:
        """What was found so far."""
        return self._at.findings

    @property
    def history(self) -> KeyHistory:
        """The log's keys so far."""
        return self._at.history

    @property
    def retirement(self) -> Retirement:
        """Which entries are gone, and why."""
        return self._at.retirement

    def state(self) -> dict[str, Any]:
        """What is known so far, as JSON values, for `Joined.from_json`: another verifier can go on from here."""
        return self._at.to_json()

    def root(self) -> bytes | None:
        """The root over what was joined; None where a hash is unknown."""
        return self._root()

    # ---- taking in

    def hints(self, start: int) -> Hints:
        """What `check_stretch` needs to know for the stretch from `start` on."""
        end = start + STRETCH_ENTRIES
        return Hints(
            self.origin,
            self._at.log_keys[-1],
            dict(self._at.agent_keys),
            tuple(size for size in self._kept.marks | self._handovers.keys() if start < size <= end),
            tuple(index for index in self._kept.leaves if start <= index < end),
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
        self._at.retirement.take(outcome.gone, outcome.own)
        for kept in self._kept.marks:
            if self.size < kept <= outcome.start + outcome.length and (
                root := self._root(outcome.nodes[kept])
            ):
                self._at.roots[kept] = root
        self._at.leaves.update(outcome.leaves)
        self._grow(outcome)

    def skip(self, to: int, *, unreadable: str | None = None) -> None:
        """Nothing is stored from the end of what was joined to before `to`, or it cannot be read, and why."""
        if unreadable is None:
            name_gap(self.size, to - self.size, self.findings)
        else:
            where = f"entries {self.size} to {to - 1}"
            self.findings.add(Kind.UNVERIFIABLE, where, f"they cannot be read: {unreadable}", self.size)
        self._at.size, self._at.tree, self._at.last_hash, self._at.linked = to, None, None, False

    def _link(self, outcome: Outcome) -> None:
        """The chain and the clock between the stretch and what comes before it."""
        claim, last = outcome.first_prev, self._at.last_hash
        if not self._at.linked and claim is not None and last is not None and claim != last.hex().encode():
            detail = "its `prev` is not the leaf hash of the entry before"
            self.findings.add(Kind.ALTERED, f"entry {outcome.start}", detail, outcome.start)
        self._at.linked = outcome.looked_ahead
        if outcome.first_time and outcome.first_time < self._at.last_time:
            detail = f"recorded at {outcome.first_time}, and one before it at {self._at.last_time}"
            self.findings.add(Kind.ALTERED, f"entry {outcome.start}", detail, outcome.start)
        self._at.last_time = outcome.last_time or self._at.last_time

    def _grow(self, outcome: Outcome) -> None:
        end = outcome.start + outcome.length
        nodes = outcome.nodes.get(end)
        if self._at.tree is not None and nodes is not None:
            for (level, _), node in zip(frontier_nodes(outcome.length), nodes, strict=True):
                _attach(self._at.tree, level, node)
        else:
            self._at.tree = None
        self._at.size, self._at.last_hash = end, outcome.last_hash
        self._at.read += outcome.length - outcome.missing

    def _root(self, nodes: Sequence[bytes] | None = ()) -> bytes | None:
        """The root over what was joined and subtrees after it; None where a hash among them is unknown."""
        if self._at.tree is None or nodes is None:
            return None
        subtrees = [*(node for _, node in self._at.tree), *nodes]
        root = subtrees.pop() if subtrees else EMPTY_ROOT
        while subtrees:
            root = node_hash(subtrees.pop(), root)
        return root

    # ---- what the log says of itself, in order

    def _follow(self, outcome: Outcome) -> None:
        """Own records, signatures and checkpoints, each judged under the keys in force at its place."""
        events: list[Own | Signed | Noted] = [*outcome.own, *outcome.signed, *outcome.noted]
        end = outcome.start + outcome.length
        events += [
            Noted(size - 1, note) for size, note in self._handovers.items() if outcome.start < size <= end
        ]
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
        elif own.type in (ROTATED, KEY_REVOKED):
            self._follow_keys(own)
        elif own.type == SUCCEEDS:
            if problem := wrong_succession(own):
                self.findings.add(Kind.ALTERED, f"entry {own.seq}", problem, own.seq)
        else:
            if given_again(self._at.given, own):
                detail = "it gives a key id for a second time"
                self.findings.add(Kind.ALTERED, f"entry {own.seq}", detail, own.seq)
            follow_agent_keys(self._at.agent_keys, own)

    def _check_genesis(self, own: Own) -> None:
        told = (own.type, own.ext.get("log.origin"), own.ext.get("log.format"), own.ext.get("log.vkey"))
        if told != (CREATED, self.origin, FORMAT_VERSION, format_vkey(self._at.history.first)):
            detail = f"it is {told[0]} of the log {told[1]}, format {told[2]}, with the key {told[3]}: not the log of the key given"
            self.findings.add(Kind.ALTERED, "entry 0", detail, 0)

    def _follow_keys(self, own: Own) -> None:
        try:
            self._at.history = self._at.history.after(own.type, own.ext, own.seq)
        except LedgerError as error:
            what = "its new key cannot be used" if own.type == ROTATED else "it revokes what it cannot"
            self.findings.add(Kind.ALTERED, f"entry {own.seq}", f"{what}: {error.detail}", own.seq)
            return
        if own.type == ROTATED:
            self._at.log_keys.append(self._at.history.current)

    def _check_signature(self, signed: Signed) -> None:
        public = self._at.agent_keys.get(signed.key_id)
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
        self._at.noted = noted.seq
        checkpoint = noted.checkpoint
        if checkpoint is None or [noted.signer] != self._at.log_keys:
            try:
                for key in self._at.log_keys:
                    checkpoint = open_checkpoint(noted.note, [key], self.origin)
            except LedgerError as error:
                turning = ROTATING if len(self._at.log_keys) > 1 else ""
                self.findings.add(Kind.ALTERED, where, error.detail + turning, noted.seq)
                return
            self._at.log_keys = self._at.log_keys[-1:]
        if checkpoint is None or checkpoint.size != noted.seq + 1:
            size = checkpoint.size if checkpoint else "unknown"
            self.findings.add(Kind.ALTERED, where, f"it is of size {size}, not {noted.seq + 1}", noted.seq)
            return
        self._check_root(checkpoint, root, where)

    def _check_root(self, checkpoint: Checkpoint, root: bytes | None, where: str) -> None:
        if root == checkpoint.root:
            self._at.covered = checkpoint.size
            return
        self._at.doubted += 1
        if self._at.doubted > 1 or self.findings.between(self._at.covered, checkpoint.size):
            return  # the roots after one that is wrong, and those over an altered entry, are wrong for the same reason
        if root is None:
            detail = "entries before it are missing, so the roots from here on cannot be computed"
            self.findings.add(Kind.UNVERIFIABLE, where, detail, checkpoint.size - 1)
        else:
            detail = f"the entries do not give the root it signs; they last did at size {self._at.covered}"
            self.findings.add(Kind.ALTERED, where, detail, self._at.covered)

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
        elif self._at.noted != self.size - 1:
            detail = f"no signed checkpoint covers the entries {self._at.noted + 1} to {self.size - 1}"
            self.findings.add(Kind.MISSING, f"the checkpoint of size {self.size}", detail, self._at.noted + 1)
        if self._known not in self.history.keys and not self._goes_on:
            detail = f"the key given, {self._known}, is none of those that the log had: it is not the log of that key"
            self.findings.add(Kind.ALTERED, "entry 0", detail, 0)
        self._at.retirement.finish(self.findings)
        at = self._at
        known = Compared(at.history, self.size, self._base, at.covered, at.roots, at.leaves, self._goes_on)
        anchors, not_compared = self._kept.compare(known), self._kept.not_compared(known)
        anchored_to = max((a.size for a in anchors if a.agrees and a.outside), default=0)
        findings = self.findings.listed()
        doubt = self.findings.first_seq
        return Report(
            origin=self.origin,
            size=self.size,
            root=self._root() or b"",
            entries_checked=self._at.read,
            anchored_to=anchored_to,
            anchors=anchors,
            findings=findings,
            unlisted=self.findings.count - len(findings),
            erased=self.erased,
            withheld=self.withheld,
            good_up_to=self.size if doubt is None else min(doubt, self.size),
            level=self._level,
            own_key=self._own_key,
            retired=tuple(self._at.retirement.told),
            retired_unlisted=self._at.retirement.unlisted,
            retired_entries=self._at.retirement.entries,
            retired_contents=self._at.retirement.contents,
            waiting=self._at.retirement.waiting,
            rests_on=self._rested,
            not_compared=not_compared,
        )


def _by_size(notes: Iterable[bytes]) -> dict[int, bytes]:
    """Checkpoints by their size; whoever signed them is checked where they are needed."""
    return {parse_checkpoint(parse_note(note).text).size: note for note in notes}


def _attach(tree: list[tuple[int, bytes]], level: int, node: bytes) -> None:
    """Add a subtree at the right edge; equal ones become one."""
    while tree and tree[-1][0] == level:
        node = node_hash(tree.pop()[1], node)
        level += 1
    tree.append((level, node))
