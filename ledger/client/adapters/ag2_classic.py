"""AG2 before 1.0 (0.14, the module `autogen`): what every agent of the process does, by its class.

    with LedgerPatch(ledger):
        user.initiate_chat(clerk, message=...)

Its own hooks tell neither a call's id nor the model's answer whole, are not asked at all by asynchronous calls, and group chats make agents
of their own that nobody can hang a hook on. So the methods by which all agents ask models and call functions are wrapped.
"""

import functools
import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from autogen import ConversableAgent, OpenAIWrapper

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

_POLICY: Final = {"engine": "ag2.safeguards"}
_REMEMBERED: Final = 10_000
_EXECUTE: Final = "execute_code_blocks"
_HEARD: Final = "__agent_ledger_heard__"


@dataclass(eq=False)
class _Call:
    """A call that is carried out."""

    error: BaseException | None = None


_call: ContextVar[_Call | None] = ContextVar("agent_ledger_call", default=None)


class LedgerPatch:
    """Records all that AG2's agents do in this process while it is registered. One per process."""

    def __init__(
        self, ledger: Ledger, *, user_keys: Sequence[str] = USER_KEYS, describe: Describe | None = None
    ) -> None:
        """A recorder that is not registered yet.

        Args:
            ledger: where it is recorded.
            user_keys: under which of these names of an agent's `context_variables` the app tells its user.
            describe: what the app says of its tools, such as their `effect` and `resource`.
        """
        self._recorder = Recorder(ledger, user_keys, describe)
        self._runs: OrderedDict[str, tuple[Any, Run]] = OrderedDict()  # by agent, with what it was asked
        self._made: OrderedDict[str, tuple[Run, str, Any]] = OrderedDict()  # by call id, not yet carried out
        self._replaced: list[tuple[type, str, Any]] = []
        self._executors: list[Any] = []
        self._lock = threading.Lock()

    def register(self) -> Self:
        """Begin to record."""
        self._replace(OpenAIWrapper, "create", self._create)
        self._replace(ConversableAgent, "_process_tool_input", self._process_tool_input)
        self._replace(ConversableAgent, "execute_function", self._execute_function)
        self._replace(ConversableAgent, "a_execute_function", self._a_execute_function)
        self._replace(ConversableAgent, "generate_reply", self._replying)
        self._replace(ConversableAgent, "a_generate_reply", self._replying)
        self._replace(ConversableAgent, "execute_code_blocks", self._execute_code)
        return self

    def unregister(self) -> None:
        """Record no more."""
        for owner, name, original in reversed(self._replaced):
            setattr(owner, name, original)
        self._replaced.clear()
        for executor in self._executors:
            object.__delattr__(executor, _EXECUTE)
        self._executors.clear()

    def __enter__(self) -> Self:
        return self.register()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()

    def _replace(self, owner: type, name: str, replacement: Callable[[Any], Any]) -> None:
        original = getattr(owner, name)
        setattr(owner, name, functools.wraps(original)(replacement(original)))
        self._replaced.append((owner, name, original))

    # ---- the model

    def _create(self, original: Any) -> Any:
        def create(wrapper: Any, **config: Any) -> Any:
            agent, messages = config.get("agent"), config.get("messages") or []
            if agent is None:  # AG2's own errands
                return original(wrapper, **config)
            prompt = _messages(messages)
            run = self._run_of(agent, messages)
            response = original(wrapper, **config)
            self._decided(run, wrapper, prompt, response)
            return response

        return create

    def _decided(self, run: Run, wrapper: Any, prompt: Any, response: Any) -> None:
        choices = getattr(response, "choices", None) or []
        message = choices[0].message if choices else None
        calls = [
            call for call in getattr(message, "tool_calls", None) or [] if getattr(call, "function", None)
        ]
        with self._lock:
            for call in calls:
                self._made[call.id] = (run, call.function.name, parsed(call.function.arguments))
            while len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        usage = getattr(response, "usage", None)
        decision = {
            "request_model": _asked_for(wrapper, response),
            "response_model": getattr(response, "model", None),
            "response_id": getattr(response, "id", None),
            "finish_reason": getattr(choices[0], "finish_reason", None) if choices else None,
            "input_tokens": getattr(usage, "prompt_tokens", None),
            "output_tokens": getattr(usage, "completion_tokens", None),
        }
        text = getattr(message, "content", None)
        parts = [call_part(call.id, call.function.name, parsed(call.function.arguments)) for call in calls]
        output = [{"role": "assistant", "parts": [*([text_part(text)] if text else []), *parts]}]
        run.decided(decision, [call.id for call in calls], prompt=prompt, output=output)

    # ---- the tools

    def _process_tool_input(self, original: Any) -> Any:
        def process(agent: Any, tool_input: Any) -> Any:
            try:
                processed = original(agent, tool_input)
            except Exception as error:
                self._action(agent, tool_input, None).deny(type(error).__name__, policy=_POLICY)
                raise
            if processed is None:
                self._action(agent, tool_input, None).deny("blocked_by_safeguard", policy=_POLICY)
            return processed

        return process

    def _execute_function(self, original: Any) -> Any:
        def execute(
            agent: Any, func_call: Any, call_id: str | None = None, *rest: Any, **options: Any
        ) -> Any:
            act, call = self._action(agent, func_call, call_id), _Call()
            with act:
                token = _call.set(call)
                try:
                    done, answer = original(agent, _listened(agent, func_call), call_id, *rest, **options)
                finally:
                    _call.reset(token)
                _ended(act, call, agent, func_call, done=done, answer=answer)
            return done, answer

        return execute

    def _a_execute_function(self, original: Any) -> Any:
        async def execute(
            agent: Any, func_call: Any, call_id: str | None = None, *rest: Any, **options: Any
        ) -> Any:
            act, call = self._action(agent, func_call, call_id), _Call()
            async with act:
                token = _call.set(call)
                try:
                    done, answer = await original(
                        agent, _listened(agent, func_call), call_id, *rest, **options
                    )
                finally:
                    _call.reset(token)
                _ended(act, call, agent, func_call, done=done, answer=answer)
            return done, answer

        return execute

    # ---- code

    def _replying(self, original: Any) -> Any:
        """An agent that is about to reply may run code: its executor is recorded from now on."""

        def reply(agent: Any, *args: Any, **options: Any) -> Any:
            executor = agent.code_executor
            if executor is not None and _EXECUTE not in vars(executor):
                execute = functools.partial(
                    self._execute_code(getattr(type(executor), _EXECUTE)), executor, agent=agent
                )
                object.__setattr__(executor, _EXECUTE, execute)
                self._executors.append(executor)
            return original(agent, *args, **options)

        return reply

    def _execute_code(self, original: Any) -> Any:
        def execute(runs: Any, code_blocks: Any, agent: Any = None) -> Any:
            agent = agent or runs
            arguments = {"code_blocks": code_blocks}
            with (
                self._run_of(agent, ())
                .by({"agent_name": agent.name})
                .action(_EXECUTE, arguments, effect="execute") as act
            ):
                result = original(runs, code_blocks)
                status, said = result if isinstance(result, tuple) else (result.exit_code, result.output)
                if status != 0:
                    act.end("failure", said, error_type=f"exit_code_{status}")
                else:
                    act.result = said
            return result

        return execute

    def _action(self, agent: Any, func_call: Mapping[str, Any], call_id: str | None) -> Action:
        """The call, in the run of the agent whose model made it: another one carries it out."""
        name, arguments = str(func_call.get("name")), parsed(func_call.get("arguments") or "{}")
        with self._lock:
            if call_id is None:
                same = [made for made, (_, *what) in self._made.items() if what == [name, arguments]]
                call_id = same[0] if same else None
            made = self._made.pop(call_id, None) if call_id else None
        run = made[0] if made else self._run_of(agent, ())
        effect = "delegate" if name.startswith("transfer_to_") else None
        return run.action(name, arguments, call_id, effect=effect)

    # ---- the run

    def _run_of(self, agent: Any, messages: Sequence[Mapping[str, Any]]) -> Run:
        """What an agent works at: a new run where somebody who has no model said something new."""
        with self._lock:
            said = [m for m in messages if m.get("role") == "user" and m.get("name") not in self._runs]
            known = self._runs.get(agent.name)
        words = str(said[-1].get("content") or "") if said else None
        variables = getattr(agent.context_variables, "data", {})
        user = self._recorder.user_of(context_variables=variables)
        asked = (len(said), words, user.get("principal"))
        if known is not None and (not messages or known[0] == asked or not words):
            return known[1]
        request = {"text": words, "conversation_id": variables.get("conversation_id")}
        run = Run(self._recorder, request=request, identity={"agent_name": agent.name, **user})
        run.asked()
        if not messages:  # of one who has no model: what such a one says is asked
            return run
        with self._lock:
            self._runs[agent.name] = (asked, run)
            while len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)
        return run


def _listened(agent: Any, func_call: Mapping[str, Any]) -> Any:
    """Have a function of an agent tell what it raises, before AG2 makes words of it. Gives the call as it was."""
    functions, name = agent._function_map, func_call.get("name")  # noqa: SLF001 - the only place where they are
    function = functions.get(name)
    if function is not None and not hasattr(function, _HEARD):
        functions[name] = _hearing(function)
    return func_call


def _hearing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except Exception as error:
            _raised(error)
            raise

    @functools.wraps(function)
    async def arun(*args: Any, **options: Any) -> Any:
        try:
            return await function(*args, **options)
        except Exception as error:
            _raised(error)
            raise

    heard = arun if inspect.iscoroutinefunction(function) else run
    setattr(heard, _HEARD, True)
    return heard


def _raised(error: Exception) -> None:
    call = _call.get()
    if call is not None:
        call.error = error


def _ended(act: Action, call: _Call, agent: Any, func_call: Any, *, done: bool, answer: Any) -> None:
    content = answer.get("content") if isinstance(answer, Mapping) else answer
    if call.error is not None:
        act.fail(call.error)
    elif done:
        act.result = content
    else:
        known = func_call.get("name") in agent._function_map  # noqa: SLF001 - as above
        act.end("failure", content, error_type=None if known else "tool_not_found")


def _asked_for(wrapper: Any, response: Any) -> str | None:
    """The model of the configuration that was used: a wrapper tries several."""
    configurations = getattr(wrapper, "_config_list", None) or []
    told = getattr(wrapper, "_response_metadata", {}).get(getattr(response, "id", None), {})
    used = told.get("config_id", 0 if len(configurations) == 1 else None)
    model = configurations[used].get("model") if used is not None else None
    return str(model) if model else None


def _messages(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [_message(message) for message in messages]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role, content = str(message.get("role", "user")), message.get("content")
    if role == "tool":
        return {"role": role, "parts": [answer_part(message.get("tool_call_id"), content)]}
    calls = [
        call_part(call.get("id"), call["function"].get("name"), parsed(call["function"].get("arguments")))
        for call in message.get("tool_calls") or []
        if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping)
    ]
    return {"role": role, "parts": [*([text_part(content)] if content else []), *calls]}
