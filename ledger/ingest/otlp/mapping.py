"""Spans and log records → records. One span is looked at alone, never its neighbours: the `actions` view joins, so that the order of
arrival and the splitting into batches do not matter.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from ledger.ingest.otlp import agent, chat, events, tool
from ledger.ingest.otlp.kinds import kind_of, transport_of
from ledger.ingest.otlp.sheet import Sheet
from ledger.ingest.otlp.spans import LogRecord, Span
from ledger.ingest.reading import Reading

TOO_MANY_CALLS: Final = "tool calls beyond the first of one span"

_READERS: Final[dict[str, Callable[[Sheet], int | None]]] = {
    "mcp": tool.mcp,
    "tool": tool.tool,
    "chat": chat.chat,
    "agent": agent.agent,
    "hop": agent.hop,
    "other": agent.other,
}


def records_of(spans: Iterable[Span], logs: Iterable[LogRecord], submitter: str) -> Reading:
    """Records of spans and log records.

    Args:
        spans: in any order.
        logs: in any order.
        submitter: who authenticated to send them: the records' ids are this sender's own.

    Returns:
        Records in the order of what they were made of; what is only transport is dropped, and counted.
    """
    records: list[bytes] = []
    dropped: Counter[str] = Counter()
    for span in spans:
        kind = kind_of(span)
        if kind == "transport":
            dropped[f"transport: {transport_of(span.scope)}"] += 1
            continue
        sheet = Sheet(span, kind, submitter)
        beyond = _READERS[kind](sheet)
        if beyond:
            dropped[TOO_MANY_CALLS] += beyond
        records += sheet.made
    for log in logs:
        sheet = events.sheet_of(log, submitter)
        beyond = events.log_record(sheet, log)
        if beyond:
            dropped[TOO_MANY_CALLS] += beyond
        records += sheet.made
    return Reading(records, dropped)
