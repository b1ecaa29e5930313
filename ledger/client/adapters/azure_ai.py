"""Azure AI Foundry (azure-ai-projects 2): its OpenAI client, and the functions of the app that a response asks for.

    desk = Foundry(ledger, {"read_file": read_file}, user=user, user_source="session cookie")
    client = desk.record(project.get_openai_client())
    response = client.responses.create(model="gpt-4o", input=question, tools=tools)
    outputs = desk.run(response)  # each function_call_output, for the next `input`

Foundry calls no hook: what the model decided is read off each response, and the functions run through `run`, which records each before it
does. Tools that Azure runs itself (MCP, code interpreter, search) are recorded after the fact, as the response tells them.
"""

import functools
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response

from ledger.client.action import Action
from ledger.client.adapters.run import Describe, Recorder, Run, call_part, text_part
from ledger.client.ledger import Ledger

Client = TypeVar("Client", OpenAI, AsyncOpenAI)
PROVIDER: Final = "microsoft.foundry"
_COMPLETED: Final = "response.completed"
_SERVER_TOOLS: Final = {
    "mcp_call": "mcp",
    "code_interpreter_call": "code_interpreter",
    "file_search_call": "file_search",
    "web_search_call": "web_search",
    "image_generation_call": "image_generation",
}
_STATUS: Final = {"completed": "success", "failed": "failure", "incomplete": "failure"}


class Foundry:
    """One user's conversation with a model or an agent of Foundry."""

    def __init__(
        self,
        ledger: Ledger,
        functions: Mapping[str, Callable[..., Any]],
        *,
        user: str | None = None,
        user_source: str = "the application",
        conversation: str | None = None,
        describe: Describe | None = None,
    ) -> None:
        """A recorder.

        Args:
            ledger: where it is recorded.
            functions: by the names under which they are offered to the model.
            user: for whom the application asks.
            user_source: where the application has that from.
            conversation: the application's own name for it.
            describe: what the app says of its tools, such as their `effect` and `resource`.
        """
        self._functions = functions
        self._recorder = Recorder(ledger, describe=describe)
        self._user = {"principal": user, "principal_source": user_source} if user else {}
        self._conversation = conversation
        self._text: Any = None
        self._run: Run | None = None

    def record(self, client: Client) -> Client:
        """Record each response of this client from now on, streamed or not. Returns the client."""
        create = client.responses.create

        @functools.wraps(create)
        def sync(**asked: Any) -> Any:
            run = self._asked(asked)
            answer = create(**asked)
            return (
                self._heard_stream(run, asked, answer)
                if asked.get("stream")
                else self._heard(run, asked, answer)
            )

        @functools.wraps(create)
        async def asynchronous(**asked: Any) -> Any:
            run = self._asked(asked)
            answer = await create(**asked)
            return (
                self._aheard_stream(run, asked, answer)
                if asked.get("stream")
                else self._heard(run, asked, answer)
            )

        made: Any = asynchronous if isinstance(client, AsyncOpenAI) else sync
        client.responses.create = made
        return client

    def run(self, response: Response) -> list[dict[str, str]]:
        """Run the functions that a response asks for, each recorded before it runs.

        Returns:
            A `function_call_output` item for each. What a function raises is told the model, and recorded as a failure.

        Raises:
            LedgerAway, ProblemError: an intent could not be recorded: its function did not run.
        """
        return [self._ran(call) for call in _calls(response)]

    async def arun(self, response: Response) -> list[dict[str, str]]:
        """As `run`, for functions some of which are coroutines."""
        return [await self._aran(call) for call in _calls(response)]

    # ---- what was asked, and what was decided

    def _asked(self, asked: Mapping[str, Any]) -> Run:
        """A request begins where there are words of a user; what carries only results goes on with the one before."""
        words = _user_words(asked.get("input"))
        self._text = words or self._text
        reference = (asked.get("extra_body") or {}).get("agent_reference") or {}
        conversation = self._conversation or asked.get("conversation")
        run = Run(
            self._recorder,
            request={
                "text": self._text,
                "conversation_id": conversation if isinstance(conversation, str) else None,
            },
            identity={
                "agent_name": reference.get("name"),
                "agent_version": reference.get("version"),
                **self._user,
            },
            scope="foundry",
        )
        if words:
            run.asked()
        return run

    def _heard(self, run: Run, asked: Mapping[str, Any], response: Response) -> Response:
        usage = response.usage
        decision = {
            "provider": PROVIDER,
            "request_model": asked.get("model"),
            "response_model": response.model,
            "response_id": response.id,
            "finish_reason": response.status,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
        }
        output = [{"role": "assistant", "parts": [_part(item) for item in response.output]}]
        self._run = run
        run.decided(
            decision,
            [item.call_id for item in response.output if item.type == "function_call"],
            prompt=asked.get("input"),
            output=output,
        )
        for item in response.output:
            if item.type in _SERVER_TOOLS:
                self._ran_by_azure(run, decision, item)
        return response

    def _heard_stream(self, run: Run, asked: Mapping[str, Any], stream: Any) -> Iterator[Any]:
        for event in stream:
            if event.type == _COMPLETED:
                self._heard(run, asked, event.response)
            yield event

    async def _aheard_stream(self, run: Run, asked: Mapping[str, Any], stream: Any) -> AsyncIterator[Any]:
        async for event in stream:
            if event.type == _COMPLETED:
                self._heard(run, asked, event.response)
            yield event

    def _ran_by_azure(self, run: Run, decision: Mapping[str, Any], item: Any) -> None:
        """A tool that ran before anybody here heard of it."""
        said = item.model_dump(mode="json", exclude_none=True)
        failed = said.get("error") is not None
        self._recorder.ledger.record(
            {
                "type": "action",
                "tool": {
                    "name": said.get("name") or _SERVER_TOOLS[item.type],
                    "type": item.type,
                    "call_id": item.id,
                    "server": said.get("server_label") or "azure",
                    "arguments": _json(
                        said.get("arguments") or {k: v for k, v in said.items() if k not in {"id", "status"}}
                    ),
                },
                "request": run.request,
                "identity": run.identity,
                "decision": {k: v for k, v in decision.items() if not k.endswith("_tokens")},
                "outcome": {
                    "status": "failure"
                    if failed
                    else _STATUS.get(str(said.get("status") or "completed"), "unknown"),
                    "result": said.get("output")
                    or said.get("error")
                    or said.get("results")
                    or said.get("outputs"),
                },
            }
        )

    # ---- the application's functions

    def _ran(self, call: Any) -> dict[str, str]:
        act, arguments = self._begun(call)
        act.start()
        try:
            with act:
                act.result = self._functions[call.name](**arguments)
        except Exception as error:  # noqa: BLE001 - recorded, and told the model as frameworks do
            return _output(call, f"error: {error}")
        return _output(call, act.result)

    async def _aran(self, call: Any) -> dict[str, str]:
        act, arguments = self._begun(call)
        await act.astart()
        try:
            async with act:
                result = self._functions[call.name](**arguments)
                act.result = await result if inspect.isawaitable(result) else result
        except Exception as error:  # noqa: BLE001 - as above
            return _output(call, f"error: {error}")
        return _output(call, act.result)

    def _begun(self, call: Any) -> tuple[Action, dict[str, Any]]:
        if self._run is None:
            raise ValueError("this response came through no client that was given to `record`")
        arguments = _json(call.arguments)
        act = self._run.action(call.name, arguments, call.call_id)
        return act, arguments if isinstance(arguments, dict) else {}


def _calls(response: Response) -> list[Any]:
    return [item for item in response.output if item.type == "function_call"]


def _output(call: Any, result: object) -> dict[str, str]:
    text = result if isinstance(result, str) else json.dumps(result, default=str)
    return {"type": "function_call_output", "call_id": call.call_id, "output": text}


def _json(text: object) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _part(item: Any) -> dict[str, Any]:
    if item.type == "function_call":
        return call_part(item.call_id, item.name, _json(item.arguments))
    if item.type == "message":
        return text_part("".join(getattr(part, "text", "") for part in item.content))
    return dict(item.model_dump(mode="json", exclude_none=True))


def _user_words(given: object) -> Any:
    """The user's words in an `input`: a text, or the last message of a user."""
    if isinstance(given, str):
        return given
    for item in reversed(given if isinstance(given, list) else []):
        if isinstance(item, Mapping) and item.get("role") == "user":
            content = item.get("content")
            if isinstance(content, list):
                return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
            return content
    return None
