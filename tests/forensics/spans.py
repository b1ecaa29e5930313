"""Records as the OTLP dialect makes them of spans (ledger/ingest/otlp), by hand: for tests that need a certain trace."""

import json
from typing import Any

from ledger.ingest.draft import record_id

EPOCH = "2026-11-21T09:30:00"


def trace(number: int) -> str:
    return f"{number:032x}"


def span(number: int) -> str:
    return f"{number:016x}"


class Spans:
    """What one sender's exporter says. Spans are numbers; `at` is milliseconds."""

    def __init__(
        self, submitter: str = "token:app", trace: int = 1, instance: str = "process-1", lib: str = "lib"
    ) -> None:
        self.submitter, self.trace, self.instance, self.lib = submitter, trace, instance, lib
        self.records: list[tuple[str, bytes]] = []

    def put(
        self,
        record_type: str,
        kind: str,
        part: str,
        at: int,
        *,
        own: int | None = None,
        parent: int | None = None,
        trace_id: int | None = None,
        lib: str | None = None,
        side: str = "internal",
        instance: str | None = None,
        ext: dict[str, Any] | None = None,
        **members: Any,
    ) -> None:
        """One record. `own` is its span, or of an intent the span it stands in is `parent`."""
        trace_hex = trace(self.trace if trace_id is None else trace_id)
        place = {"trace_id": trace_hex}
        if own is not None:
            place["span_id"] = span(own)
        if parent is not None:
            place["parent_span_id"] = span(parent)
        stands_in = span(own or parent or 0)
        identity = {"agent_instance_id": instance or self.instance, **members.pop("identity", {})}
        scope = {"otel.kind": kind, "otel.part": part, "otel.scope": lib or self.lib, "otel.span_kind": side}
        record = {
            "id": record_id("otlp", self.submitter, trace_hex, stands_in, part),
            "type": record_type,
            "time": f"{EPOCH}.{at:06d}Z",
            "trace": place,
            "identity": identity,
            "ext": {**scope, **(ext or {})},
            **members,
        }
        self.records.append((self.submitter, json.dumps(record).encode()))

    def agent(
        self, own: int, at: int, parent: int | None = None, text: str | None = None, **members: Any
    ) -> None:
        if text is not None:
            members.setdefault("request", {})["text"] = text
        self.put("agent.run", "agent", "run", at, own=own, parent=parent, **members)

    def other(self, own: int, at: int, parent: int | None = None, **members: Any) -> None:
        self.put("otel.span", "other", "span", at, own=own, parent=parent, **members)

    def chat(
        self,
        own: int,
        at: int,
        parent: int | None = None,
        *calls: dict[str, Any],
        text: str | None = None,
        silent: bool = False,
        response: str | None = None,
        told: list[dict[str, Any]] | None = None,
        results: list[Any] | None = None,
        **members: Any,
    ) -> None:
        """A model call: its decision, an intent for each call of its output, one for each call that its history tells."""
        decision = {"provider": "openai", "request_model": "gpt"}
        if response is not None:
            decision |= {"response_id": response, "response_model": "gpt-1"}
        request = {"request": {"text": text}} if text is not None else {}
        parts = [{"type": "tool_call", **call} for call in calls] or [{"type": "text", "content": "Done."}]
        output = {} if silent else {"output": [{"role": "assistant", "parts": parts}]}
        said = {**decision, **output}
        self.put(
            "decision", "chat", "decision", at, own=own, parent=parent, decision=said, **request, **members
        )
        place = {key: members[key] for key in ("trace_id", "lib", "instance") if key in members}
        for number, call in enumerate(calls):
            intent = {"tool": _tool(call), "decision": decision, **place}
            self.put("action.intent", "chat", f"call.{number}", at, parent=own, **intent)
        for number, call in enumerate(told or []):
            result = {"outcome": {"result": results[number]}} if results else {}
            self.put(
                "action.intent", "chat", f"told.{number}", at, parent=own, tool=_tool(call), **result, **place
            )

    def summary(self, own: int, at: int, *calls: dict[str, Any], **place: Any) -> None:
        """The calls that an agent's own span lists."""
        for number, call in enumerate(calls):
            self.put("action.intent", "agent", f"call.{number}", at, parent=own, tool=_tool(call), **place)

    def tool(
        self,
        own: int,
        at: int,
        parent: int | None,
        call: dict[str, Any],
        status: str = "success",
        **members: Any,
    ) -> None:
        """An execution, with `result` where it is given."""
        outcome = {"status": status} | ({"result": members.pop("result")} if "result" in members else {})
        self.put(
            "action", "tool", "tool", at, own=own, parent=parent, tool=_tool(call), outcome=outcome, **members
        )

    def mcp(
        self,
        own: int,
        at: int,
        parent: int | None,
        side: str,
        *,
        name: str | None = None,
        status: str = "success",
        **members: Any,
    ) -> None:
        """One side of an MCP call."""
        tool = {"protocol": "mcp", "operation": "tools/call", **members.pop("tool", {})} | (
            {"name": name} if name else {}
        )
        place = {"own": own, "parent": parent, "side": side}
        self.put("action", "mcp", "mcp", at, **place, tool=tool, outcome={"status": status}, **members)


def _tool(call: dict[str, Any]) -> dict[str, Any]:
    """A tool call of semconv's messages as a record's `tool`."""
    names = {"id": "call_id", "name": "name", "arguments": "arguments"}
    return {names[key]: value for key, value in call.items()}
