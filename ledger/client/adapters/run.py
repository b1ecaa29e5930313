"""What the adapters share: one run of an agent, by which its decisions and tool calls are recorded."""

import json
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final

from ledger.client.action import Action
from ledger.client.context import current, otel_span
from ledger.client.ledger import Ledger
from ledger.client.members import Facet
from ledger.records.values import count, person

Describe = Callable[[str, Any], Mapping[str, Any]]
"""What an app says of a call, by its tool and arguments: parameters of `Ledger.action`, such as `effect` and `resource`. These are facts, signed in
clear: what they take from the arguments stays when the arguments are erased."""

USER_KEYS: Final = ("user_id", "user", "enduser.id", "principal")
REMEMBERED_CALLS: Final = 10_000
_log: Final = logging.getLogger(__name__)
_TOKENS: Final = ("input_tokens", "output_tokens")


class Decisions:
    """Which decision made a call, by the call's id: of the last 10,000. A call may run long after it was decided, in another task."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, str], Facet] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, scope: str, call_ids: Iterable[str], decision: Facet) -> None:
        """Keep a decision for its calls. `scope`: within what a call's id is unique, a conversation or a run."""
        with self._lock:
            for call_id in call_ids:
                self._made[scope, call_id] = decision
                self._made.move_to_end((scope, call_id))
            while len(self._made) > REMEMBERED_CALLS:
                self._made.popitem(last=False)

    def of(self, scope: str, call_id: str | None) -> Facet | None:
        """The decision that made a call, if it was seen."""
        with self._lock:
            return self._made.get((scope, call_id or ""))


@dataclass(frozen=True)
class Recorder:
    """What an adapter records with, in all its runs.

    Attributes:
        ledger: where.
        user_keys: under which keys or attributes the app tells its user, the first that names somebody.
        describe: what the app says of its tools.
        decisions: which decision made which call.
    """

    ledger: Ledger
    user_keys: Sequence[str] = USER_KEYS
    describe: Describe | None = None
    decisions: Decisions = field(default_factory=Decisions)

    def user_of(self, **places: object) -> dict[str, str]:
        """The user that the app put somewhere, as members of `identity`.

        Args:
            places: mappings or objects that the app handed to the framework, by the framework's names for them; the first that names
                somebody is taken, and the source is `place.key`.
        """
        for place, given in places.items():
            for key in self.user_keys:
                value = given.get(key) if isinstance(given, Mapping) else getattr(given, key, None)
                user = person(value)
                if user is not None:
                    return {"principal": user, "principal_source": f"{place}.{key}"}
        return {}

    def described(self, tool: str, arguments: Any) -> Mapping[str, Any]:
        """What the app says of a call."""
        if self.describe is None:
            return {}
        try:
            return self.describe(tool, arguments)
        except Exception:  # noqa: BLE001 - the model calls a tool with whatever it likes: the call is recorded all the same
            _log.warning("what the app says of %s is not recorded", tool, exc_info=True)
            return {}


class Run:
    """One run of an agent: who asked for what, and which agent it is.

    Attributes:
        request, identity: members of these facets, for everything in this run.
        scope: within what this run's call ids are unique.
    """

    def __init__(
        self, recorder: Recorder, *, request: Facet, identity: Facet, scope: str | None = None
    ) -> None:
        """A run that begins here: it belongs to the trace and to the action around the caller, or begins a trace.

        Args:
            recorder: the adapter's.
            request: members of `request`. The user is taken from `identity`.
            identity: members of `identity`.
            scope: the conversation in which call ids are unique; the run itself when None.
        """
        around = current()
        asked = {"user": identity.get("principal"), **request}
        if around.action_id is not None:
            asked.setdefault("origin", "agent")
        self.request = {name: value for name, value in asked.items() if value is not None}
        self.identity = {name: value for name, value in identity.items() if value is not None}
        self._recorder = recorder
        self._trace: Facet = around.trace
        if around.span is not None:
            above = {"trace_id": around.span.trace_id, "parent_span_id": around.span.span_id}
            self._trace = {**above, "parent_action_id": around.action_id}
        elif not around.trace.get("trace_id") and otel_span() is None:
            self._trace = {"trace_id": secrets.token_hex(16)}
        self.scope = scope or secrets.token_hex(8)

    def by(self, identity: Facet) -> "Run":
        """The same run where another agent acts in it: after a handoff."""
        other = copy(self)
        other.identity = {
            **self.identity,
            **{name: value for name, value in identity.items() if value is not None},
        }
        return other

    def asked(self) -> None:
        """Record what was asked."""
        if self.request:
            self._record("request")

    def decided(
        self, decision: Facet, calls: Iterable[str], *, prompt: Any = None, output: Any = None
    ) -> None:
        """Record what the model decided, and remember it for the calls it made.

        Args:
            decision: facts of `decision`; token counts that are no counts are left out.
            calls: the ids of the calls it made.
            prompt: what the model was given, as messages `{"role", "parts": [...]}` (OpenTelemetry's gen_ai.input.messages).
            output: what it answered, in the same form.
        """
        facts = {
            name: count(value) if name in _TOKENS else value
            for name, value in decision.items()
            if value is not None
        }
        made = {name: value for name, value in facts.items() if name not in _TOKENS}
        self._recorder.decisions.remember(self.scope, calls, made)
        self._record("decision", decision={**facts, "prompt": prompt, "output": output})

    def action(self, tool: str | Facet, arguments: Any, call_id: str | None = None, **members: Any) -> Action:
        """A tool call of this run, not yet started, with the decision that made it. `members`: further parameters of `Ledger.action`."""
        name = tool if isinstance(tool, str) else str(tool.get("name"))
        known = {member: value for member, value in members.items() if value is not None}
        return self._recorder.ledger.action(
            tool,
            arguments=arguments,
            call_id=call_id,
            request=self.request,
            decision=self._recorder.decisions.of(self.scope, call_id),
            identity=self.identity,
            trace=self._here(),
            **{**known, **self._recorder.described(name, arguments)},
        )

    def _here(self) -> Facet | None:
        """The run's trace, unless the code at hand is in a nearer span."""
        nearer = current().span is not None or otel_span() is not None
        return None if nearer else self._trace

    def _record(self, record_type: str, **facets: Any) -> None:
        about = {"type": record_type, "request": self.request, "identity": self.identity}
        self._recorder.ledger.record({**about, "trace": self._span(), **facets})

    def _span(self) -> dict[str, Any]:
        nearest = otel_span()
        trace = (
            dict(self._trace)
            if nearest is None
            else {"trace_id": nearest.trace_id, "parent_span_id": nearest.span_id}
        )
        return trace and {"span_id": secrets.token_hex(8), **trace}


def text_part(text: object) -> dict[str, Any]:
    """A message's part that is text."""
    return {"type": "text", "content": text}


def call_part(call_id: object, name: object, arguments: object) -> dict[str, Any]:
    """A message's part that is a tool call."""
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def answer_part(call_id: object, answer: object) -> dict[str, Any]:
    """A message's part that is what a tool answered."""
    return {"type": "tool_call_response", "id": call_id, "response": answer}


def parsed(arguments: object) -> Any:
    """A call's arguments as the values they are: most frameworks hand on the model's JSON text. What is no JSON stays a text."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
