"""An agent's run → one record, and an intent for each tool call that it tells of. Every other span → one record that keeps it."""

from typing import Final

from ledger.ingest.draft import Draft
from ledger.ingest.otlp import autogen, crewai, names
from ledger.ingest.otlp.calls import calls, this_turn
from ledger.ingest.otlp.chat import Answer, answer_of, intents, model_facts, prompt_of, put_output
from ledger.ingest.otlp.messages import Message, read, user_text
from ledger.ingest.otlp.sheet import Sheet

_GIVEN: Final = ("gen_ai.input.messages", "pydantic_ai.all_messages", "all_messages_events", "input.value")
_CHAINED: Final = ("input.value", "gen_ai.prompt", "traceloop.entity.input")
_SAID: Final = ("gen_ai.output.messages", "pydantic_ai.all_messages", "all_messages_events", "output.value")


def agent(sheet: Sheet) -> int:
    """Records of an agent's run. Its messages stay in `source.original`: the model calls within it are spans of their own.

    Returns:
        How many tool calls were too many for records of their own.
    """
    given, said = _messages(sheet, _GIVEN, "user"), this_turn(_messages(sheet, _SAID, "assistant"))
    text = user_text(given) or crewai.task_of(sheet)
    facts = _decision(sheet) if names.RESPONSE_ID[0] in sheet.bag.left else {}
    beyond = intents(sheet, calls(said), "call", facts)
    sheet.kind = "agent"
    draft = sheet.own(sheet.draft("agent.run", "run"))
    draft.content("request.text", text)
    sheet.who(draft)
    crewai.agent_of(sheet, draft)
    _run(sheet, draft)
    sheet.outcome(draft)
    sheet.last(draft)
    return beyond


def other(sheet: Sheet) -> None:
    """The record of any other span: spans hang below it, so it stands in the log with all it says."""
    draft = sheet.own(sheet.draft("otel.span", "span"))
    draft.content(
        "request.text", crewai.task_of(sheet) or (None if sheet.span.parent_span_id else _asked(sheet))
    )
    sheet.who(draft)
    _run(sheet, draft)
    sheet.outcome(draft)
    sheet.last(draft)


def hop(sheet: Sheet) -> int:
    """Records of a message that AutoGen's runtime passed on: what it tells, and the span itself.

    Returns:
        How many events were too many for records of their own.
    """
    beyond = autogen.hop(sheet)
    other(sheet)
    return beyond


def _decision(sheet: Sheet) -> dict[str, str]:
    """A service ran the agent: the span of the run is the model's call too. What its tool calls repeat of it."""
    sheet.kind = "chat"
    given = prompt_of(sheet)
    answer: Answer = answer_of(sheet)
    draft = sheet.own(sheet.draft("decision", "decision"))
    facts = model_facts(sheet, draft, answer)
    draft.content("decision.prompt", given or None).content("request.text", user_text(given))
    put_output(sheet, draft, answer.messages)
    sheet.done(draft)
    return facts


def _run(sheet: Sheet, draft: Draft) -> None:
    if not draft.has("request.conversation_id"):
        draft.set("request.conversation_id", autogen.run_of(sheet.span))


def _asked(sheet: Sheet) -> str | None:
    """The user's words in what a chain was given: only where it says that they are the user's."""
    return next(
        (text for name in _CHAINED if (text := user_text(read(sheet.bag.left.get(name), "") or []))), None
    )


def _messages(sheet: Sheet, attributes: names.Names, role: str) -> list[Message]:
    """The messages in the first of these attributes that holds some. Nothing is taken."""
    for name in attributes:
        if name in sheet.bag.left and (found := read(sheet.bag.left[name], role)):
            return found
    return []
