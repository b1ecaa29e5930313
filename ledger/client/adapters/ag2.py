"""AG2 1.2: a middleware of an agent. (AG2 before 1.0 is another framework.)

    LedgerRecorder(ledger).watch(agent)

It stands first, so that what the others refuse is seen. A hook at each tool, inside all others, tells whether a call got through.
"""

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from ag2.events import (
    ClientToolCallEvent,
    ModelRequest,
    ModelResponse,
    TextInput,
    ToolApprovalRequest,
    ToolErrorEvent,
    ToolResultEvent,
    ToolResultsEvent,
)
from ag2.middleware import BaseMiddleware
from ag2.tools.final.function_tool import FunctionTool

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

_POLICY: Final = {"engine": "ag2.middleware"}
_YES: Final = ("y", "yes", "1", "always")  # as AG2's approval_required reads an answer


@dataclass(eq=False)
class _Call:
    """A call that has not ended."""

    act: Action
    hooked: bool
    reached: bool = False


_call: ContextVar[_Call | None] = ContextVar("agent_ledger_call", default=None)


class LedgerRecorder:
    """Records what agents do. One may watch many."""

    def __init__(
        self, ledger: Ledger, *, user_keys: Sequence[str] = USER_KEYS, describe: Describe | None = None
    ) -> None:
        """A recorder.

        Args:
            ledger: where it is recorded.
            user_keys: under which of these names of `variables`, else of `dependencies`, the app tells its user.
            describe: what the app says of its tools, such as their `effect` and `resource`.
        """
        self.recorder = Recorder(ledger, user_keys, describe)

    def watch(self, agent: Any) -> Any:
        """Record from now on what this agent does.

        Args:
            agent: gets a middleware, before all that it has.

        Returns:
            The same agent.
        """

        def first(event: Any, context: Any) -> BaseMiddleware:
            return _Turn(event, context, self.recorder, agent)

        def last(event: Any, context: Any) -> BaseMiddleware:
            return _Behind(event, context)

        agent.insert_middleware(first)
        agent.add_middleware(last)
        return agent


class _Turn(BaseMiddleware):
    """One turn of an agent, outside all other middleware."""

    def __init__(self, event: Any, context: Any, recorder: Recorder, agent: Any) -> None:
        super().__init__(event, context)
        self._agent = agent
        self._calls: dict[str, _Call] = {}
        self._hooked = {_hook(tool) for tool in agent.tools if isinstance(tool, FunctionTool)}
        variables, dependencies = context.variables, context.dependencies
        user = recorder.user_of(variables=variables, dependencies=dependencies)
        conversation = variables.get("conversation_id") or str(context.stream.id)
        self._run = Run(
            recorder,
            request={"text": _words(event), "conversation_id": conversation},
            identity={"agent_name": agent.name, **user},
        )

    async def on_turn(self, call_next: Any, event: Any, context: Any) -> Any:
        self._run.asked()
        return await call_next(event, context)

    async def on_llm_call(self, call_next: Any, events: Sequence[Any], context: Any) -> Any:
        prompt = [{"role": "system", "parts": [text_part(text)]} for text in context.prompt]
        prompt += _messages(events)
        response: ModelResponse = await call_next(events, context)
        usage = response.usage
        decision = {
            "provider": response.provider,
            "request_model": getattr(self._agent.config, "model", None),
            "response_model": response.model,
            "response_id": response.response_id,
            "finish_reason": response.finish_reason,
            "input_tokens": None if usage.prompt_tokens is None else int(usage.prompt_tokens),
            "output_tokens": None if usage.completion_tokens is None else int(usage.completion_tokens),
        }
        calls = [call.id for call in response.tool_calls.calls]
        self._run.decided(decision, calls, prompt=prompt, output=_messages([response]))
        return response

    async def on_tool_execution(self, call_next: Any, event: Any, context: Any) -> Any:
        act = self._run.action(event.name, parsed(event.arguments), event.id)
        call = _Call(act, event.source in self._hooked)
        async with call.act:
            self._calls[event.id] = call
            token = _call.set(call)
            try:
                result = await call_next(event, context)
            except PermissionError as error:
                if not call.reached:
                    call.act.deny(type(error).__name__, policy=_POLICY)
                raise
            finally:
                _call.reset(token)
                del self._calls[event.id]
            _ended(call, result)
        return result

    async def on_human_input(self, call_next: Any, event: Any, context: Any) -> Any:
        answer = await call_next(event, context)
        call = self._calls.get(event.tool_call_id) if isinstance(event, ToolApprovalRequest) else None
        if call is not None:
            call.act.approve("approved" if answer.content.lower() in _YES else "rejected")
        return answer


class _Behind(BaseMiddleware):
    """Stands behind the agent's other middleware: of a tool without our hook (a toolkit's, an MCP server's) this is what is known."""

    async def on_tool_execution(self, call_next: Any, event: Any, context: Any) -> Any:
        call = _call.get()
        if call is not None and not call.hooked:
            call.reached = True
        return await call_next(event, context)


def _hook(tool: FunctionTool) -> str:
    """Have a tool tell that it is reached. Gives by which `source` its calls are known."""
    if _reached not in tool._middleware:  # noqa: SLF001 - with_middleware only puts a hook outside the others
        tool._middleware = (*tool._middleware, _reached)  # noqa: SLF001
    return str(tool.source)


async def _reached(call_next: Any, event: Any, context: Any) -> Any:
    """Stands inside every other hook of a tool: a call that comes here was not refused."""
    call = _call.get()
    if call is not None:
        call.reached = True
    return await call_next(event, context)


def _ended(call: _Call, result: Any) -> None:
    if not call.reached:
        call.act.deny("answered_by_middleware", policy=_POLICY)
    elif isinstance(result, ToolErrorEvent):
        call.act.fail(result.error)
    elif isinstance(result, ClientToolCallEvent):  # the app carries it out, after this turn
        call.act.end("unknown")
    else:
        call.act.result = _answer(result)


def _answer(event: ToolResultEvent) -> Any:
    parts = [_input(part) for part in event.result.parts]
    return parts[0] if len(parts) == 1 else parts


def _input(part: Any) -> Any:
    return part.content if isinstance(part, TextInput) else getattr(part, "data", repr(part))


def _words(event: Any) -> str | None:
    """What was asked."""
    parts = event.parts if isinstance(event, ModelRequest) else []
    return "\n".join(part.content for part in parts if isinstance(part, TextInput)) or None


def _messages(events: Iterable[Any]) -> list[dict[str, Any]]:
    """Events of the conversation as messages. Some tell twice what others hold: the calls and results one by one."""
    messages = []
    for event in events:
        if isinstance(event, ModelRequest):
            messages.append({"role": "user", "parts": [text_part(_input(part)) for part in event.parts]})
        elif isinstance(event, ModelResponse):
            texts = [text_part(event.content)] if event.content else []
            calls = [call_part(call.id, call.name, parsed(call.arguments)) for call in event.tool_calls.calls]
            messages.append({"role": "assistant", "parts": [*texts, *calls]})
        elif isinstance(event, ToolResultsEvent):
            parts = [answer_part(result.parent_id, _answer(result)) for result in event.results]
            messages.append({"role": "tool", "parts": parts})
    return messages
