"""AgentDojo runs as records: what `agent-ledger import agentdojo` posts.

A file holds one JSON object per line, one line per run (see `Run`). Each executed tool call becomes one `action` with its
five facets; the run itself becomes one `request`, so that a run in which no tool was called leaves a trace too. Ids follow
from the run's id and the call's place in it: importing a file again adds nothing.

The runs carry no times. The time of a record is made up, from the run's id and its real duration, and says so
(`agentdojo.time` is `synthetic`). A tool call that the run never executed has no result, and gives no record.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from ledger.cli.agentdojo import tools
from ledger.core.errors import Code, FormatError

PREFIX = "agentdojo."
ERROR_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
# Who served a model, as the benchmark's own table has it, under the names of OpenTelemetry's `gen_ai.provider.name`.
PROVIDERS = {
    "gpt-": "openai",
    "claude-": "anthropic",
    "gemini-": "gcp.vertex_ai",
    "command-": "cohere",
}
OTHER_ERROR = "_OTHER"  # what OpenTelemetry's `error.type` says of an error without a known class

_USER = re.compile(r"The user's name is ([^,\n]{1,100}),")
_EPOCH = datetime(2024, 6, 1, tzinfo=UTC)
_SPREAD_S = 90 * 86_400


class ToolCall(msgspec.Struct, frozen=True):
    """One call in an assistant's message: the arguments stay the bytes they are."""

    function: str
    args: msgspec.Raw
    id: str | None = None


class Message(msgspec.Struct, frozen=True):
    """One message of a run."""

    i: int
    role: str
    content: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    function: str | None = None
    error: str | None = None


class Run(msgspec.Struct, frozen=True):
    """One line of a file of runs. Members that are not needed are ignored."""

    run_id: str
    source: str
    suite: str
    model: str
    user_task_id: str
    user_task: str
    messages: Sequence[Message]
    defence: str | None = None
    injection_task_id: str | None = None
    attack_type: str | None = None
    utility: bool | None = None
    injection_succeeded: bool | None = None
    duration_s: float | None = None
    error: str | None = None


class Call(NamedTuple):
    """A call that was executed: the assistant's message that asked for it, the call, and the tool's message."""

    asked: Message
    call: ToolCall
    answer: Message


_decoder = msgspec.json.Decoder(Run)
_encoder = msgspec.json.Encoder()


def parse_run(line: bytes) -> Run:
    """Read one line of a file.

    Raises:
        FormatError: it is not a run.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(Code.MALFORMED_JSON, f"not an AgentDojo run: {error}") from None


def records(run: Run) -> Iterator[bytes]:
    """The records of a run as JSON, in the order in which things happened.

    Raises:
        FormatError: a tool's message does not follow the call it answers.
    """
    yield _encoder.encode(_request_record(run))
    for ordinal, call in enumerate(executed(run)):
        yield _encoder.encode(_action_record(run, ordinal, call))


def executed(run: Run) -> Iterator[Call]:
    """The calls of a run that have a result, paired by position: call ids are reused and often empty.

    Raises:
        FormatError: a result is not of the call at its position.
    """
    asked: Message | None = None
    waiting: Iterator[ToolCall] = iter(())
    for message in run.messages:
        if message.role == "assistant":
            asked, waiting = message, iter(message.tool_calls)
        elif message.role == "tool":
            call = next(waiting, None)
            if asked is None or call is None or call.function != message.function:
                raise FormatError(
                    Code.MALFORMED_JSON,
                    f"run {run.run_id}: message {message.i} is the result of {message.function}, which was not called there",
                )
            yield Call(asked, call, message)


def _request_record(run: Run) -> dict[str, Any]:
    return {
        "id": f"agentdojo-{run.run_id}",
        "type": "request",
        "time": _time(run, 1),
        "request": _request(run),
        "identity": _identity(run),
        "ext": _run_facts(run) | _present({f"{PREFIX}error": run.error}),
    }


def _action_record(run: Run, ordinal: int, call: Call) -> dict[str, Any]:
    record_id = f"agentdojo-{run.run_id}-{ordinal:03}"
    name = call.call.function
    arguments = json.loads(bytes(call.call.args), parse_float=Decimal)
    place = {f"{PREFIX}call": ordinal, f"{PREFIX}message": call.asked.i}
    return _present(
        {
            "id": record_id,
            "type": "action",
            "action_id": record_id,
            "time": _time(run, call.answer.i),
            "request": _request(run),
            "decision": _decision(run, call.asked),
            "tool": _tool(run, call.call, arguments),
            "identity": _identity(run),
            "resource": tools.resource(name, arguments) or None,
            "policy": {"effect": "not_evaluated"},  # the benchmark has no policy: nothing could have said no
            "outcome": _outcome(call.answer),
            "absent": {"resource": "none"} if tools.acts_on_nothing(name) else None,
            "ext": _run_facts(run) | place,
        }
    )


def _request(run: Run) -> dict[str, Any]:
    user = _user(run)
    return _present({"user": user, "conversation_id": run.run_id, "origin": "human", "text": run.user_task})


def _identity(run: Run) -> dict[str, Any]:
    defence = f"+{run.defence}" if run.defence else ""
    return _present({"agent_id": f"agentdojo/{run.model}{defence}", "principal": _user(run)})


def _decision(run: Run, asked: Message) -> dict[str, Any]:
    provider = next((name for prefix, name in PROVIDERS.items() if run.model.startswith(prefix)), None)
    return _present({"provider": provider, "request_model": run.model, "output": asked.content})


def _tool(run: Run, call: ToolCall, arguments: dict[str, Any]) -> dict[str, Any]:
    return _present(
        {
            "name": call.function,
            "type": "function",
            "call_id": call.id or None,
            "effect": tools.effect(call.function),
            "protocol": "function",
            "server": f"agentdojo/{run.suite}",
            "arguments": call.args,
            "facts": tools.facts(arguments) or None,
        }
    )


def _outcome(answer: Message) -> dict[str, Any]:
    if answer.error is None:
        return {"status": "success", "result": answer.content or ""}
    return {"status": "failure", "error_type": _error_type(answer.error), "result": answer.error}


def _error_type(error: str) -> str:
    name, colon, _ = error.partition(":")
    return name if colon and ERROR_CLASS.fullmatch(name) else OTHER_ERROR


def _run_facts(run: Run) -> dict[str, Any]:
    facts = {
        "suite": run.suite,
        "attack_type": run.attack_type,
        "user_task_id": run.user_task_id,
        "injection_task_id": run.injection_task_id,
        "defence": run.defence,
        "utility": run.utility,
        "injection_succeeded": run.injection_succeeded,
        "duration_s": None if run.duration_s is None else repr(run.duration_s),
        "source": run.source,
        "time": "synthetic",
    }
    return {f"{PREFIX}{name}": value for name, value in facts.items() if value is not None}


def _user(run: Run) -> str | None:
    """The person the agent works for, as the system message tells it."""
    for message in run.messages:
        if message.role == "system" and (match := _USER.search(message.content or "")):
            return match[1]
    return None


def _time(run: Run, message: int) -> str:
    """A made-up time: the run's start follows from its id, and its messages spread over its real duration."""
    start_s = int.from_bytes(run.run_id.encode()[:8].rjust(8, b"\0"), "big") % _SPREAD_S
    share = message / max(1, len(run.messages))
    moment = _EPOCH + timedelta(seconds=start_s + (run.duration_s or 0) * share)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
