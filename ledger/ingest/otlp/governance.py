"""AGT's governance decisions as log records (`OTLPGovernanceSink`, AGT 5.0): the whole CloudEvent stands in one attribute, and the ids of
the log record are empty. What it means is `ledger.ingest.agt`'s to say, whichever way it came.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ledger.core.errors import LedgerError
from ledger.ingest.agt import drafts_of
from ledger.ingest.draft import Draft
from ledger.ingest.otlp.embedded import structure
from ledger.ingest.otlp.sheet import Sheet
from ledger.ingest.otlp.spans import LogRecord

SCOPE: Final = "agent_os.governance.audit"
_CLOUDEVENT: Final = "agt.audit.meta.cloudevent"


def governance(sheet: Sheet, log: LogRecord) -> bool:
    """The record of a governance decision; False where the log record is none."""
    if log.scope != SCOPE:
        return False
    body = structure(log.body)
    event = structure(log.attributes.get(_CLOUDEVENT))
    draft = _draft(sheet, event) or _draft(sheet, body)
    if draft is None:
        return False
    event_id = log.attributes.get("agt.audit.meta.event_id")
    own = sheet.own(
        sheet.draft(draft.record["type"], f"governance.{event_id if isinstance(event_id, str) else ''}")
    )
    for name, value in own.record.pop("ext").items():
        draft.ext(name, "policy" if name == "otel.kind" else value)
    draft.record["id"] = own.record["id"]
    for facet, members in own.record.items():
        for name, value in members.items() if isinstance(members, dict) else ():
            if not draft.has(f"{facet}.{name}"):
                draft.set(f"{facet}.{name}", value)
    _keep(sheet, draft, body, event)
    sheet.last(draft)
    return True


def _draft(sheet: Sheet, event: Any) -> Draft | None:
    if not isinstance(event, dict):
        return None
    try:
        return next(iter(drafts_of(copy.deepcopy(event), submitter=sheet.submitter)), None)
    except LedgerError:
        return None


def _keep(sheet: Sheet, draft: Draft, body: Any, event: Any) -> None:
    """What the event says that no member holds, and what attributes and body say that the event does not: they are copies of it."""
    source = draft.record["source"]
    rest = msgspec.json.decode(source.pop("original", b"{}"))
    sheet.extra["cloudevent"] = {**rest, "source": source["id"]} if isinstance(rest, dict) else rest
    source["id"] = sheet.shared[0]
    known = _texts(event if isinstance(event, dict) else body)
    if isinstance(event, dict):
        sheet.bag.pop(_CLOUDEVENT)
    left = sheet.bag.left
    for name in [name for name, value in left.items() if _text(value) in known]:
        del left[name]
    if isinstance(body, dict):
        sent = {_text(value) for value in sheet.span.attributes.values()} | known
        metadata = body.get("metadata")
        parts = {
            **body,
            "metadata": None,
            **(metadata if isinstance(metadata, dict) else {"metadata": metadata}),
        }
        if beyond := {
            name: value for name, value in parts.items() if value is not None and _text(value) not in sent
        }:
            sheet.extra["body"] = beyond
    elif body is not None:
        sheet.extra["body"] = body


def _texts(event: Mapping[str, Any]) -> set[str]:
    inner = event.get("data")
    values = [*event.values(), *(inner.values() if isinstance(inner, Mapping) else ())]
    return {_text(value) for value in values}


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)
