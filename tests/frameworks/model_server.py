"""An OpenAI-compatible server on loopback whose model says what a script says. The standard library is all it needs.

    with ModelServer() as model:
        model.script([Call("read_file", path="a.txt"), Call("read_file", path="b.txt")], "Both are empty.", user="Read both")
        ... a framework pointed at model.url ...
        model.answers[0].response_id

A script is chosen by what its request holds and played turn by turn: the turn is the number of the model's own
answers after the user message that chose it, so that the server needs no memory of conversations. A framework that
rewrites its history plays a script `in_order` instead.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from tests.frameworks.openai_wire import (
    Answer,
    ToolCall,
    chat_chunks,
    chat_completion,
    event,
    response,
    response_events,
    response_items,
)


class Call:
    """A tool call that the model makes. A handoff is one, too: `Call("transfer_to_clerk")`."""

    def __init__(self, name: str, /, **arguments: Any) -> None:
        self.name = name
        self.arguments = arguments


@dataclass(frozen=True)
class Fail:
    """The model's server refuses: an HTTP status, 400 where it should not be tried again."""

    status: int = 400
    message: str = "the model failed, as its script says"


Turn = str | Call | Fail | list[str | Call]  # several calls in one turn are made in parallel


class Unscripted(Exception):  # noqa: N818 - says what happened
    """No script answers this request."""


class Message(NamedTuple):
    """What a script is chosen by, of a message of either API."""

    role: str
    text: str


@dataclass
class Script:
    """What the model says, turn by turn, to a request that holds all of `user`, `system` and `model` ("" is in all)."""

    turns: tuple[Turn, ...]
    user: str
    system: str
    model: str
    in_order: bool
    played: int = field(default=0)

    def turn(self, model: str, messages: list[Message]) -> int | None:
        """Which turn it is, counted from 0; None if the script is not for this request."""
        if self.model not in model or not any(self.system in m.text for m in messages if m.role == "system"):
            return None
        asked = [at for at, m in enumerate(messages) if m.role == "user" and self.user in m.text]
        if not asked:
            return None
        return self.played if self.in_order else sum(m.role == "assistant" for m in messages[asked[-1] :])


class ModelServer:
    """A model server in a thread. Every request it cannot answer is in `unscripted`, every answer in `answers`."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.answers: list[Answer] = []
        self.unscripted: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self._histories: dict[str, list[Any]] = {}
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"model": self}))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def script(
        self, *turns: Turn, user: str = "", system: str = "", model: str = "", in_order: bool = False
    ) -> None:
        """Add a script. The first one added that fits a request answers it."""
        self.scripts.append(Script(turns, user, system, model, in_order))

    @property
    def calls(self) -> list[ToolCall]:
        """Every tool call the model made, in order."""
        return [call for answer in self.answers for call in answer.calls]

    def deciding(self, call_id: str) -> Answer:
        """The answer that made a call."""
        return next(answer for answer in self.answers if any(call.id == call_id for call in answer.calls))

    def answer(self, body: dict[str, Any], messages: list[Message], prefix: str) -> Answer | Fail:
        """Play the next turn of the script that fits."""
        with self._lock:
            self.requests.append(body)
            turn = self._next(str(body.get("model", "")), messages)
            if isinstance(turn, Fail):
                return turn
            parts = turn if isinstance(turn, list) else [turn]
            number = len(self.answers) + 1
            calls = tuple(
                ToolCall(f"call_{number:03}_{index}", part.name, json.dumps(part.arguments))
                for index, part in enumerate(part for part in parts if isinstance(part, Call))
            )
            text = "".join(part for part in parts if isinstance(part, str))
            made = Answer(f"{prefix}{number:03}", f"{body.get('model')}-2026-11-01", text, calls)
            self.answers.append(made)
            return made

    def _next(self, model: str, messages: list[Message]) -> Turn:
        for script in self.scripts:
            number = script.turn(model, messages)
            if number is not None and number < len(script.turns):
                script.played += 1
                return script.turns[number]
        shown = "\n".join(f"  {m.role}: {m.text[:300]}" for m in messages)
        self.unscripted.append(f"no script has a turn for model {model!r} and\n{shown}")
        raise Unscripted(self.unscripted[-1])

    def history(self, body: dict[str, Any]) -> list[Any]:
        """The items of a responses request, with what `previous_response_id` stands for."""
        given = body.get("input") or []
        items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
        with self._lock:
            return self._histories.get(str(body.get("previous_response_id")), []) + items

    def remember(self, answer: Answer, items: list[Any]) -> None:
        """Keep what a later request may call by its `previous_response_id`."""
        with self._lock:
            self._histories[answer.response_id] = items + response_items(answer)


def _text(content: Any) -> str:
    """The text of a message's content: a string, or parts of which some have text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _role(role: Any) -> str:
    return "system" if role == "developer" else str(role)


def chat_messages(body: dict[str, Any]) -> list[Message]:
    """The messages of a chat completions request; a system message there always is."""
    return [
        Message("system", ""),
        *(Message(_role(m.get("role")), _text(m.get("content"))) for m in body["messages"]),
    ]


def response_messages(body: dict[str, Any], items: Iterable[Any]) -> list[Message]:
    """The same of a responses request: what the model said in a row, text and calls, is one message of its own."""
    messages = [Message("system", str(body.get("instructions") or ""))]
    for item in items:
        by_model = item.get("type") in {"function_call", "reasoning"} or item.get("role") == "assistant"
        role = "assistant" if by_model else _role(item.get("role", "tool"))
        if not (role == messages[-1].role == "assistant"):
            messages.append(Message(role, _text(item.get("content"))))
    return messages


class _Handler(BaseHTTPRequestHandler):
    model: ModelServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answering = {"/chat/completions": self._chat, "/responses": self._responses}
        for path, answer in answering.items():
            if self.path.split("?")[0].endswith(path):
                return answer(body)
        return self._error(404, f"this server has no {self.path}")

    def do_GET(self) -> None:
        if self.path.endswith("/models"):
            return self._json(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}]})
        return self._error(404, f"this server has no {self.path}")

    def _answer(self, body: dict[str, Any], messages: list[Message], prefix: str) -> Answer | None:
        try:
            answer = self.model.answer(body, messages, prefix)
        except Unscripted as error:
            return self._error(400, str(error))
        return self._error(answer.status, answer.message) if isinstance(answer, Fail) else answer

    def _chat(self, body: dict[str, Any]) -> None:
        if answer := self._answer(body, chat_messages(body), "chatcmpl-"):
            if body.get("stream"):
                usage = bool((body.get("stream_options") or {}).get("include_usage"))
                self._stream(chat_chunks(answer, usage=usage), named=False)
            else:
                self._json(200, chat_completion(answer))

    def _responses(self, body: dict[str, Any]) -> None:
        items = self.model.history(body)
        if answer := self._answer(body, response_messages(body, items), "resp_"):
            self.model.remember(answer, items)
            if body.get("stream"):
                self._stream(response_events(answer, body), named=True)
            else:
                self._json(200, response(answer, body))

    def _error(self, status: int, message: str) -> None:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self._json(status, {"error": {"message": message, "type": kind, "param": None, "code": None}})

    def _json(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, values: Iterator[dict[str, Any]], *, named: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        events = [event(value, named=named) for value in values]
        for piece in [*events, *([] if named else [b"data: [DONE]\n\n"]), b""]:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: pytest shows what went wrong."""
