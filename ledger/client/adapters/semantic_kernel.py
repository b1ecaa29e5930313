"""Semantic Kernel 1.45: the chat services of an agent or a kernel, in whose place recorded copies of them are put.

    LedgerRecorder(ledger).watch(agent)

A service carries out the calls that its model makes. Each time one is asked, the kernel it is given gets filters of ours: one outside
all others, which sees what they refuse, and one inside them, which tells whether a call got through and what its function raised.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from functools import reduce
from operator import add
from typing import Any, Final

from semantic_kernel import Kernel
from semantic_kernel.agents import Agent
from semantic_kernel.connectors.ai.chat_completion_client_base import ChatCompletionClientBase
from semantic_kernel.contents import (
    ChatHistory,
    ChatMessageContent,
    FunctionCallContent,
    FunctionResultContent,
    TextContent,
)

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

_POLICY: Final = {"engine": "semantic_kernel.filters"}
_HANDOFF: Final = ("Handoff", "transfer_to_")  # the plugin and the functions of a HandoffOrchestration
_RECORDER: Final = "agent_ledger_recorder"
_IDENTITY: Final = "agent_ledger_identity"
_RUN: Final = "agent_ledger_run"
Next = Callable[[Any], Awaitable[None]]


class LedgerRecorder:
    """Records what agents and kernels do. One may watch many."""

    def __init__(
        self, ledger: Ledger, *, user_keys: Sequence[str] = USER_KEYS, describe: Describe | None = None
    ) -> None:
        """A recorder.

        Args:
            ledger: where it is recorded.
            user_keys: under which of these names of the `KernelArguments` the app tells its user.
            describe: what the app says of its tools, such as their `effect` and `resource`.
        """
        self._recorder = Recorder(ledger, user_keys, describe)

    def watch(self, target: Any) -> Any:
        """Record from now on what this one does.

        Args:
            target: an agent, whose kernel is replaced by a copy; a kernel, whose chat services are replaced; or a chat service, which
                stays as it is.

        Returns:
            The same agent or kernel; of a service its recorded copy.

        Raises:
            TypeError: it is none of these.
        """
        if isinstance(target, ChatCompletionClientBase):
            return self._recorded(target, {})
        if isinstance(target, Kernel):
            target.services = self._services(target, {})
            return target
        if isinstance(target, Agent):
            about = {"agent_id": target.id, "agent_name": target.name}
            target.kernel = target.kernel.model_copy(
                update={"services": self._services(target.kernel, about)}
            )
            if getattr(target, "service", None) is not None:  # set again, or the agent puts it back itself
                target.service = self._recorded(target.service, about)
            return target
        raise TypeError(f"an agent, a kernel or a chat service can be watched, not {type(target).__name__}")

    def begin(self, history: ChatHistory, arguments: Any, identity: dict[str, Any]) -> Run:
        """What a model is asked for, recorded."""
        conversation = (arguments or {}).get("conversation_id")
        run = Run(
            self._recorder,
            request={"text": _last_words(history), "conversation_id": conversation},
            identity={**identity, **self._recorder.user_of(arguments=arguments or {})},
        )
        run.asked()
        return run

    def _services(self, kernel: Kernel, identity: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._recorded(service, identity)
            if isinstance(service, ChatCompletionClientBase)
            else service
            for name, service in kernel.services.items()
        }

    def _recorded(self, service: Any, identity: dict[str, Any]) -> Any:
        copied = service.model_copy()
        kind = type(service)
        if not issubclass(kind, _RecordedService):
            copied.__class__ = type(kind.__name__, (_RecordedService, kind), {"__module__": kind.__module__})
        copied.__dict__.update({_RECORDER: self, _IDENTITY: identity})
        return copied


class _RecordedService(ChatCompletionClientBase):
    """A chat service whose answers are recorded, and the calls it carries out. Each time it is asked a copy of it answers, which knows
    its run: one service answers many at once.
    """

    async def get_chat_message_contents(self, chat_history: Any, settings: Any, **kwargs: Any) -> Any:
        asked, kwargs = self._asked(chat_history, kwargs)
        return await super(_RecordedService, asked).get_chat_message_contents(
            chat_history, settings, **kwargs
        )

    async def get_streaming_chat_message_contents(
        self, chat_history: Any, settings: Any, **kwargs: Any
    ) -> Any:
        asked, kwargs = self._asked(chat_history, kwargs)
        answers = super(_RecordedService, asked).get_streaming_chat_message_contents(
            chat_history, settings, **kwargs
        )
        async for answer in answers:
            yield answer

    async def _inner_get_chat_message_contents(self, chat_history: Any, settings: Any) -> Any:
        prompt = _messages(chat_history.messages)
        answers = await super()._inner_get_chat_message_contents(chat_history, settings)
        self._decided(settings, prompt, answers)
        return answers

    async def _inner_get_streaming_chat_message_contents(
        self, chat_history: Any, settings: Any, function_invoke_attempt: int = 0
    ) -> Any:
        prompt = _messages(chat_history.messages)
        pieces: list[Any] = []
        async for answers in super()._inner_get_streaming_chat_message_contents(
            chat_history, settings, function_invoke_attempt
        ):
            pieces.extend(piece for piece in answers if piece is not None and piece.choice_index == 0)
            yield answers
        if pieces:
            told = pieces[0].inner_content
            self._decided(settings, prompt, [reduce(add, pieces)], told)

    def _asked(self, history: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        run = self.__dict__[_RECORDER].begin(history, kwargs.get("arguments"), self.__dict__[_IDENTITY])
        asked = self.model_copy()
        asked.__dict__[_RUN] = run
        kernel = kwargs.get("kernel")
        return asked, kwargs if kernel is None else {**kwargs, "kernel": _recording(kernel, run)}

    def _decided(self, settings: Any, prompt: Any, answers: Sequence[Any], told: Any = None) -> None:
        run: Run = self.__dict__[_RUN]
        first, calls = (
            answers[0],
            [call for call in answers[0].items if isinstance(call, FunctionCallContent)],
        )
        usage = first.metadata.get("usage")
        decision = {
            "provider": getattr(self, "MODEL_PROVIDER_NAME", None),
            "request_model": getattr(settings, "ai_model_id", None) or self.ai_model_id,
            "response_model": getattr(told or first.inner_content, "model", None),
            "response_id": first.metadata.get("id"),
            "finish_reason": getattr(first.finish_reason, "value", first.finish_reason),
            "input_tokens": getattr(usage, "prompt_tokens", None),
            "output_tokens": getattr(usage, "completion_tokens", None),
        }
        run.decided(decision, [str(call.id) for call in calls], prompt=prompt, output=_messages(answers))


def _recording(kernel: Kernel, run: Run) -> Kernel:
    """The kernel, for what this run calls. Of a list of filters the last one stands outside all others."""

    async def calls(context: Any, next: Next) -> None:  # noqa: A002 - it is called by this name
        await _carried_out(run, context, next)

    return kernel.model_copy(
        update={
            "auto_function_invocation_filters": [
                *kernel.auto_function_invocation_filters,
                (id(calls), calls),
            ],
            "function_invocation_filters": [
                (id(_inner), _inner),
                *kernel.function_invocation_filters,
                (id(_outer), _outer),
            ],
        }
    )


class _Call:
    """What became of one call. Filters and functions may call others by the same kernel: only the first function called is it."""

    function: Any = None
    reached = False
    error: Exception | None = None


_call: ContextVar[_Call | None] = ContextVar("agent_ledger_call", default=None)


async def _outer(context: Any, next: Next) -> None:  # noqa: A002 - it is called by this name
    """Hears the error of which the kernel makes words for the model."""
    call = _call.get()
    if call is None or call.function is not None:
        return await next(context)
    call.function = context.function
    try:
        await next(context)
    except Exception as error:
        call.error = error
        raise


async def _inner(context: Any, next: Next) -> None:  # noqa: A002 - it is called by this name
    """Stands inside every other filter: a call that comes here was not refused."""
    call = _call.get()
    if call is not None and call.function is context.function:
        call.reached = True
    await next(context)


async def _carried_out(run: Run, context: Any, call_next: Next) -> None:
    asked, call = context.function_call_content, _Call()
    plugin, prefix = _HANDOFF
    hands_over = context.function.plugin_name == plugin and context.function.name.startswith(prefix)
    effect = "delegate" if hands_over else None
    async with run.action(asked.name, parsed(asked.arguments), str(asked.id), effect=effect) as act:
        token = _call.set(call)
        try:
            await call_next(context)
        except PermissionError as error:
            if not call.reached:
                act.deny(type(error).__name__, policy=_POLICY)
            raise
        finally:
            _call.reset(token)
        if not call.reached:
            reason = type(call.error).__name__ if call.error else "answered_by_filter"
            act.deny(reason, policy=_POLICY)
        elif call.error is not None:
            act.fail(call.error)
        else:
            act.result = context.function_result.value if context.function_result else None


def _last_words(history: ChatHistory) -> str | None:
    """What the user said last."""
    return next(
        (str(m.content) for m in reversed(history.messages) if m.role.value == "user" and m.content), None
    )


def _messages(messages: Iterable[ChatMessageContent]) -> list[dict[str, Any]]:
    return [
        {"role": message.role.value, "parts": [_part(item) for item in message.items]} for message in messages
    ]


def _part(item: Any) -> dict[str, Any]:
    if isinstance(item, FunctionCallContent):
        return call_part(item.id, item.name, parsed(item.arguments))
    if isinstance(item, FunctionResultContent):
        return answer_part(item.id, item.result)
    if isinstance(item, TextContent):
        return text_part(item.text)
    text = getattr(item, "text", None)
    return text_part(text) if isinstance(text, str) else dict(item.to_dict())
