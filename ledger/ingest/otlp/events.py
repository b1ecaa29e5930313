"""Log records: what stands in the logs about a model call (Semantic Kernel, botocore, the GenAI utilities), and any other."""

from typing import Any

from ledger.ingest.otlp.calls import calls, told
from ledger.ingest.otlp.chat import Answer, chat, intents, model_facts, put_output
from ledger.ingest.otlp.embedded import structure
from ledger.ingest.otlp.governance import governance
from ledger.ingest.otlp.messages import Message, message, user_text
from ledger.ingest.otlp.sheet import Sheet
from ledger.ingest.otlp.span_events import CHOICE, DETAILS, GIVEN
from ledger.ingest.otlp.spans import LogRecord, Span


def log_record(sheet: Sheet, log: LogRecord) -> int:
    """Records of one log record: what it says of the span it stands in.

    Returns:
        How many tool calls were too many for records of their own.
    """
    name = event_name(log)
    if name == DETAILS:
        return chat(sheet)
    if governance(sheet, log):
        return 0
    body = structure(log.body)
    if name == CHOICE and isinstance(body, dict):
        return _choice(sheet, body)
    if name in GIVEN and isinstance(body, dict | str):
        return _given(sheet, message(body, GIVEN[name]))
    return _any(sheet, log.body)


def event_name(log: LogRecord) -> str:
    """What happened; older libraries say it in an attribute. "" where nothing says it."""
    name = log.event_name or log.attributes.get("event.name")
    return name if isinstance(name, str) else ""


def sheet_of(log: LogRecord, submitter: str) -> Sheet:
    """A log record as a span of no duration. It has no id: it is told from others by its time and its event."""
    name = event_name(log)
    known = name in GIVEN or name in {CHOICE, DETAILS}
    point = Span(
        log.trace_id or "",
        log.span_id or "",
        None,
        "",
        "",
        log.time_ns,
        0,
        log.attributes,
        scope=log.scope,
        scope_version=log.scope_version,
        resource=log.resource,
        flags=log.flags,
    )
    sheet = Sheet(
        point, "chat" if known else "other", submitter, f"log.{log.time_ns}.{name if known else ''}."
    )
    sheet.bag.left.pop("event.name", None)
    sheet.extra |= {"event": name} if name else {}
    sheet.extra |= {"severity": log.severity} if log.severity else {}
    return sheet


def _choice(sheet: Sheet, body: dict[str, Any]) -> int:
    """An answer: `{"message": …, "finish_reason", "index"}`."""
    answered = message(body, "assistant")
    reason = answered.get("finish_reason")
    draft = sheet.own(sheet.draft("decision", "decision"))
    facts = model_facts(sheet, draft, Answer([answered], reason))
    put_output(sheet, draft, [answered])
    sheet.who(draft)
    sheet.last(draft)
    return intents(sheet, calls([answered]), "choice", facts)


def _given(sheet: Sheet, said: Message) -> int:
    """A message that the model was given: the user's words, or what the history tells of a tool call."""
    text = user_text([said])
    draft = sheet.own(sheet.draft("otel.log" if text is None else "request", "message"))
    draft.content("request.text", text)
    if said != {"role": "user", "parts": [{"type": "text", "content": text}]}:
        sheet.extra["message"] = said
    sheet.who(draft)
    sheet.last(draft)
    return intents(sheet, told([said]), "told", {})


def _any(sheet: Sheet, body: object) -> int:
    draft = sheet.own(sheet.draft("otel.log", "log"))
    if body is not None:
        sheet.extra["body"] = body
    sheet.who(draft)
    sheet.last(draft)
    return 0
