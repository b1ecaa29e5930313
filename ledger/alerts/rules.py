"""What each kind of rule looks for. A rule keeps nothing in memory: what it must remember is in `State`, so a restart changes nothing."""

from collections.abc import Iterator
from typing import Any, Final, Protocol

import msgspec

from ledger.alerts.alert import Found
from ledger.alerts.seen import Seen, digest, seen_again
from ledger.alerts.settings import DeniedThenDone, FirstSeen, Match, NoOutcome, RuleSettings
from ledger.alerts.state import State
from ledger.log.log import Log

SECOND_US: Final = 1_000_000
INTENT: Final = "action.intent"
OUTCOME: Final = "action.outcome"
ACTION: Final = "action"
MIN_LITERAL: Final = 8  # characters of a text that is distinctive enough to tell two calls' arguments alike
MAX_LITERALS: Final = 64


class Rule(Protocol):
    """A rule that looks at entries as they come."""

    @property
    def settings(self) -> RuleSettings:
        """What it looks for."""

    @property
    def reads_contents(self) -> bool:
        """Whether it wants the contents of most entries: then they are read with the rows, and not one by one."""

    def see(self, entry: Seen, state: State, /) -> Iterator[Found]:
        """What this entry gives. Called once for each entry, in order, within a transaction."""

    def tick(self, now_us: int, state: State, /) -> Iterator[Found]:
        """What the passing of time gives. Called when everything that was recorded before `now_us` was seen."""


class SeenFirst:
    """`first-seen`."""

    reads_contents = False

    def __init__(self, settings: FirstSeen) -> None:
        self.settings = settings
        self._selection = settings.selection()

    def see(self, entry: Seen, state: State) -> Iterator[Found]:
        """A value that was never there."""
        settings, value = self.settings, entry.get(self.settings.member)
        if value is None or not self._selection.matches(entry.submitter, entry.record):
            return
        scope = entry.get(settings.per) if settings.per else ""
        if scope is None:
            return
        if state.see(settings.name, digest(str(scope), str(value))):
            because = {"first": settings.member} | ({"per": settings.per} if settings.per else {})
            yield Found(entry.seq, "first", because)

    def tick(self, _now_us: int, _state: State) -> Iterator[Found]:
        """Nothing."""
        yield from ()


class Matching:
    """`match`."""

    reads_contents = False

    def __init__(self, settings: Match) -> None:
        self.settings = settings
        self._selection = settings.selection()

    def see(self, entry: Seen, _state: State) -> Iterator[Found]:
        """An entry that is selected."""
        if self._selection.matches(entry.submitter, entry.record):
            yield Found(entry.seq, "match", {"matched": list(self._selection.wanted)})

    def tick(self, _now_us: int, _state: State) -> Iterator[Found]:
        """Nothing."""
        yield from ()


class WithoutOutcome:
    """`no-outcome`."""

    reads_contents = False

    def __init__(self, settings: NoOutcome) -> None:
        self.settings = settings
        self._selection = settings.selection()

    def see(self, entry: Seen, state: State) -> Iterator[Found]:
        """Intents are waited for; what ends an action ends that."""
        name = self.settings.name
        if entry.type == OUTCOME or entry.denied:
            state.settle(name, entry.action)
        elif (
            entry.type == INTENT
            and entry.record.get("action_id") is not None
            and self._selection.matches(entry.submitter, entry.record)
        ):
            state.wait(name, entry.action, entry.seq, entry.at_us + self.settings.after_s * SECOND_US)
        yield from ()

    def tick(self, now_us: int, state: State) -> Iterator[Found]:
        """Intents whose time is over."""
        for key, seq, _ in state.due(self.settings.name, now_us):
            state.settle(self.settings.name, key)
            yield Found(seq, "no-outcome", {"no_outcome_after_s": self.settings.after_s})


class DoneAfterDenial:
    """`denied-then-done`. What makes two calls alike are traits: the resource, the tool, a text in the arguments.

    Kept for `minutes`: where each action's intent is, since its other stages name nothing but the action; which submitter had something denied,
    so that nothing is looked up for the others; and each trait of what was denied.
    """

    reads_contents = False

    def __init__(self, settings: DeniedThenDone, log: Log) -> None:
        self.settings, self._log = settings, log
        self._selection = settings.selection()

    def see(self, entry: Seen, state: State) -> Iterator[Found]:
        """Denials are remembered; what is done is compared with them."""
        name, due = self.settings.name, entry.at_us + self.settings.minutes * 60 * SECOND_US
        if entry.type == INTENT:
            state.wait(name, _intent(entry), entry.seq, due)
        if entry.denied:
            self._remember(entry, state, due)
        elif _done(entry) and _alive(state.waiting(name, digest("submitter", entry.submitter)), entry.at_us):
            yield from self._compare(entry, state)

    def tick(self, now_us: int, state: State) -> Iterator[Found]:
        """What is too old is forgotten."""
        for key, _, _ in state.due(self.settings.name, now_us):
            state.settle(self.settings.name, key)
        yield from ()

    def _remember(self, entry: Seen, state: State, due: int) -> None:
        facets = self._facets(entry, state)
        if not any(self._selection.matches(each.submitter, each.record) for each in facets):
            return
        name, what = self.settings.name, entry.action.hex()
        state.wait(name, digest("submitter", entry.submitter), entry.seq, due)
        for kind, trait in self._traits(facets):
            state.wait(name, _trait(facets, kind, trait), entry.seq, due, what)

    def _compare(self, entry: Seen, state: State) -> Iterator[Found]:
        facets = self._facets(entry, state)
        for kind, trait in self._traits(facets):
            waiting = state.waiting(self.settings.name, _trait(facets, kind, trait))
            if waiting is None or not _alive(waiting, entry.at_us):
                continue
            seq, _, what = waiting
            if what != entry.action.hex():
                state.settle_all(self.settings.name, seq, what)
                yield Found(entry.seq, f"denied:{seq}", {"denied": seq, "same": kind})
                return

    def _facets(self, entry: Seen, state: State) -> list[Seen]:
        """The entry, and its action's intent where that is another one."""
        found = state.waiting(self.settings.name, _intent(entry)) if entry.type != ACTION else None
        intent = seen_again(self._log, found[0]) if found is not None and found[0] != entry.seq else None
        return [entry, intent] if intent is not None else [entry]

    def _traits(self, facets: list[Seen]) -> Iterator[tuple[str, str]]:
        for each in facets:
            if "resource" in self.settings.by:
                for path in ("resource.id", "resource.destination"):
                    if each.get(path) is not None:
                        yield "resource", str(each.get(path))
            if "tool" in self.settings.by and each.get("tool.name") is not None:
                yield "tool", str(each.get("tool.name"))
        if "arguments" in self.settings.by:
            for each in facets:
                for text in _literals(each):
                    yield "arguments", text


def _literals(entry: Seen) -> list[str]:
    """The distinctive texts among a call's arguments: whole values, not words of them."""
    values: list[Any] = [
        msgspec.json.decode(content.value) for content in entry.contents if content.member == "tool.arguments"
    ]
    found = dict.fromkeys(text for value in values for text in _values(value) if len(text) >= MIN_LITERAL)
    return list(found)[:MAX_LITERALS]


def _values(value: Any) -> Iterator[str]:
    """The texts of a JSON value, without the keys of its objects."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner)
    elif isinstance(value, str):
        yield value


def _done(entry: Seen) -> bool:
    """Whether it says that something was done: a whole action that does not say how it ended did not fail as far as anybody said."""
    status = entry.get("outcome.status")
    return status == "success" or (entry.type == ACTION and status is None)


def _intent(entry: Seen) -> bytes:
    return digest("intent", entry.action.hex())


def _trait(facets: list[Seen], kind: str, trait: str) -> bytes:
    agent = next((each.agent for each in facets if each.agent), "")
    return digest("trait", facets[0].submitter, agent, kind, trait)


def _alive(waiting: tuple[int, int, str] | None, at_us: int) -> bool:
    return waiting is not None and waiting[1] >= at_us
