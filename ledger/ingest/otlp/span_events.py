"""A chat's messages as events of its span, as the GenAI conventions had them before 1.37. The same events stand in log records too.

gen_ai.user.message, gen_ai.choice, …            attributes as of a message, or JSON of one in `gen_ai.event.content`
gen_ai.content.prompt, gen_ai.content.completion JSON in `gen_ai.prompt`, `gen_ai.completion` (1.27 and before)
gen_ai.client.inference.operation.details        the attributes of the whole call (from 1.37 on)
"""

from collections.abc import Iterator
from typing import Any, Final

from ledger.ingest.otlp.embedded import structure
from ledger.ingest.otlp.messages import Message, message, read
from ledger.ingest.otlp.sheet import Sheet

GIVEN: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE: Final = "gen_ai.choice"
DETAILS: Final = "gen_ai.client.inference.operation.details"
_CONTENT: Final = "gen_ai.event.content"
_WHOLE: Final = {
    "user": {"gen_ai.content.prompt": "gen_ai.prompt", DETAILS: "gen_ai.input.messages"},
    "assistant": {"gen_ai.content.completion": "gen_ai.completion", DETAILS: "gen_ai.output.messages"},
}


def given(sheet: Sheet) -> list[Message]:
    """What the model was given."""
    return [said for found in _found(sheet, "user") for said in found]


def answered(sheet: Sheet) -> list[Message]:
    """What the model answered."""
    return [said for found in _found(sheet, "assistant") for said in found]


def _found(sheet: Sheet, role: str) -> Iterator[list[Message]]:
    single = GIVEN if role == "user" else {CHOICE: role}
    for index, event in enumerate(sheet.span.events):
        whole = _WHOLE[role].get(event.name)
        if whole is not None:
            found = read(event.attributes.get(whole), role)
            if found and event.name != DETAILS:
                sheet.events_taken.add(index)
            yield found or []
        elif event.name in single:
            sheet.events_taken.add(index)
            yield [message(_body(dict(event.attributes)), single[event.name])]
    written = structure(sheet.bag.left.get("events"))
    for body in written if isinstance(written, list) else ():
        name = body.get("event.name") if isinstance(body, dict) else None
        if isinstance(name, str) and name in single:
            yield [message(body, single[name])]


def _body(attributes: dict[str, Any]) -> dict[str, Any]:
    content = structure(attributes.pop(_CONTENT, None))
    if isinstance(content, dict):
        return {**attributes, **content}
    if content is not None:
        return {**attributes, "content": content}
    said = structure(attributes.pop("message", None))
    if said is None:
        return attributes
    return {**attributes, "message" if isinstance(said, dict) else "content": said}
