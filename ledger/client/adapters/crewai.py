"""CrewAI 1.15: hooks around models and tools, and events, which CrewAI has one set of for the whole process.

    with LedgerHooks(ledger):
        crew.kickoff(inputs={"user_id": ...})

A hook records a call before any other hook is asked; another one behind them tells whether the call got through. What the model answered
and what a tool raised only events tell. They are told in other threads: the hooks wait for them.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from crewai.events import crewai_event_bus
from crewai.events.types.llm_events import LLMCallCompletedEvent
from crewai.events.types.tool_usage_events import ToolUsageErrorEvent, ToolUsageFinishedEvent
from crewai.hooks.dispatch import (
    HookAborted,
    InterceptionPoint,
    get_global_hook_list,
    get_scoped_hooks,
    unregister,
)
from crewai.tools.tool_failure import detect_tool_failure
from crewai.utilities.string_utils import sanitize_tool_name

from ledger.client.action import Action
from ledger.client.adapters.run import (
    USER_KEYS,
    Describe,
    Recorder,
    Run,
    answer_part,
    call_part,
    parsed,
    text_part,
)
from ledger.client.ledger import Ledger

_POLICY: Final = {"engine": "crewai.hooks"}
_DELEGATING: Final = ("delegate_work_to_coworker", "ask_question_to_coworker")
_TASK: Final = "Current Task: "  # CrewAI puts it before what an agent without a crew is asked
_REMEMBERED: Final = 10_000
_EVENTS_S: Final = 5.0


@dataclass(eq=False)
class _Call:
    """A call that has not ended. Its arguments are the same object before and after it: CrewAI tells no id."""

    act: Action
    arguments: Any
    reached: bool = False
    cached: bool = False
    error: BaseException | None = None
    told: int = -1


_asking: ContextVar[tuple["LedgerHooks", Run, list[Any]] | None] = ContextVar(
    "agent_ledger_asking", default=None
)
_calling: ContextVar[_Call | None] = ContextVar("agent_ledger_calling", default=None)


class LedgerHooks:
    """Records all that CrewAI does in this process while it is registered. Register it before crews are started."""

    def __init__(
        self, ledger: Ledger, *, user_keys: Sequence[str] = USER_KEYS, describe: Describe | None = None
    ) -> None:
        """A recorder that is not registered yet.

        Args:
            ledger: where runs are recorded.
            user_keys: under which of these keys of a crew's `inputs`, else of the metadata of an agent's fingerprint, the app tells its user.
            describe: what the app says of its tools, such as their `effect` and `resource`.
        """
        self._recorder = Recorder(ledger, user_keys, describe)
        self._runs: OrderedDict[Any, Run] = OrderedDict()
        self._made: list[tuple[str, str, Any, str]] = []  # scope, tool, arguments, call id
        self._calls: dict[int, _Call] = {}
        self._lock = threading.Lock()

    def register(self) -> Self:
        """Begin to record."""
        get_global_hook_list(InterceptionPoint.PRE_MODEL_CALL).append(self._before_model)
        before = get_global_hook_list(InterceptionPoint.PRE_TOOL_CALL)
        before.insert(0, self._before_tool)
        before.append(self._reached)
        get_global_hook_list(InterceptionPoint.POST_TOOL_CALL).insert(0, self._after_tool)
        for event, handler in _HANDLERS.items():
            crewai_event_bus.register_handler(event, handler)
        return self

    def unregister(self) -> None:
        """Record no more."""
        crewai_event_bus.flush(_EVENTS_S)
        for event, handler in _HANDLERS.items():
            crewai_event_bus.off(event, handler)
        unregister(InterceptionPoint.PRE_MODEL_CALL, self._before_model)
        unregister(InterceptionPoint.PRE_TOOL_CALL, self._before_tool)
        unregister(InterceptionPoint.PRE_TOOL_CALL, self._reached)
        unregister(InterceptionPoint.POST_TOOL_CALL, self._after_tool)

    def __enter__(self) -> Self:
        return self.register()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()

    # ---- the model

    def _before_model(self, context: Any) -> None:
        run = self._run_of(context, fresh=context.iterations == 0, messages=context.messages)
        _asking.set((self, run, [dict(message) for message in context.messages]))

    def decided(self, run: Run, prompt: list[Any], llm: Any, event: LLMCallCompletedEvent) -> None:
        """An answer of a model, and the calls it made, for which the hooks look by what is called with what."""
        calls = _calls_of(event.response)
        with self._lock:
            self._made.extend(
                (run.scope, sanitize_tool_name(name), given, made) for made, name, given in calls
            )
            del self._made[:-_REMEMBERED]
        usage = event.usage or {}
        decision = {
            "provider": getattr(llm, "provider", None),
            "request_model": event.model,
            "response_id": event.response_id,
            "finish_reason": event.finish_reason,
            "input_tokens": usage.get("prompt_tokens"),
            "output_tokens": usage.get("completion_tokens"),
        }
        said = event.response if isinstance(event.response, str) else None
        parts = [*([text_part(said)] if said else []), *(call_part(*call) for call in calls)]
        run.decided(
            decision,
            [call_id for call_id, _, _ in calls],
            prompt=_messages(prompt),
            output=[{"role": "assistant", "parts": parts}],
        )

    # ---- the tools

    def _before_tool(self, context: Any) -> None:
        crewai_event_bus.flush(_EVENTS_S)
        run, name, arguments = self._run_of(context), context.tool_name, context.tool_input
        effect = "delegate" if name in _DELEGATING else None
        act = run.action(name, arguments, self._call_id(run, name, arguments), effect=effect)
        try:
            act.__enter__()
        except Exception as error:  # whatever it was: CrewAI goes on after any other exception of a hook
            raise HookAborted(
                f"{name} did not run: its intent is not in the ledger: {error}", self
            ) from error
        call = _Call(act, arguments)
        self._calls[id(arguments)] = call
        _calling.set(call)

    def _reached(self, context: Any) -> None:
        """Stands behind the other hooks: a call that comes here was not refused by them."""
        call = self._calls.get(id(context.tool_input))
        if call is not None:
            call.reached = True
            call.cached = _is_cached(context)

    def _after_tool(self, context: Any) -> None:
        call = self._calls.pop(id(context.tool_input), None)
        if call is None:
            return
        crewai_event_bus.flush(_EVENTS_S)
        raw = context.raw_tool_result
        failure = detect_tool_failure(raw)
        if not call.reached or self._refused_behind(context):
            call.act.deny("blocked_by_hook", policy=_POLICY)
        elif call.cached:
            call.act.end("cancelled", raw, error_type="answered_from_cache")
        elif call.error is not None:
            call.act.fail(call.error)
        elif failure is not None:
            call.act.end("failure", failure, error_type=str(getattr(failure.reason, "value", failure.reason)))
        elif context.tool is None and raw == "Tool not found":
            call.act.end("failure", raw, error_type="tool_not_found")
        else:
            call.act.result = raw
        call.act.__exit__(None, None, None)
        _calling.set(None)

    def _refused_behind(self, context: Any) -> bool:
        """Whether a hook refused that came later than ours. The words count only where there is one: a tool can say them, too."""
        behind = get_global_hook_list(InterceptionPoint.PRE_TOOL_CALL)[-1] != self._reached
        blocked = f"Tool execution blocked by hook. Tool: {context.tool_name}"
        return (behind or bool(get_scoped_hooks(InterceptionPoint.PRE_TOOL_CALL))) and (
            context.raw_tool_result == blocked
        )

    def _call_id(self, run: Run, name: str, arguments: Any) -> str | None:
        with self._lock:
            for made in self._made:
                if made[:3] == (run.scope, name, arguments):
                    self._made.remove(made)
                    return made[3]
        return None

    # ---- the run

    def _run_of(self, context: Any, *, fresh: bool = False, messages: Sequence[Any] = ()) -> Run:
        """The run of an agent at a task, in this kickoff of its crew."""
        agent, task, crew = context.agent, context.task, context.crew
        inputs = getattr(crew, "_inputs", None) or {}
        key = (id(crew), getattr(task, "id", None), getattr(agent, "id", None))
        with self._lock:
            run = None if fresh else self._runs.get(key)
        if run is None:
            metadata = getattr(getattr(agent, "fingerprint", None), "metadata", None) or {}
            user = self._recorder.user_of(inputs=inputs, **{"fingerprint.metadata": metadata})
            text = getattr(task, "description", None) or _last_words(messages)
            run = Run(
                self._recorder,
                request={"text": text, "conversation_id": inputs.get("conversation_id")},
                identity={"agent_name": getattr(agent, "role", None), **user},
            )
            run.asked()
            with self._lock:
                self._runs[key] = run
                while len(self._runs) > _REMEMBERED:
                    self._runs.popitem(last=False)
        return run


# ---- events: CrewAI gives their handlers the context variables of whoever tells them


def _answered(source: Any, event: LLMCallCompletedEvent) -> None:
    asking = _asking.get()
    if asking is not None:
        hooks, run, prompt = asking
        hooks.decided(run, prompt, source, event)


def _raised(_source: Any, event: ToolUsageErrorEvent) -> None:
    call = _calling.get()
    if call is not None and (event.emission_sequence or 0) > call.told:
        call.told = event.emission_sequence or 0
        call.error = event.error if isinstance(event.error, BaseException) else RuntimeError(event.error)


def _finished(_source: Any, event: ToolUsageFinishedEvent) -> None:
    """A tool that was tried again, and did it."""
    call = _calling.get()
    if call is not None and (event.emission_sequence or 0) > call.told:
        call.told, call.error = event.emission_sequence or 0, None


_HANDLERS: Final[Mapping[type, Any]] = {
    LLMCallCompletedEvent: _answered,
    ToolUsageErrorEvent: _raised,
    ToolUsageFinishedEvent: _finished,
}


def _is_cached(context: Any) -> bool:
    """Whether CrewAI is going to answer with what the tool said the last time."""
    handler = getattr(context.agent, "tools_handler", None)
    cache = getattr(handler, "cache", None)
    if not cache:
        return False
    given = json.dumps(context.tool_input) if context.tool_input else ""
    return cache.read(tool=context.tool_name, input=given) is not None


def _calls_of(response: Any) -> list[tuple[str, str, Any]]:
    """Id, tool and arguments of the calls in an answer: a list of them in the format of one of the providers."""
    calls = []
    for item in response if isinstance(response, list) else []:
        if isinstance(item, Mapping):
            function: Any = item.get("function") if isinstance(item.get("function"), Mapping) else item
            name = function.get("name")
            given = next((function[key] for key in ("arguments", "input", "args") if key in function), None)
            made = item.get("id") or item.get("call_id") or item.get("toolUseId")
            if name:
                calls.append((str(made or ""), str(name), parsed(given) if given else {}))
    return calls


def _last_words(messages: Iterable[Any]) -> str | None:
    words = [message.get("content") for message in messages if message.get("role") == "user"]
    return str(words[-1]).strip().removeprefix(_TASK) if words and words[-1] else None


def _messages(messages: Iterable[Any]) -> list[dict[str, Any]]:
    return [_message(message) for message in messages]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role, content = str(message.get("role")), message.get("content")
    if role == "tool":
        return {"role": role, "parts": [answer_part(message.get("tool_call_id"), content)]}
    texts = [text_part(content)] if content else []
    return {
        "role": role,
        "parts": [*texts, *(call_part(*call) for call in _calls_of(message.get("tool_calls")))],
    }
