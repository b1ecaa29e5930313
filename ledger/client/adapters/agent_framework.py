"""Microsoft Agent Framework (agent-framework-core 1.23): an agent middleware.

    Agent(client, ..., middleware=[LedgerMiddleware(ledger), ...])

It stands first, so that what the others refuse is seen. For each run it puts three parts of itself around the run's own middleware: one
outside all that see tool calls, one inside them, which tells whether a call got through, and one that hears the model.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from agent_framework import (
    AgentContext,
    AgentMiddleware,
    ChatContext,
    ChatMiddleware,
    ChatResponse,
    Content,
    FunctionInvocationContext,
    FunctionMiddleware,
    Message,
    MiddlewareFailure,
    MiddlewareTermination,
)

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

Next = Callable[[], Awaitable[None]]
_REACHED: Final = "agent_ledger.reached"
_HANDOFF: Final = (
    "handoff_to"  # the tools of a HandoffBuilder are handoff_to_<agent>, and answer {"handoff_to": agent}
)
_POLICY: Final = {"engine": "agent_framework.middleware"}


class LedgerMiddleware(AgentMiddleware):
    """Records an agent's runs. One may serve many agents; give it to each, before all other middleware."""

    def __init__(
        self, ledger: Ledger, *, user_keys: Sequence[str] = USER_KEYS, describe: Describe | None = None
    ) -> None:
        """A recorder of runs.

        Args:
            ledger: where they are recorded.
            user_keys: under which of these keys of `function_invocation_kwargs`, else of `session.state`, the app tells its user.
            describe: what the app says of its tools, such as their `effect` and `resource`.
        """
        self._recorder = Recorder(ledger, user_keys, describe)

    async def process(self, context: AgentContext, call_next: Next) -> None:
        """Record what was asked, and put the recorders around this run's middleware."""
        run = self._run(context)
        run.asked()
        _record_rejections(run, context.messages)
        inner = context.client_kwargs.get("middleware") or []
        context.client_kwargs["middleware"] = [_Calls(run), _Model(run), *inner, _Reached()]
        await call_next()

    def _run(self, context: AgentContext) -> Run:
        session = context.session
        conversation = session.session_id if session else (context.options or {}).get("conversation_id")
        given, state = context.function_invocation_kwargs, session.state if session else {}
        user = self._recorder.user_of(function_invocation_kwargs=given, **{"session.state": state})
        return Run(
            self._recorder,
            request={"text": _last_words(context.messages), "conversation_id": conversation},
            identity={"agent_id": context.agent.id, "agent_name": context.agent.name, **user},
            scope=conversation,
        )


class _Model(ChatMiddleware):
    """Hears what the model answers, streamed or not."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def process(self, context: ChatContext, call_next: Next) -> None:
        async def heard(response: ChatResponse[Any]) -> None:
            self._record(context, response)

        if context.stream:
            context.stream_result_hooks.append(heard)
        await call_next()
        if isinstance(context.result, ChatResponse):
            self._record(context, context.result)

    def _record(self, context: ChatContext, response: ChatResponse[Any]) -> None:
        usage: Mapping[str, Any] = response.usage_details or {}
        model = (context.options or {}).get("model") or getattr(context.client, "model", None)
        decision = {
            "provider": getattr(context.client, "OTEL_PROVIDER_NAME", None),
            "request_model": model,
            "response_model": response.model,
            "response_id": response.response_id,
            "finish_reason": response.finish_reason,
            "input_tokens": usage.get("input_token_count"),
            "output_tokens": usage.get("output_token_count"),
        }
        calls = [
            content.call_id
            for message in response.messages
            for content in message.contents
            if content.type == "function_call" and content.call_id
        ]
        self._run.decided(
            decision, calls, prompt=_messages(context.messages), output=_messages(response.messages)
        )


class _Calls(FunctionMiddleware):
    """Stands outside every other middleware of the run that sees tool calls."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def process(self, context: FunctionInvocationContext, call_next: Next) -> None:
        name = context.function.name
        act = self._run.action(
            name,
            context.arguments,
            context.metadata.get("call_id"),
            effect="delegate" if name.startswith(f"{_HANDOFF}_") else None,
        )
        try:
            await act.astart()
        except Exception as error:  # whatever it was: any other exception would become words for the model
            raise MiddlewareFailure(
                f"{name} did not run: its intent is not in the ledger: {error}"
            ) from error
        approval = context.metadata.get("approval_response")
        if approval is not None:
            act.approve("approved", id=approval.id)
        async with act:
            await _call(act, context, call_next)


async def _call(act: Action, context: FunctionInvocationContext, call_next: Next) -> None:
    try:
        await call_next()
    except MiddlewareTermination:
        if context.metadata.get(_REACHED) or _handed_over(context.result):
            act.succeed(_answer(context.result))
        else:
            act.deny("MiddlewareTermination", policy=_POLICY)
        raise
    except (MiddlewareFailure, PermissionError) as error:
        if not context.metadata.get(_REACHED):
            act.deny(type(error).__name__, policy=_POLICY)
        raise
    if context.metadata.get(_REACHED):
        act.result = _answer(context.result)
    else:
        act.deny("answered_by_middleware", policy=_POLICY)


class _Reached(FunctionMiddleware):
    """Stands inside every other: a call that comes here was not refused."""

    async def process(self, context: FunctionInvocationContext, call_next: Next) -> None:
        context.metadata[_REACHED] = True
        await call_next()


def _handed_over(result: object) -> bool:
    """Whether a call ended its agent's turn by a handoff: not refused, and answered by the framework itself."""
    try:
        answer = json.loads(_answer(result))
    except (TypeError, ValueError):
        return False
    return isinstance(answer, dict) and _HANDOFF in answer


def _record_rejections(run: Run, messages: Iterable[Message]) -> None:
    """A call that a person did not approve never comes to a middleware: it is told by the person's answer alone."""
    for message in messages:
        for content in message.contents:
            call = content.function_call if content.type == "function_approval_response" else None
            if call is not None and content.approved is False:
                act = run.action(str(call.name), call.parse_arguments(), call.call_id)
                act.approve("rejected", id=content.id)
                act.deny("approval_rejected")


def _last_words(messages: Iterable[Message]) -> str | None:
    """What the user said last."""
    return next(
        (message.text for message in reversed([*messages]) if message.role == "user" and message.text), None
    )


def _answer(result: object) -> Any:
    """What a tool answered: the framework makes every result a list of contents, most of them one text."""
    if isinstance(result, list) and all(isinstance(item, Content) for item in result):
        if all(item.type == "text" for item in result):
            return "".join(item.text or "" for item in result)
        return [_part(item) for item in result]
    return result


def _messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    return [{"role": str(m.role), "parts": [_part(content) for content in m.contents]} for m in messages]


def _part(content: Content) -> dict[str, Any]:
    if content.type == "text":
        return text_part(content.text)
    if content.type == "function_call":
        return call_part(content.call_id, content.name, parsed(content.arguments))
    if content.type == "function_result":
        return answer_part(content.call_id, content.result)
    return dict(content.to_dict())
