"""The benchmark's records as OpenTelemetry says them: a model call and the tool's execution, two spans of one trace."""

import json
import uuid

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

START_NS = 1_795_253_400_123_456_000


def export(records: list[dict]) -> bytes:
    """One request with two spans for every second record: as many spans as records."""
    spans = [span for record in records[::2] for span in _spans(record)]
    scope = ScopeSpans(scope=InstrumentationScope(name="benchmark", version="1"), spans=spans)
    resource = Resource(attributes=_attributes({"service.name": "payer", "service.instance.id": "i-1"}))
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])]
    )
    return request.SerializeToString()


def _spans(record: dict) -> tuple[Span, Span]:
    # The first eight bytes are those that tell the record's run from others.
    trace_id = record["id"].encode()[:8] + uuid.uuid4().bytes[:8]
    chat_id, tool_id = uuid.uuid4().bytes[:8], uuid.uuid4().bytes[:8]
    request, decision, tool, identity = (
        record[facet] for facet in ("request", "decision", "tool", "identity")
    )
    call = {"type": "tool_call", "id": tool["call_id"], "name": tool["name"], "arguments": tool["arguments"]}
    common = {
        "gen_ai.agent.id": identity["agent_id"],
        "gen_ai.agent.name": identity["agent_name"],
        "gen_ai.conversation.id": request["conversation_id"],
        "user.id": request["user"],
    }
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": decision["provider"],
        "gen_ai.request.model": decision["request_model"],
        "gen_ai.response.id": decision["response_id"],
        "gen_ai.usage.input_tokens": decision["input_tokens"],
        "gen_ai.usage.output_tokens": decision["output_tokens"],
        "gen_ai.input.messages": _messages("user", {"type": "text", "content": request["text"]}),
        "gen_ai.output.messages": _messages("assistant", call),
    }
    execution = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool["name"],
        "gen_ai.tool.call.id": tool["call_id"],
        "gen_ai.tool.call.arguments": json.dumps(tool["arguments"]),
        "gen_ai.tool.call.result": json.dumps(record["outcome"]["result"]),
    }
    return (
        _span((trace_id, chat_id, b""), "chat gpt-5", Span.SPAN_KIND_CLIENT, common | chat),
        _span(
            (trace_id, tool_id, chat_id),
            "execute_tool send_money",
            Span.SPAN_KIND_INTERNAL,
            common | execution,
        ),
    )


def _span(ids: tuple[bytes, bytes, bytes], name: str, kind: int, attributes: dict) -> Span:
    trace_id, span_id, parent = ids
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        name=name,
        kind=kind,
        start_time_unix_nano=START_NS,
        end_time_unix_nano=START_NS + 1_200_300,
        attributes=_attributes(attributes),
    )


def _messages(role: str, part: dict) -> str:
    return json.dumps([{"role": role, "parts": [part]}])


def _attributes(values: dict) -> list[KeyValue]:
    return [
        KeyValue(
            key=key,
            value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value),
        )
        for key, value in values.items()
    ]
