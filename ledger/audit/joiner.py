"""A stretch with what stands beside it, checked by itself; and the one that takes such stretches in order.

What the joiner knows between two stretches can be put away as JSON (`state`) and gone on from: in the same verification after it was
interrupted, or in a later one, which then reads only what is new.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ledger.audit.beside import SHAPES, Absences, Beside, Groups, Introduced
from ledger.audit.explained import Explained
from ledger.audit.readonly import Stretch
from ledger.core.errors import Code, FormatError
from ledger.core.places import Places
from ledger.core.report import Findings, Report
from ledger.core.stretch import STRETCH_ENTRIES, Hints, Outcome, Own, check_stretch
from ledger.core.verify import Verifier

SAVE_STRETCHES = 96  # about as many entries as a segment has

Progress = Callable[[int, int], None]
State = dict[str, Any]
Save = Callable[[State], None]


class Checked(NamedTuple):
    """A stretch that was verified by itself, with what stands beside it."""

    outcome: Outcome
    absences: Absences
    first_row: tuple[int, str] | None
    last_row: tuple[int, str, bool]


def check_beside(stretch: Stretch, hints: Hints, introduced: Introduced, findings: Findings) -> Checked:
    """Verify a stretch and what stands beside it."""
    beside = Beside(stretch.rows, stretch.persons, introduced, findings)
    outcome = check_stretch(stretch.stored, hints, beside.visit, SHAPES)
    beside.finish(outcome.gone)
    return Checked(with_findings(outcome, findings), beside.absences, beside.groups.first, beside.groups.last)


def with_findings(outcome: Outcome, findings: Findings) -> Outcome:
    """The outcome with more findings: what is wrong with an entry comes before what that leaves beside it."""
    every = Findings()
    every.take(outcome.findings, outcome.unlisted)
    every.take(findings.kept, findings.count - len(findings.kept))
    return outcome._replace(findings=every.kept, unlisted=every.count - len(every.kept))


class Joiner:
    """Takes checked stretches in order: entries to the verifier, absences to their explanation."""

    def __init__(
        self,
        verifier: Verifier,
        end: int,
        progress: Progress | None = None,
        *,
        begin: State | None = None,
        beside: bool = True,
        save: Save | None = None,
        save_stretches: int = SAVE_STRETCHES,
    ) -> None:
        """A joiner.

        Args:
            verifier: takes the entries; where there is a state to begin from, it has its part of it already.
            end: where the log ends.
            progress: told entries done and in all.
            begin: the state to begin from.
            beside: what stands beside the entries is read too, so what is absent there is to be explained.
            save: told the state, again and again.
            save_stretches: after how many stretches.

        Raises:
            FormatError: the state is none.
        """
        self.verifier = verifier
        self.end, self._progress = end, progress
        self.begun_at, self._beside = verifier.size, beside
        self.last_state: State | None = None
        self._explained, self._groups = Explained(), Groups(verifier.findings)
        self._save, self._save_stretches, self._unsaved = save, save_stretches, 0
        if begin is not None and "beside" in begin:
            self._explained = Explained.from_json(begin["beside"])
            self._groups.last = _group(begin.get("group"))

    def take(self, start: int, checked: Checked | str) -> None:
        """Take in the next stretch, or why it could not be read."""
        verifier = self.verifier
        stop = min(start + STRETCH_ENTRIES, self.end)
        if stop == self.end:
            self.last_state = self.state()
        if isinstance(checked, str):
            if start > verifier.size:
                verifier.skip(start)
            verifier.skip(stop, unreadable=checked)
        else:
            outcome = checked.outcome
            self._groups.join(checked.first_row, checked.last_row)
            verifier.join(outcome)
            if self._beside:
                self._explained.take(checked.absences, outcome.own, verifier.retirement)
        if self._progress is not None:
            self._progress(verifier.size, self.end)
        self._unsaved += 1
        if self._save is not None and self._unsaved >= self._save_stretches and stop < self.end:
            self._save(self.state())
            self._unsaved = 0

    def hear(self, own: Sequence[Own]) -> None:
        """What the log said after the part that is verified, of what is gone from it since: those entries themselves are not verified."""
        self.verifier.retirement.take([], own)
        if self._beside:
            self._explained.take(Absences(), own, self.verifier.retirement)

    def waits(self, left: Places) -> None:
        """Contents of sealed entries that stand in a hot file still: what the log says is gone of them waits to go."""
        self._explained.left = left

    def state(self) -> State:
        """What is known so far: `verifier` is for `Joined.from_json`, the rest for another joiner."""
        return {
            "verifier": self.verifier.state(),
            "beside": self._explained.to_json(),
            "group": list(self._groups.last),
        }

    def finish(self) -> Report:
        """The report."""
        self._explained.finish(self.verifier.findings)
        self.verifier.withheld, self.verifier.erased = self._explained.withheld, self._explained.erased
        return self.verifier.finish()


def _group(value: object) -> tuple[int, str, bool]:
    match value:
        case [int(seq), str(recorded_at), bool(noted)]:
            return seq, recorded_at, noted
    raise FormatError(Code.MALFORMED_NOTE, "the saved state of a verification has no last group")
