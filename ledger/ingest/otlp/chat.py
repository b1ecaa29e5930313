"""A model call → a decision, the tool calls it asks for, and those that its history tells of."""

from typing import Any, Final, NamedTuple

from ledger.ingest.draft import Draft, fact
from ledger.ingest.otlp import flat, names, span_events
from ledger.ingest.otlp.calls import Call, calls, last_group
from ledger.ingest.otlp.embedded import structure
from ledger.ingest.otlp.messages import Message, core, message, read, user_text
from ledger.ingest.otlp.results import generation
from ledger.ingest.otlp.sheet import Sheet

MAX_CALLS: Final = 128  # of one model call; what is beyond is counted, and stands in the decision's output
_OF_THE_CALL: Final = ("provider", "request_model", "response_model", "response_id")


class Answer(NamedTuple):
    """What a model answered; the rest is None where only the attributes of the span may say it."""

    messages: list[Message]
    finish_reason: object = None
    response_id: object = None
    model: object = None


_SILENCE: Final = {"type": "text", "content": ""}
_NO_ANSWER: Final = Answer([])


def chat(sheet: Sheet) -> int:
    """Records of a model call.

    Returns:
        How many tool calls were too many for records of their own.
    """
    given, answer = prompt_of(sheet), answer_of(sheet)
    draft = sheet.own(sheet.draft("decision", "decision"))
    facts = model_facts(sheet, draft, answer)
    draft.content("decision.prompt", given or None)
    draft.content("request.text", user_text(given))
    put_output(sheet, draft, answer.messages)
    sheet.who(draft)
    sheet.outcome(draft)
    sheet.last(draft)
    beyond = intents(sheet, calls(answer.messages), "call", facts)
    return beyond + intents(sheet, calls(last_group(given)), "told", {})


def put_output(sheet: Sheet, draft: Draft, answered: list[Message]) -> None:
    """Put in what the model answered. Nothing said is no output: a library that leaves out tool calls must not seem to know of none."""
    if any(item != _SILENCE for answer in answered for item in answer["parts"]):
        draft.content("decision.output", answered)
    elif answered:
        sheet.extra["output"] = answered


def model_facts(sheet: Sheet, draft: Draft, answer: Answer = _NO_ANSWER) -> dict[str, str]:
    """Put in which model answered, and how. What of it each of its tool calls repeats, by path."""
    bag = sheet.bag
    draft.set("decision.provider", bag.text(names.PROVIDER))
    asked, answered = bag.text(names.REQUEST_MODEL), bag.text(names.RESPONSE_MODEL)
    if answer.messages:  # OpenInference has one name: the answering model's, or else that of the one asked
        answered = answered or bag.text(names.MODEL)
    draft.put("decision.request_model", asked or _invoked_model(sheet) or bag.text(names.MODEL))
    draft.put("decision.response_model", answered or answer.model)
    draft.put("decision.response_id", bag.text(names.RESPONSE_ID) or answer.response_id)
    draft.put("decision.finish_reason", _finish_reason(sheet) or answer.finish_reason)
    draft.set("decision.input_tokens", bag.count(names.INPUT_TOKENS))
    draft.set("decision.output_tokens", bag.count(names.OUTPUT_TOKENS))
    decision = draft.record.get("decision", {})
    return {f"decision.{name}": decision[name] for name in _OF_THE_CALL if name in decision}


def prompt_of(sheet: Sheet) -> list[Message]:
    """What the model was given, system instructions first."""
    bag = sheet.bag
    given = (
        _taken(sheet, "gen_ai.input.messages", "user")
        or _flat(sheet, "llm.input_messages.", "input.value", "user").messages
        or _flat(sheet, "gen_ai.prompt.", "gen_ai.prompt", "user").messages
        or _taken(sheet, "gen_ai.prompt", "user")
        or _taken(sheet, "input.value", "user")
        or span_events.given(sheet)
    )
    instructions = structure(bag.left.get("gen_ai.system_instructions"))
    if isinstance(instructions, list | str) and instructions:
        bag.pop("gen_ai.system_instructions")
        parts = instructions if isinstance(instructions, list) else [instructions]
        given = [message({"role": "system", "parts": parts}, "system"), *given]
    return given


def answer_of(sheet: Sheet) -> Answer:
    """What the model answered."""
    if messages := _taken(sheet, "gen_ai.output.messages", "assistant"):
        return Answer(messages, messages[0].get("finish_reason"))
    for prefix, whole in (
        ("llm.output_messages.", "output.value"),
        ("gen_ai.completion.", "gen_ai.completion"),
    ):
        answer = _flat(sheet, prefix, whole, "assistant")
        if answer.messages:
            return answer
    said = _generated(sheet, "gen_ai.completion") or _generated(sheet, "output.value")
    if said is None and (messages := span_events.answered(sheet)):
        said = Answer(messages, messages[0].get("finish_reason"))
    return said or _NO_ANSWER


def intents(
    sheet: Sheet, asked: list[Call], part: str, facts: dict[str, str], time_ns: int | None = None
) -> int:
    """An intent for each tool call, below the span that tells of it.

    Args:
        sheet: the span.
        asked: the calls.
        part: what they are within the span: "call" if the model asked for them in it, "told" if it was told of them.
        facts: what each intent repeats, by path.
        time_ns: when, if not at the span's start.

    Returns:
        How many were too many.
    """
    for index, call in enumerate(asked[:MAX_CALLS]):
        draft = sheet.below(sheet.draft("action.intent", f"{part}.{index}", time_ns))
        draft.put("tool.name", call.name).put("tool.call_id", call.call_id).content(
            "tool.arguments", call.arguments
        )
        for path, value in facts.items():
            draft.set(path, value)
        if call.answered:
            draft.content("outcome.result", call.result)
        sheet.done(draft)
    return max(len(asked) - MAX_CALLS, 0)


def _taken(sheet: Sheet, name: str, role: str) -> list[Message]:
    """The messages in one attribute, which is taken if they can be read."""
    found = read(sheet.bag.left[name], role) if name in sheet.bag.left else None
    if not found:
        return []
    _leave_rest(sheet, name)
    return found


def _leave_rest(sheet: Sheet, name: str) -> None:
    """Take messages out of an attribute: what a whole request says beside them stays."""
    sent = structure(sheet.bag.pop(name))
    if isinstance(sent, dict) and "messages" in sent and len(sent) > 1:
        sheet.bag.left[name] = {key: value for key, value in sent.items() if key != "messages"}


def _generated(sheet: Sheet, name: str) -> Answer | None:
    """The answer in one attribute: a library's whole result, or messages of any shape."""
    result = generation(sheet.bag.left.get(name))
    if result is None:
        messages = _taken(sheet, name, "assistant")
        return Answer(messages) if messages else None
    sheet.bag.left[name] = result.rest
    return Answer(result.messages, result.finish_reason, result.response_id, result.model)


def _flat(sheet: Sheet, prefix: str, whole: str, role: str) -> Answer:
    """Messages written out flat. The same ones may be there once more in one piece, which says more of them: then that is taken."""
    items = flat.take(sheet.bag, prefix)
    found = read(items, role)
    if not found:
        sheet.extra |= {prefix: items} if items else {}
        return _NO_ANSWER
    reason = found[0].get("finish_reason")
    if whole not in sheet.bag.left:
        return Answer(found, reason)
    result = generation(sheet.bag.left[whole]) if role == "assistant" else None
    fuller = result.messages if result else read(sheet.bag.left[whole], role)
    if fuller is not None and core(fuller) == core(found):
        found = fuller
        _leave_rest(sheet, whole)
        if result is not None:
            sheet.bag.left[whole] = result.rest
    if result is None:
        return Answer(found, reason)
    return Answer(found, result.finish_reason or reason, result.response_id, result.model)


def _finish_reason(sheet: Sheet) -> str | None:
    """As it was sent; of several answers each."""
    left = sheet.bag.left
    reasons = structure(left.get("gen_ai.response.finish_reasons"))
    if isinstance(reasons, list) and reasons and all(isinstance(reason, str) for reason in reasons):
        said = ",".join(reasons)
        if fact(said) == said:
            sheet.bag.pop("gen_ai.response.finish_reasons")
        return said
    return sheet.bag.text(names.FINISH_REASON)


def _invoked_model(sheet: Sheet) -> Any:
    """OpenInference says the model asked for among the parameters of the call."""
    parameters = structure(sheet.bag.left.get("llm.invocation_parameters"))
    if not isinstance(parameters, dict):
        return None
    found = parameters.get("model") or parameters.get("model_name")
    return found if isinstance(found, str) else None
