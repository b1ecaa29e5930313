"""What a verification says: the one model that the command line, HTTP and documents share.

The verdict is never a bare "valid" (docs/format.md, "What a verification must establish"): it says up to which size the
log equals something kept elsewhere, from where on it is merely consistent with itself, and what was found, first place first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

MAX_FINDINGS = 100
TOLD = 5  # ranges that are told in words


class Kind(StrEnum):
    """What is wrong. That something was erased or retired by policy is not wrong: it is counted and told."""

    ALTERED = "altered"
    MISSING = "missing"
    ROLLED_BACK = "rolled-back"
    FORKED = "forked"
    UNVERIFIABLE = "unverifiable"


class Level(StrEnum):
    """How much was checked.

    `files`: whole files against the digests of signed manifests. `hashes`: hashes, chain, roots and signatures. `entries`: also each entry's form and place. `everything`: also all that
    is stored beside the entries.
    """

    FILES = "files"
    HASHES = "hashes"
    ENTRIES = "entries"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: what kind of thing.
        where: the place as a person would look for it (`entry 17`, `persons.salt of entry 3`).
        detail: what was expected there and what stands there.
        seq: the first entry that is in doubt because of it; None when it puts no entry in doubt.
    """

    kind: Kind
    where: str
    detail: str
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """Something the log was compared with.

    Attributes:
        what: `pinned checkpoint`, `receipt of entry 17`, `head anchor <path>`.
        size: the size of the log that it vouches for.
        agrees: whether the log has that root at that size.
        outside: whether it counts as kept out of reach of whoever runs the log.
    """

    what: str
    size: int
    agrees: bool
    outside: bool = True


class Retired(NamedTuple):
    """What is gone because the log says so.

    Attributes:
        what: `entries` (their bytes; their hashes stay) or `contents`.
        start: the range that the log speaks of, from here
        end: to before here.
        gone: how many entries or contents of it are.
        policy: the name of the policy, "" where the log names none.
        told_by: the entry that says so.
    """

    what: str
    start: int
    end: int
    gone: int
    policy: str
    told_by: int

    def __str__(self) -> str:
        place = (
            f"entry {self.start}" if self.end == self.start + 1 else f"entries {self.start} to {self.end - 1}"
        )
        what = place if self.what == "entries" else f"{self.what} of {place}"
        policy = f"policy {self.policy}, " if self.policy else ""
        return f"{what} ({policy}told by entry {self.told_by})"


class Rested(NamedTuple):
    """A verification record that this verification begins from.

    Attributes:
        size: the entries that it covers.
        root: the root it found over them.
        by: who signed it.
        at: when, as it says.
        level: how much it checked.
        base: the entries before this one were not read again.
    """

    size: int
    root: bytes
    by: str
    at: str
    level: str
    base: int

    @property
    def what(self) -> str:
        """How to name it in a report."""
        return f"verification record by {self.by} of {self.at}"


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a verification.

    Attributes:
        origin: the log's name.
        size: the entries that its newest checkpoint covers, or that were found where there is none.
        root: the root over the entries as they are, 32 bytes; empty where it cannot be computed.
        entries_checked: how many were read.
        anchored_to: the largest size at which the log equals something kept outside; 0 when there is none.
        anchors: everything it was compared with.
        findings: what is wrong, first place first; at most MAX_FINDINGS.
        unlisted: how many more there are.
        erased: contents and persons that are gone, and the log says who asked for it.
        withheld: contents and persons that the ledger never had.
        good_up_to: the first entry that is in doubt; the size when none is.
        level: how much was checked.
        own_key: the verifier key was the log's own word, not given by whoever verifies.
        retired: what is gone by policy, with the entry that says so; at most MAX_FINDINGS ranges.
        retired_unlisted: how many more ranges there are.
        retired_entries: entries of which only the hash remains, by policy.
        retired_contents: contents that are gone by policy.
        waiting: what the log says is erased or retired and is still stored, until it is compacted.
        rests_on: the record of the verification that read what comes before.
        not_compared: what was kept elsewhere of a size that was not read this time.
        leftovers: files of a data folder that the ledger's own work leaves behind for a while, at most MAX_FINDINGS: no finding.
    """

    origin: str
    size: int
    root: bytes
    entries_checked: int
    anchored_to: int = 0
    anchors: tuple[Anchor, ...] = ()
    findings: tuple[Finding, ...] = ()
    unlisted: int = 0
    erased: int = 0
    withheld: int = 0
    good_up_to: int = 0
    level: Level = Level.ENTRIES
    own_key: bool = False
    retired: tuple[Retired, ...] = ()
    retired_unlisted: int = 0
    retired_entries: int = 0
    retired_contents: int = 0
    waiting: int = 0
    rests_on: Rested | None = None
    not_compared: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One line for people and programs."""
        if self.findings:
            return "findings"
        if not self.anchored_to:
            return "consistent with itself, not anchored"
        if self.anchored_to < self.size:
            return f"verified and anchored up to {self.anchored_to}; from there on consistent with itself, not anchored"
        return f"verified and anchored up to {self.anchored_to}"

    @property
    def words(self) -> tuple[str, ...]:
        """What the verdict rests on and what it does not show, a sentence each."""
        return tuple(self._words())

    def _words(self) -> Iterable[str]:
        if self.findings:
            first, count = self.findings[0], len(self.findings) + self.unlisted
            yield f"{count} finding{'s' if count > 1 else ''}, first: {first.where} is {first.kind}: {first.detail}."
            yield f"Good up to {self.good_up_to} of {self.size} entries."
        for anchor in self.anchors:
            agrees = "agrees" if anchor.agrees else "DOES NOT AGREE"
            own = "" if anchor.outside else ", kept on the same machine"
            yield f"Compared with: {anchor.what} (size {anchor.size}{own}): {agrees}."
        if self.anchored_to < self.size:
            yield (
                f"From entry {self.anchored_to} on nothing kept outside vouches for it: whoever holds the log's key and its "
                "disk could have cut or rewritten it. Verify against a checkpoint or receipt that you kept."
            )
        yield from self._resting_words()
        if self.own_key:
            yield "The verifier key is the log's own word: compare it with one you got elsewhere, or give it."
        if self.level is Level.FILES:
            yield "Only whole files were compared with the digests in signed manifests: no entry was read."
        if self.level is Level.HASHES:
            yield "Only hashes, chain, roots and signatures were checked, not the form of the entries."
        if self.erased or self.withheld:
            yield f"{self.erased} contents or persons erased by policy, {self.withheld} never given to the ledger."
        yield from self._retired_words()
        if self.leftovers:
            more = len(self.leftovers) - TOLD
            rest = f" and {more} more" if more > 0 else ""
            yield (
                f"Left over from sealing or compacting, and tidied at the next start: {', '.join(self.leftovers[:TOLD])}{rest}."
            )

    def _resting_words(self) -> Iterable[str]:
        if self.rests_on is not None:
            rested = self.rests_on
            yield (
                f"Everything before entry {rested.size} rests on the {rested.what} (level {rested.level}): nothing before entry "
                f"{rested.base} was read again."
            )
        if self.not_compared:
            yield f"Not compared, of a size that was not read this time: {', '.join(self.not_compared)}."

    def _retired_words(self) -> Iterable[str]:
        if self.retired:
            rest = len(self.retired[TOLD:]) + self.retired_unlisted
            more = f"; and {rest} more ranges" if rest else ""
            yield f"Retired by policy: {'; '.join(map(str, self.retired[:TOLD]))}{more}."
        if self.waiting:
            yield (
                f"{self.waiting} entries or contents that the log says are erased or retired are still stored, until "
                "`agent-ledger compact`."
            )

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "verdict": self.verdict,
            "words": list(self.words),
            "origin": self.origin,
            "size": self.size,
            "root": self.root.hex(),
            "entries_checked": self.entries_checked,
            "anchored_to": self.anchored_to,
            "anchors": [
                {"what": a.what, "size": a.size, "agrees": a.agrees, "outside": a.outside}
                for a in self.anchors
            ],
            "good_up_to": self.good_up_to,
            "findings": [
                {"kind": str(f.kind), "where": f.where, "detail": f.detail, "seq": f.seq}
                for f in self.findings
            ],
            "unlisted": self.unlisted,
            "erased": self.erased,
            "withheld": self.withheld,
            "level": str(self.level),
            "own_key": self.own_key,
            "retired": [retired._asdict() for retired in self.retired],
            "retired_unlisted": self.retired_unlisted,
            "retired_entries": self.retired_entries,
            "retired_contents": self.retired_contents,
            "waiting": self.waiting,
            "rests_on": self._rests_on(),
            "not_compared": list(self.not_compared),
            "leftovers": list(self.leftovers),
        }

    def _rests_on(self) -> dict[str, Any] | None:
        rested = self.rests_on
        return None if rested is None else {**rested._asdict(), "root": rested.root.hex()}


@dataclass(slots=True)
class Findings:
    """Collects findings: the first places are kept, all are counted."""

    kept: list[Finding] = field(default_factory=list)
    count: int = 0
    first_seq: int | None = None

    def add(self, kind: Kind, where: str, detail: str, seq: int | None = None) -> None:
        """Add one."""
        self.take([Finding(kind, where, detail, seq)])

    def take(self, findings: Iterable[Finding], unlisted: int = 0) -> None:
        """Add what another collected."""
        self.count += unlisted
        for finding in findings:
            self.count += 1
            if finding.seq is not None and (self.first_seq is None or finding.seq < self.first_seq):
                self.first_seq = finding.seq
                self.kept.insert(0, finding)  # the first place is never among those that are only counted
                del self.kept[2 * MAX_FINDINGS :]
            elif len(self.kept) < 2 * MAX_FINDINGS:
                self.kept.append(finding)

    def between(self, start: int, end: int) -> bool:
        """Whether an entry in [start, end) is among those altered."""
        return bool(self.kept) and any(
            f.kind is Kind.ALTERED and f.seq is not None and start <= f.seq < end for f in self.kept
        )

    def listed(self) -> tuple[Finding, ...]:
        """By place; what puts no entry in doubt comes last."""
        ordered = sorted(self.kept, key=lambda f: (f.seq is None, f.seq or 0))
        return tuple(ordered[:MAX_FINDINGS])
