"""LangChain 1.4 and LangGraph 1.2: a middleware for `create_agent`, whose parts serve a graph of one's own.

    create_agent(model, tools, middleware=[LedgerMiddleware(ledger), ...])

    recorder = LedgerMiddleware(ledger)
    ToolNode(tools, wrap_tool_call=recorder.wrap_tool_call, awrap_tool_call=recorder.awrap_tool_call)
    graph.invoke(..., config={"callbacks": [recorder.listener]})

It stands first, so that what the others refuse is seen: no callback fires for that. Whether a call got through to its tool, and the
error it raised, a callback tells.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Final
from uuid import UUID

from langchain.agents.middleware import AgentMiddleware, ExtendedModelResponse, ModelRequest, ToolCallRequest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers.context import register_configure_hook
from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command

from ledger.client.action import Action
from ledger.client.adapters.run import (
    USER_KEYS,
    Describe,
    Recorder,
    Run,
    answer_part,
    call_part,
    text_part,
)
from ledger.client.context import inside
from ledger.client.ledger import Ledger

_POLICY: Final = {"engine": "langchain.middleware"}
_REMEMBERED: Final = 10_000  # runs, and calls that have not ended


class LedgerMiddleware(AgentMiddleware[Any, Any, Any]):
    """Records an agent's runs. One may serve many agents; give it to each, before all other middleware."""

    def __init__(
        self, ledger: Ledger, *, user_keys: Sequence[str] = USER_KEYS, describe: Describe | None = None
    ) -> None:
        """A recorder of runs.

        Args:
            ledger: where they are recorded.
            user_keys: under which of these keys of `context`, else of `configurable`, else of `metadata`, the app tells its user.
            describe: what the app says of its tools, such as their `effect` and `resource`.
        """
        super().__init__()
        self.tools: list[Any] = []
        self.listener = _Listener(self)
        self._recorder = Recorder(ledger, user_keys, describe)
        self._runs = _Recent()
        self._calls = _Recent()  # made by the model, not yet come to a tool; or waiting for somebody's answer

    # ---- the model

    def wrap_model_call(self, request: ModelRequest[Any], handler: Callable[..., Any]) -> Any:
        """Record what the model decided."""
        run = self._asking(request)
        response = handler(request)
        self._decided(run, request, response)
        return response

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Callable[..., Any]) -> Any:
        """The same."""
        run = self._asking(request)
        response = await handler(request)
        self._decided(run, request, response)
        return response

    def _asking(self, request: ModelRequest[Any]) -> Run:
        run = self.run_of(request.messages, get_config(), request.runtime.context)
        self._answered(run, request.messages)
        return run

    def _decided(self, run: Run, request: ModelRequest[Any], response: Any) -> None:
        if isinstance(response, ExtendedModelResponse):
            response = response.model_response
        messages = [response] if isinstance(response, AIMessage) else response.result
        prompt = [*([request.system_message] if request.system_message else []), *request.messages]
        self.decided(run, request.model, prompt, messages)

    def decided(
        self, run: Run, model: Any, prompt: Iterable[BaseMessage], messages: Sequence[BaseMessage]
    ) -> None:
        """Record an answer of a model. Calls that come with their results are no tools but the shape of an answer."""
        answer = next((message for message in messages if isinstance(message, AIMessage)), None)
        if answer is None:
            return
        shaped = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
        calls = [call for call in answer.tool_calls if call["id"] and call["id"] not in shaped]
        for call in calls:
            self._calls.put((run.scope, call["id"]), call)
        run.decided(
            _decision(model, answer),
            [str(call["id"]) for call in calls],
            prompt=_messages(prompt),
            output=_messages(messages),
        )

    # ---- the tools

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[..., Any]) -> Any:
        """Record a call before it runs, and what came of it."""
        act, heard = self._begin(request)
        act.start()
        with self._carried_out(act, heard, request):
            result = handler(request)
        _ended(act, heard, request, result)
        return result

    async def awrap_tool_call(self, request: ToolCallRequest, handler: Callable[..., Any]) -> Any:
        """The same."""
        act, heard = self._begin(request)
        await act.astart()
        with self._carried_out(act, heard, request):
            result = await handler(request)
        _ended(act, heard, request, result)
        return result

    def _begin(self, request: ToolCallRequest) -> tuple[Action, "_Heard"]:
        call = request.tool_call
        run = self.run_of(_messages_in(request.state), request.runtime.config, request.runtime.context)
        waited = self._calls.pop((run.scope, call["id"]))
        act = waited if isinstance(waited, Action) else run.action(call["name"], call["args"], call["id"])
        return act, _Heard(call["id"])

    def _carried_out(
        self, act: Action, heard: "_Heard", request: ToolCallRequest
    ) -> AbstractContextManager[None]:
        run = self.run_of(_messages_in(request.state), request.runtime.config, request.runtime.context)
        return _carried_out(act, heard, lambda: self._calls.put((run.scope, request.tool_call["id"]), act))

    def _answered(self, run: Run, messages: Sequence[BaseMessage]) -> None:
        """Record the calls that another middleware answered between the model and the tools: a person's refusal, a limit."""
        for message in reversed(messages):
            if not isinstance(message, ToolMessage):
                break
            call = self._calls.pop((run.scope, message.tool_call_id))
            if isinstance(call, Action):
                call.end("unknown", message.content)
            elif call is not None:
                run.action(call["name"], call["args"], call["id"]).deny(
                    "answered_by_middleware", policy=_POLICY
                )

    # ---- the run

    def run_of(self, messages: Sequence[BaseMessage], config: Mapping[str, Any], context: object) -> Run:
        """The run that answers the last words of the user: LangGraph gives a message its id, and a run none that its hooks see."""
        human = next((message for message in reversed(messages) if isinstance(message, HumanMessage)), None)
        configurable, metadata = config.get("configurable") or {}, config.get("metadata") or {}
        user = self._recorder.user_of(context=context, configurable=configurable, metadata=metadata)
        thread, agent = configurable.get("thread_id"), metadata.get("lc_agent_name")
        words = human.text if human else None
        key = (thread, agent, user.get("principal"), human.id if human else None, words)
        run: Run | None = self._runs.get(key)
        if run is None:
            request = {"text": words, "conversation_id": thread}
            identity = {"agent_name": agent, **user}
            run = Run(
                self._recorder,
                request=request,
                identity=identity,
                scope=thread,
            )
            self._runs.put(key, run)
            run.asked()
        return run


class _Recent:
    """The newest of what was put here."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, key: object, value: object) -> None:
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > _REMEMBERED:
                self._kept.popitem(last=False)

    def get(self, key: object) -> Any:
        with self._lock:
            return self._kept.get(key)

    def pop(self, key: object) -> Any:
        with self._lock:
            return self._kept.pop(key, None)


class _Heard(BaseCallbackHandler):
    """What the tool of one call tells."""

    run_inline = True

    def __init__(self, call_id: str | None) -> None:
        self.reached = False
        self.error: BaseException | None = None
        self._call_id = call_id
        self._run_id: UUID | None = None

    def on_tool_start(
        self, serialized: Any, input_str: str, *, run_id: UUID, tool_call_id: str | None = None, **_: Any
    ) -> None:
        if tool_call_id == self._call_id:
            self.reached, self.error, self._run_id = True, None, run_id

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        if run_id == self._run_id:
            self.error = error


_heard: ContextVar[_Heard | None] = ContextVar("agent_ledger_heard", default=None)
register_configure_hook(_heard, inheritable=False)


class _Listener(BaseCallbackHandler):
    """Hears the models of a graph that has no middleware."""

    run_inline = True

    def __init__(self, middleware: LedgerMiddleware) -> None:
        self._middleware = middleware
        self._asked = _Recent()

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: UUID, metadata: Any = None, **_: Any
    ) -> None:
        try:
            config: Mapping[str, Any] = get_config()
        except RuntimeError:  # a model outside any graph: its metadata is all there is
            config = {"configurable": metadata, "metadata": metadata}
        self._asked.put(run_id, (messages[0], config, (metadata or {}).get("ls_model_name")))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        asked = self._asked.pop(run_id)
        message = getattr(response.generations[0][0], "message", None)
        if asked is not None and message is not None:
            prompt, config, model = asked
            self._middleware.decided(self._middleware.run_of(prompt, config, None), model, prompt, [message])


@contextmanager
def _carried_out(act: Action, heard: _Heard, wait: Callable[[], None]) -> Any:
    """Around the call: nested runs have it for a parent, and its tool is heard."""
    token = _heard.set(heard)
    try:
        with inside(act.id, act.span):
            yield
    except GraphBubbleUp:  # an interrupt: the graph goes on with this call when it is answered
        wait()
        raise
    except BaseException as error:
        if not heard.reached and isinstance(error, PermissionError):
            act.deny(type(error).__name__, policy=_POLICY)
        else:
            act.__exit__(type(error), error, error.__traceback__)
        raise
    finally:
        _heard.reset(token)


def _ended(act: Action, heard: _Heard, request: ToolCallRequest, result: Any) -> None:
    answer = result.content if isinstance(result, ToolMessage) else result
    if heard.error is not None:
        act.fail(heard.error)
    elif not heard.reached and request.tool is None:
        act.end("failure", answer, error_type="tool_not_found")
    elif not heard.reached:
        act.deny("answered_by_middleware", policy=_POLICY)
    elif isinstance(result, ToolMessage) and result.status == "error":
        act.fail(str(answer))
    elif isinstance(result, Command):
        act.succeed({"goto": result.goto, "update": _plain(result.update)})
    else:
        act.succeed(_plain(answer))


def _decision(model: Any, answer: AIMessage) -> dict[str, Any]:
    told, usage = answer.response_metadata, answer.usage_metadata or {}
    name = (
        model
        if isinstance(model, str)
        else getattr(model, "model_name", None) or getattr(model, "model", None)
    )
    return {
        "provider": told.get("model_provider"),
        "request_model": name,
        "response_model": told.get("model_name"),
        "response_id": told.get("id"),
        "finish_reason": told.get("finish_reason") or told.get("status"),
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
    }


def _messages_in(state: Any) -> Sequence[BaseMessage]:
    """The messages of a graph's state: a list of them, a mapping or an object."""
    found = state.get("messages") if isinstance(state, Mapping) else getattr(state, "messages", state)
    return [message for message in found or [] if isinstance(message, BaseMessage)]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseMessage):
        return _message(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _messages(messages: Iterable[BaseMessage]) -> list[dict[str, Any]]:
    return [_message(message) for message in messages]


def _message(message: BaseMessage) -> dict[str, Any]:
    if isinstance(message, ToolMessage):
        return {"role": "tool", "parts": [answer_part(message.tool_call_id, message.content)]}
    texts = [text_part(message.text)] if message.text else []
    if isinstance(message, AIMessage):
        calls = [call_part(call["id"], call["name"], call["args"]) for call in message.tool_calls]
        return {"role": "assistant", "parts": [*texts, *calls]}
    return {"role": "system" if isinstance(message, SystemMessage) else "user", "parts": texts}
