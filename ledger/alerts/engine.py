"""The thread that reads the log as it grows and asks every rule about every entry.

    rows of the log → rules → one transaction: finds, what rules remember, how far they are → an entry of the log for each alert → the targets

It pulls: the writer does not know of it. A rule that is behind (a new one that learns from a long log) reads on beside the others, in turns, and
holds none of them up.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ledger.alerts.alert import Alert, Found, alert_id, us_text
from ledger.alerts.recording import Recorder
from ledger.alerts.rules import Rule
from ledger.alerts.seen import Seen
from ledger.alerts.settings import FirstSeen, RuleSettings
from ledger.alerts.standing import Ask, Standing
from ledger.alerts.state import Progress, State
from ledger.core.errors import LedgerError
from ledger.log.log import Log

STEP_ENTRIES: Final = 256
LOOK_EVERY_S: Final = 0.2
TICK_EVERY_S: Final = 1.0
AGAIN_S: Final = 5.0  # after the log or the state could not be read
SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US

logger = logging.getLogger(__name__)


class Engine:
    """Runs the rules. Started by `start`; `close` waits for the step it is at."""

    def __init__(
        self,
        log: Log,
        state: State,
        rules: Sequence[Rule],
        standing: Sequence[Standing],
        raised: Callable[[], None],
    ) -> None:
        """Nothing happens yet. `raised` is called when there is something for the targets."""
        self._log, self._state, self._raised = log, state, raised
        self._rules = {rule.settings.name: rule for rule in rules}
        self._standing = {rule.settings.name: rule for rule in standing}
        self._settings: dict[str, RuleSettings] = {
            name: rule.settings for name, rule in (self._rules | self._standing).items()
        }
        self._recorder = Recorder(log, state)
        self.ready = 0  # the targets may hear of everything up to this alert
        self.failed: str | None = None
        self._ticked = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)

    def start(self, ask: Ask) -> None:
        """Take up the work where it was left; `ask` asks named queries.

        Raises:
            LedgerError: `storage-failed`.
        """
        self._ask = ask
        known, size = self._state.rules(), self._log.head().size
        for name in known.keys() - self._settings.keys():
            self._state.forget_rule(name)
        for name, settings in self._settings.items():
            if not self._goes_on(name, settings, known.get(name), size):
                learns = isinstance(settings, FirstSeen)
                self._state.begin_rule(name, settings.digest(), 0 if learns else size, size)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _goes_on(self, name: str, settings: RuleSettings, progress: Progress | None, size: int) -> bool:
        """Whether what is remembered of a rule is of this rule and of this log."""
        if progress is None or progress.digest != settings.digest():
            return False
        if progress.position <= size and (
            progress.hash is None or progress.hash == self._hash(progress.position - 1)
        ):
            return True
        logger.error("the alert rule %s had read another history than this log's: it begins anew", name)
        return False

    def _hash(self, seq: int) -> bytes:
        (batch,) = self._log.rows(seq, seq + 1, contents=False)
        found: bytes = batch.column("hash")[0].as_py()
        return found

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        wait_s = 0.0
        while not self._closing.wait(wait_s):
            try:
                wait_s = 0.0 if self._turn() else LOOK_EVERY_S
                self.failed = None
            except (
                Exception
            ) as error:  # whatever it was: rules that stop looking would be the quietest of failures
                self.failed = error.detail if isinstance(error, LedgerError) else type(error).__name__
                logger.exception("the alert rules could not go on, and will try again")
                wait_s = AGAIN_S

    def _turn(self) -> bool:
        """Look at what is new; whether there was something."""
        now_us = time.time_ns() // 1_000
        size = self._log.head().size  # after the clock: what was recorded before it is below it
        worked = False
        progress = self._state.rules()
        by_position: dict[int, list[str]] = {}
        for name in self._rules:
            by_position.setdefault(progress[name].position, []).append(name)
        there = by_position.pop(size, [])  # those that have seen everything
        for position, names in by_position.items():
            if self._closing.is_set():
                return False
            end = min(position + STEP_ENTRIES, size)
            self._advance(names, progress, position, end)
            worked = True
            there += names if end == size else []
        if time.monotonic() - self._ticked >= TICK_EVERY_S:
            self._ticked = time.monotonic()
            self._tick(there, now_us)
            self._run_queries(progress, now_us, size)
            self._state.prune()
        self._recorder.record()
        if (newest := self._state.newest()) != self.ready:
            self.ready = newest
            self._raised()
        return worked

    def _advance(self, names: Sequence[str], progress: Mapping[str, Progress], start: int, end: int) -> None:
        """Look at the entries [start, end), a batch of bounded size at a time."""
        contents = any(self._rules[name].reads_contents for name in names)
        for batch in self._log.rows(start, end, contents=contents):
            rows = _rows(batch)
            with self._state.transaction():
                for seq, leaf_hash, record_id, text, disclosed in rows:
                    if text is None:  # retired
                        continue
                    entry = Seen(
                        self._log, seq, leaf_hash, record_id, text, contents=disclosed if contents else None
                    )
                    if not entry.own:
                        self._look(names, progress, entry)
                for name in names:
                    self._state.advance(name, rows[-1][0] + 1, rows[-1][1])

    def _look(self, names: Sequence[str], progress: Mapping[str, Progress], entry: Seen) -> None:
        for name in names:
            for found in self._rules[name].see(entry, self._state):
                if entry.seq >= progress[name].quiet:
                    self._raise(name, found, entry.at_us, entry.hash)

    def _tick(self, names: Sequence[str], now_us: int) -> None:
        """Let time pass for the rules that have seen everything."""
        with self._state.transaction():
            for name in names:
                for found in self._rules[name].tick(now_us, self._state):
                    self._raise(name, found, now_us, self._hash(found.seq))
            for name in self._settings:
                minute, _, held, seq = self._state.minute(name)
                if held and minute < now_us // MINUTE_US:
                    self._tell_held(name, minute, held, seq)
                    self._state.set_minute(name, minute, 0, 0, 0)

    def _run_queries(self, progress: Mapping[str, Progress], now_us: int, size: int) -> None:
        for name, rule in self._standing.items():
            before = progress[name]
            if not rule.is_due(before.ran_at, now_us) or (
                before.ran_at and not self._foreign(before.position, size)
            ):
                continue
            try:
                answer = rule.run(self._ask)
            except LedgerError as error:
                self._state.ran(name, before.position, now_us)
                logger.error("the standing query %s was not answered: %s", name, error.detail)  # noqa: TRY400
                continue
            with self._state.transaction():
                for found in rule.new(answer, self._state):
                    if before.ran_at:  # the first time is what was there already
                        self._raise(name, found, now_us, self._hash(found.seq))
                self._state.ran(name, answer.size, now_us)
            if answer.truncated:
                logger.error(
                    "the standing query %s has more rows than an answer holds: not all become alerts", name
                )

    def _foreign(self, start: int, size: int) -> bool:
        """Whether there is an entry from `start` on that is not the log's own: a query would be asked for ever about having been asked."""
        for batch in self._log.rows(start, size, contents=False):
            for seq, leaf_hash, record_id, text, _ in _rows(batch):
                if text is not None and not Seen(self._log, seq, leaf_hash, record_id, text).own:
                    return True
        return False

    # -- raising -------------------------------------------------------------------------------------------------------

    def _raise(self, name: str, found: Found, at_us: int, leaf_hash: bytes) -> None:
        """Keep an alert, or count it where there are too many of them."""
        minute, in_it, held, held_seq = self._state.minute(name)
        now = max(at_us // MINUTE_US, minute)
        if now != minute:
            if held:
                self._tell_held(name, minute, held, held_seq)
            minute, in_it, held, held_seq = now, 0, 0, 0
        if in_it >= self._settings[name].per_minute:
            self._state.set_minute(name, minute, in_it, held + 1, found.seq)
            return
        if self._add(name, found, at_us, leaf_hash):
            self._state.set_minute(name, minute, in_it + 1, held, held_seq)

    def _tell_held(self, name: str, minute: int, held: int, seq: int) -> None:
        found = Found(seq, f"held:{minute}", {"held_back": held})
        self._add(name, found, (minute + 1) * MINUTE_US, self._hash(seq))

    def _add(self, name: str, found: Found, at_us: int, leaf_hash: bytes) -> bool:
        settings = self._settings[name]
        because: dict[str, Any] = dict(found.because)
        made = Alert(
            number=0,
            id=alert_id(self._log.origin, name, settings.digest(), found),
            rule=name,
            kind=settings.kind,
            severity=settings.severity,
            seq=found.seq,
            leaf_hash=leaf_hash.hex(),
            at=us_text(at_us),
            because=because,
            recorded_in=None,
        )
        return self._state.add(made, recorded=not settings.recorded)


def _rows(batch: Any) -> list[tuple[int, bytes, str, str | None, str]]:
    columns = (batch.column(name).to_pylist() for name in ("seq", "hash", "id", "entry", "contents"))
    return list(zip(*columns, strict=True))
