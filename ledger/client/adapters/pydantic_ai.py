"""Pydantic AI (pydantic-ai 2.68): a capability.

    Agent(model, ..., capabilities=[LedgerCapability(ledger)])

It stands outside all others wherever it is in the list, so that what they refuse is seen. A wrapper around the innermost toolsets tells
whether a call got through to its tool.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_ai import ApprovalRequired, CallDeferred, ModelRetry, RunContext
from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering
from pydantic_ai.exceptions import SkipToolExecution, ToolFailed
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.toolsets import AbstractToolset, WrapperToolset

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
from ledger.client.context import inside
from ledger.client.ledger import Ledger

_POLICY: Final = {"engine": "pydantic_ai.capability"}
_DEFERRALS: Final = (ApprovalRequired, CallDeferred)
_REFUSALS: Final = (SkipToolExecution, ModelRetry, ToolFailed, PermissionError)
WAITING_CALLS: Final = 10_000


class LedgerCapability(AbstractCapability[Any]):
    """Records an agent's runs. One may serve many agents."""

    def __init__(
        self, ledger: Ledger, *, user_keys: Sequence[str] = USER_KEYS, describe: Describe | None = None
    ) -> None:
        """A recorder of runs.

        Args:
            ledger: where they are recorded.
            user_keys: under which of these keys or attributes of `deps`, else of `metadata`, the app tells its user.
            describe: what the app says of its tools, such as their `effect` and `resource`.
        """
        self._recorder = Recorder(ledger, user_keys, describe)
        self._waiting: dict[tuple[str, str], Action] = {}
        self.run: Run | None = None
        self.reached: set[str] = set()

    def get_ordering(self) -> CapabilityOrdering:
        """Outside every other."""
        return CapabilityOrdering(position="outermost")

    async def for_run(self, ctx: RunContext[Any]) -> AbstractCapability[Any]:
        """One for each run, which knows who asked for what."""
        user = self._recorder.user_of(deps=ctx.deps, metadata=ctx.metadata)
        here = copy(self)
        here.reached = set()
        here.run = Run(
            self._recorder,
            request={"text": _prompt(ctx.prompt), "conversation_id": ctx.conversation_id},
            identity={"agent_name": ctx.agent.name if ctx.agent else None, **user},
            scope=ctx.conversation_id,
        )
        return here

    async def before_run(self, ctx: RunContext[Any]) -> None:
        """Record what was asked."""
        self._here.asked()

    def get_wrapper_toolset(self, toolset: AbstractToolset[Any]) -> AbstractToolset[Any]:
        """Mark the calls that get through to a tool."""
        return toolset.visit_and_replace(lambda inner: _Reached(inner, self.reached))

    async def wrap_model_request(
        self, ctx: RunContext[Any], *, request_context: Any, handler: Any
    ) -> ModelResponse:
        """Record what the model decided."""
        self._returned(request_context.messages)
        response: ModelResponse = await handler(request_context)
        model = request_context.model
        decision = {
            "provider": response.provider_name or model.system,
            "request_model": model.model_name,
            "response_model": response.model_name,
            "response_id": response.provider_response_id,
            "finish_reason": response.finish_reason,
            "input_tokens": response.usage.input_tokens,
            "output_tokens": response.usage.output_tokens,
        }
        self._here.decided(
            decision,
            [part.tool_call_id for part in response.parts if isinstance(part, ToolCallPart)],
            prompt=_messages(request_context.messages),
            output=_messages([response]),
        )
        return response

    async def wrap_tool_validate(
        self, ctx: RunContext[Any], *, call: ToolCallPart, handler: Any, args: Any, **_: Any
    ) -> Any:
        """Record a call that fails before it could run: it has no other record."""
        try:
            return await handler(args)
        except _DEFERRALS:
            raise
        except Exception as error:
            act = self._here.action(call.tool_name, parsed(call.args), call.tool_call_id)
            if isinstance(error, PermissionError):
                act.deny(type(error).__name__, policy=_POLICY)
            else:
                act.fail(error)
            raise

    async def wrap_tool_execute(
        self, ctx: RunContext[Any], *, call: ToolCallPart, args: dict[str, Any], handler: Any, **_: Any
    ) -> Any:
        """Record the call before it runs, and what came of it."""
        waited = self._waiting.pop((self._here.scope, call.tool_call_id), None)
        act = waited or self._here.action(call.tool_name, args, call.tool_call_id)
        await act.astart()
        if ctx.tool_call_approved:
            act.approve("approved")
        with inside(act.id, act.span):
            try:
                result = await handler(args)
            except _DEFERRALS:
                self._wait(act, call)
                raise
            except BaseException as error:
                self._failed(act, call, error)
                raise
        if call.tool_call_id in self.reached:
            act.succeed(result)
        else:
            act.deny("answered_by_capability", policy=_POLICY)
        return result

    def _failed(self, act: Action, call: ToolCallPart, error: BaseException) -> None:
        cause = error.__cause__ or error  # the framework wraps what a tool raised to have the model try again
        if call.tool_call_id not in self.reached and isinstance(cause, _REFUSALS):
            act.deny(type(cause).__name__, policy=_POLICY)
        else:
            act.__exit__(type(cause), cause, cause.__traceback__)

    def _wait(self, act: Action, call: ToolCallPart) -> None:
        while len(self._waiting) >= WAITING_CALLS:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[self._here.scope, call.tool_call_id] = act

    def _returned(self, messages: Sequence[ModelMessage]) -> None:
        """Record what became, between two runs, of calls that had to wait: they come back as messages alone."""
        last = messages[-1] if messages else None
        for part in last.parts if isinstance(last, ModelRequest) else ():
            if not isinstance(part, ToolReturnPart):
                continue
            act = self._waiting.pop((self._here.scope, part.tool_call_id), None)
            if part.outcome == "denied":
                call = _call_of(messages, part.tool_call_id)
                act = act or self._here.action(
                    part.tool_name, parsed(call.args) if call else None, part.tool_call_id
                )
                act.approve("rejected")
                act.deny("approval_rejected")
            elif act is not None:  # somebody else carried it out
                act.end("unknown", part.content)

    @property
    def _here(self) -> Run:
        if self.run is None:
            raise RuntimeError("a hook was called outside a run: the agent needs this capability in its list")
        return self.run


@dataclass
class _Reached(WrapperToolset[Any]):
    """Stands around the toolsets that hold the tools themselves: a call that comes here was not refused."""

    reached: set[str] = field(default_factory=set)

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: Any) -> Any:
        if ctx.tool_call_id is not None:
            self.reached.add(ctx.tool_call_id)
        return await super().call_tool(name, tool_args, ctx, tool)


def _call_of(messages: Iterable[ModelMessage], call_id: str) -> ToolCallPart | None:
    parts = [part for message in messages for part in message.parts]
    return next(
        (part for part in parts if isinstance(part, ToolCallPart) and part.tool_call_id == call_id), None
    )


def _prompt(prompt: Any) -> str | None:
    """The text of a user's prompt: a text, or parts of which some are texts."""
    if prompt is None or isinstance(prompt, str):
        return prompt
    texts = [item if isinstance(item, str) else getattr(item, "content", None) for item in prompt]
    return "\n".join(text for text in texts if isinstance(text, str))


def _messages(messages: Iterable[ModelMessage]) -> list[dict[str, Any]]:
    return [_message(part) for message in messages for part in message.parts]


def _message(part: Any) -> dict[str, Any]:
    if isinstance(part, SystemPromptPart):
        return {"role": "system", "parts": [text_part(part.content)]}
    if isinstance(part, UserPromptPart):
        return {"role": "user", "parts": [text_part(_prompt(part.content))]}
    if isinstance(part, TextPart):
        return {"role": "assistant", "parts": [text_part(part.content)]}
    if isinstance(part, ToolCallPart):
        return {
            "role": "assistant",
            "parts": [call_part(part.tool_call_id, part.tool_name, parsed(part.args))],
        }
    if isinstance(part, ToolReturnPart | RetryPromptPart):
        return {"role": "tool", "parts": [answer_part(part.tool_call_id, part.content)]}
    return {"role": "assistant", "parts": [{"type": part.part_kind}]}
