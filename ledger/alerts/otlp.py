"""Alerts as OpenTelemetry log records: OTLP/HTTP in protobuf, by OTLP's own messages.

Not by the SDK's exporter: that follows redirects and resolves names by itself, and here it is checked where a connection leads.
"""

import json
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from ledger import __version__
from ledger.alerts.outbound import DeliveryError, Rules, parse_endpoint, post

PATH: Final = "/v1/logs"
EVENT: Final = "agent_ledger.alert"
PROTOBUF: Final = "application/x-protobuf"
SEVERITIES: Final[dict[str, "SeverityNumber.ValueType"]] = {
    "informational": SeverityNumber.SEVERITY_NUMBER_INFO,
    "low": SeverityNumber.SEVERITY_NUMBER_INFO4,
    "medium": SeverityNumber.SEVERITY_NUMBER_WARN,
    "high": SeverityNumber.SEVERITY_NUMBER_ERROR,
    "critical": SeverityNumber.SEVERITY_NUMBER_FATAL,
}
_BODY: Final = ("because", "contents", "facts")  # said in the body; the rest are attributes
_CONVENTIONS: Final = {  # OpenTelemetry's own names for what they mean
    "tool.name": "gen_ai.tool.name",
    "identity.agent_id": "gen_ai.agent.id",
    "identity.agent_name": "gen_ai.agent.name",
    "request.conversation_id": "gen_ai.conversation.id",
}

logger = logging.getLogger(__name__)


class OtlpSender:
    """Posts each alert as one log record."""

    def __init__(self, url: str, origin: str, authorization: str | None, rules: Rules) -> None:
        """Raises ValueError: the URL is not taken."""
        base = parse_endpoint(url, allow_private=rules.allow_private)
        self._endpoint = base._replace(path=base.path.rstrip("/") + PATH)
        self._headers = {"Content-Type": PROTOBUF} | (
            {"Authorization": authorization} if authorization else {}
        )
        self._origin, self._rules = origin, rules

    def send(self, body: Mapping[str, Any]) -> None:
        """Export it. What a collector rejects by itself is not sent again, as OTLP has it: it is told of in the server's log."""
        request = export_request(body, self._origin).SerializeToString()
        answer = post(self._endpoint, request, self._headers, self._rules)
        try:
            partial = ExportLogsServiceResponse.FromString(answer.body).partial_success
        except Exception:  # noqa: BLE001 - protobuf's own error has no public name in every release
            raise DeliveryError(f"{self._endpoint.host}: what answered is no OTLP collector") from None
        if partial.rejected_log_records:
            logger.error("the collector %s rejected the alert %s", self._endpoint.host, body["id"])

    def close(self) -> None:
        """Nothing is kept open."""


def export_request(body: Mapping[str, Any], origin: str) -> ExportLogsServiceRequest:
    """The request that tells one alert."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.extend(
        [
            _text("service.name", "agent-ledger"),
            _text("service.version", __version__),
            _text("agent_ledger.origin", origin),
        ]
    )
    scope = resource.scope_logs.add()
    scope.scope.name, scope.scope.version = "ledger.alerts", __version__
    scope.log_records.append(_record(body))
    return request


def _record(body: Mapping[str, Any]) -> LogRecord:
    record = LogRecord(
        time_unix_nano=int(datetime.fromisoformat(body["raised_at"]).timestamp() * 1_000_000) * 1_000,
        observed_time_unix_nano=time.time_ns(),
        severity_number=SEVERITIES[body["severity"]],
        severity_text=body["severity"],
        event_name=EVENT,
    )
    record.body.string_value = json.dumps(
        {name: body[name] for name in _BODY if name in body}, ensure_ascii=False
    )
    for name, value in body.items():
        if name not in _BODY and value is not None:
            record.attributes.append(_attribute(f"agent_ledger.alert.{name}", value))
    for path, value in body.get("facts", {}).items():
        if path in _CONVENTIONS:
            record.attributes.append(_text(_CONVENTIONS[path], str(value)))
    return record


def _attribute(key: str, value: Any) -> KeyValue:
    if isinstance(value, bool):
        return KeyValue(key=key, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    return _text(key, str(value))


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
