"""AutoGen 0.7.5 (autogen-agentchat), Magentic-One too: agents and teams whose models, tools and code executors are put inside recorders.

    LedgerRecorder(ledger).watch(team)

AutoGen has no hook around a tool call: its intervention handlers do not see them. An exception around one hangs the agent for good, so a
call that cannot be recorded is answered with an error in the tool's place.
"""

import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from autogen_agentchat.agents import AssistantAgent, CodeExecutorAgent
from autogen_agentchat.base import ChatAgent, Response
from autogen_agentchat.messages import TextMessage
from autogen_core import EVENT_LOGGER_NAME, FunctionCall
from autogen_core.logging import LLMCallEvent
from autogen_core.models import ChatCompletionClient, CreateResult

from ledger.client.action import Action
from ledger.client.adapters.autogen_tools import handing_over, record_code, recorded
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

_HEARING: Final = logging.INFO - 1  # a level that nobody else sets
_heard: ContextVar[dict[str, Any] | None] = ContextVar("agent_ledger_heard", default=None)


class LedgerRecorder:
    """Records what agents and teams do. One may watch many."""

    def __init__(
        self, ledger: Ledger, *, user_keys: Sequence[str] = USER_KEYS, describe: Describe | None = None
    ) -> None:
        """A recorder.

        Args:
            ledger: where it is recorded.
            user_keys: under which of these keys of a message's `metadata` the app tells its user.
            describe: what the app says of its tools, such as their `effect` and `resource`.
        """
        self._recorder = Recorder(ledger, user_keys, describe)
        _hear_models()

    def watch(self, target: Any) -> Any:
        """Record from now on what this agent or team does, and each agent in it.

        Args:
            target: changed in place: its models, tools and code executors are replaced by recorded ones.

        Returns:
            The same.

        Raises:
            TypeError: it is neither an agent nor a team.
        """
        self._watch(target, _Asked(self._recorder))
        return target

    def _watch(self, target: Any, asked: "_Asked") -> None:
        members = getattr(target, "_participants", None)
        if members is None and not isinstance(target, ChatAgent):
            raise TypeError(f"an agent or a team can be watched, not {type(target).__name__}")
        for member in members or []:
            self._watch(member, asked)
        agent = _Agent(
            asked, str(target.name), own_tools=members is not None or isinstance(target, AssistantAgent)
        )
        if isinstance(getattr(target, "_model_client", None), ChatCompletionClient):
            target._model_client = _Model(target._model_client, agent)
        if isinstance(target, AssistantAgent):
            target._workbench = [recorded(bench, agent) for bench in target._workbench]
            target._handoff_tools = [handing_over(tool, agent) for tool in target._handoff_tools]
        if isinstance(target, CodeExecutorAgent):
            record_code(target, agent)
        if members is None:
            _record_turns(target, agent)
        else:
            _record_tasks(target, asked)


@dataclass
class _Asked:
    """What a team, or an agent alone, was asked last: all of a team work at the same."""

    recorder: Recorder
    run: Run | None = None
    message: str | None = None

    def hear(self, messages: Iterable[Any]) -> None:
        """Begin a run where a user has said something new."""
        said = [m for m in messages if m.source == "user" or self.recorder.user_of(metadata=m.metadata)]
        if said and said[-1].id != self.message:
            self.message = said[-1].id
            self.begin(said[-1].to_text(), said[-1].metadata)

    def begin(self, text: str | None, metadata: Mapping[str, str]) -> Run:
        """A run."""
        user = self.recorder.user_of(metadata=metadata)
        request = {"text": text, "conversation_id": metadata.get("conversation_id")}
        self.run = Run(self.recorder, request=request, identity=user)
        self.run.asked()
        return self.run


@dataclass
class _Agent:
    """One agent. `own_tools`: its tool calls come to recorded tools; the others' (surfers) only their models' answers tell of."""

    asked: _Asked
    name: str
    own_tools: bool
    open: list[Action] = field(default_factory=list)

    @property
    def run(self) -> Run:
        """What it works at."""
        return (self.asked.run or self.asked.begin(None, {})).by({"agent_name": self.name})

    async def decided(
        self, client: Any, messages: Iterable[Any], result: CreateResult, told: Mapping[str, Any]
    ) -> None:
        """Record an answer; of an agent that carries out its calls itself, those, too."""
        self.close()
        calls = [] if isinstance(result.content, str) else result.content
        arguments = getattr(client, "_create_args", None) or {}
        decision = {
            "request_model": arguments.get("model"),
            "response_model": told.get("model"),
            "response_id": told.get("id"),
            "finish_reason": result.finish_reason,
            "input_tokens": result.usage.prompt_tokens,
            "output_tokens": result.usage.completion_tokens,
        }
        run = self.run
        output = [{"role": "assistant", "parts": _parts(result.content)}]
        run.decided(decision, [call.id for call in calls], prompt=_messages(messages), output=output)
        if not self.own_tools:
            for call in calls:
                self.open.append(run.action(call.name, parsed(call.arguments), call.id))
                await self.open[-1].astart()

    def close(self, result: Any = None, error: BaseException | None = None) -> None:
        """The calls that it carried out itself are over: what came of each it does not tell."""
        for act in self.open:
            if isinstance(error, Exception) and len(self.open) == 1:
                act.fail(error)
            else:
                act.end("unknown", result)
        self.open.clear()


class _Model(ChatCompletionClient):
    """A model client that records what it answers."""

    def __init__(self, inner: ChatCompletionClient, agent: _Agent) -> None:
        self._inner, self._agent = inner, agent

    async def create(self, messages: Sequence[Any], **options: Any) -> CreateResult:
        told: dict[str, Any] = {}
        token = _heard.set(told)
        try:
            result = await self._inner.create(messages, **options)
        finally:
            _heard.reset(token)
        await self._agent.decided(self._inner, messages, result, told)
        return result

    async def create_stream(self, messages: Sequence[Any], **options: Any) -> AsyncGenerator[Any, None]:
        async for piece in self._inner.create_stream(messages, **options):
            if isinstance(piece, CreateResult):
                await self._agent.decided(self._inner, messages, piece, {})
            yield piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def model_info(self) -> Any:
        return self._inner.model_info

    @property
    def capabilities(self) -> Any:
        return self._inner.capabilities

    async def close(self) -> None:
        await self._inner.close()

    def actual_usage(self) -> Any:
        return self._inner.actual_usage()

    def total_usage(self) -> Any:
        return self._inner.total_usage()

    def count_tokens(self, messages: Sequence[Any], **options: Any) -> int:
        return int(self._inner.count_tokens(messages, **options))

    def remaining_tokens(self, messages: Sequence[Any], **options: Any) -> int:
        return int(self._inner.remaining_tokens(messages, **options))

    def dump_component(self) -> Any:
        return self._inner.dump_component()


def _record_tasks(team: Any, asked: _Asked) -> None:
    """What a team is asked: not every agent in it is told."""
    run_stream = team.run_stream

    async def streamed(*, task: Any = None, **options: Any) -> AsyncGenerator[Any, None]:
        if isinstance(task, str):
            task = TextMessage(content=task, source="user")  # as AutoGen does
        asked.hear([] if task is None else task if isinstance(task, Sequence) else [task])
        async for piece in run_stream(task=task, **options):
            yield piece

    team.run_stream = streamed


def _record_turns(target: Any, agent: _Agent) -> None:
    """What an agent is told, and that its turn is over."""
    stream, once = target.on_messages_stream, target.on_messages

    async def streamed(messages: Sequence[Any], cancellation_token: Any) -> AsyncGenerator[Any, None]:
        agent.asked.hear(messages)
        try:
            async for piece in stream(messages, cancellation_token):
                if isinstance(piece, Response):
                    agent.close(piece.chat_message.to_text())
                yield piece
        except BaseException as error:
            agent.close(error=error)
            raise

    async def answered(messages: Sequence[Any], cancellation_token: Any) -> Any:
        agent.asked.hear(messages)
        try:
            response = await once(messages, cancellation_token)
        except BaseException as error:
            agent.close(error=error)
            raise
        agent.close(response.chat_message.to_text())
        return response

    target.on_messages_stream, target.on_messages = streamed, answered


# ---- models


def _hear_models() -> None:
    """Which model answered, and under what id, a client says in AutoGen's event log alone."""
    log = logging.getLogger(EVENT_LOGGER_NAME)
    if log.level == logging.NOTSET:
        log.setLevel(_HEARING)
    if _hear not in log.filters:
        log.addFilter(_hear)


def _hear(record: logging.LogRecord) -> bool:
    told = _heard.get()
    if told is not None and isinstance(record.msg, LLMCallEvent):
        told.update(record.msg.kwargs.get("response") or {})
    log = logging.getLogger(EVENT_LOGGER_NAME)
    if log.level != _HEARING or log.parent is None:
        return True
    return record.levelno >= log.parent.getEffectiveLevel()  # as if we had not asked for more


def _messages(messages: Iterable[Any]) -> list[dict[str, Any]]:
    roles = {"SystemMessage": "system", "UserMessage": "user", "AssistantMessage": "assistant"}
    return [{"role": roles.get(m.type, "tool"), "parts": _parts(m.content)} for m in messages]


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [text_part(content)]
    return [_part(item) for item in content]


def _part(item: Any) -> dict[str, Any]:
    if isinstance(item, FunctionCall):
        return call_part(item.id, item.name, parsed(item.arguments))
    if hasattr(item, "call_id"):
        return answer_part(item.call_id, item.content)
    return text_part(item) if isinstance(item, str) else {"type": "image"}
