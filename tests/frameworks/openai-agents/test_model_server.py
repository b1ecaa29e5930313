"""The scripted model server speaks to OpenAI's own client as OpenAI does."""

import json

import openai
import pytest

from tests.frameworks.model_server import Call, Fail, ModelServer

QUESTION = {"role": "user", "content": "read both"}
TOOLS = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]


@pytest.fixture
def client(model: ModelServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=model.url, api_key="none", max_retries=0)


def chat(client: openai.OpenAI, messages: list, *, stream: bool) -> openai.types.chat.ChatCompletion:
    if not stream:
        return client.chat.completions.create(model="m", messages=messages, tools=TOOLS)
    with client.chat.completions.stream(
        model="m", messages=messages, tools=TOOLS, stream_options={"include_usage": True}
    ) as events:
        return events.get_final_completion()


def respond(client: openai.OpenAI, *, stream: bool, **request: object) -> openai.types.responses.Response:
    if not stream:
        return client.responses.create(model="m", **request)
    with client.responses.stream(model="m", **request) as events:
        return events.get_final_response()


@pytest.mark.parametrize("stream", [False, True])
def test_chat_completions_play_a_script_turn_by_turn(client, model, stream):
    model.script(
        ["Let me see. ", Call("read", path="a"), Call("read", path="b")], "Both are empty.", user="read both"
    )
    first = chat(client, [QUESTION], stream=stream)
    message = first.choices[0].message
    assert (first.id, message.content, first.choices[0].finish_reason) == (
        "chatcmpl-001",
        "Let me see. ",
        "tool_calls",
    )
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == [
        {"path": "a"},
        {"path": "b"},
    ]
    assert first.usage.total_tokens == 18
    told = [QUESTION, message.to_dict()]
    told += [{"role": "tool", "tool_call_id": call.id, "content": ""} for call in message.tool_calls]
    second = chat(client, told, stream=stream)
    assert (second.choices[0].message.content, second.choices[0].finish_reason) == ("Both are empty.", "stop")
    assert model.deciding(message.tool_calls[1].id).response_id == first.id


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("by_id", [False, True])
def test_responses_play_a_script_turn_by_turn(client, model, stream, by_id):
    model.script([Call("read", path="a"), Call("read", path="b")], "Both are empty.", user="read both")
    first = respond(client, stream=stream, input=[QUESTION])
    assert [json.loads(item.arguments) for item in first.output] == [{"path": "a"}, {"path": "b"}]
    outputs = [{"type": "function_call_output", "call_id": c.call_id, "output": ""} for c in first.output]
    if by_id:
        second = respond(client, stream=stream, input=outputs, previous_response_id=first.id)
    else:
        told = [item.to_dict() for item in first.output]
        second = respond(client, stream=stream, input=[QUESTION, *told, *outputs])
    assert second.output_text == "Both are empty."


def test_a_script_is_chosen_by_user_system_and_model(client, model):
    model.script("the clerk", system="You are a clerk", user="read")
    model.script("the other model", model="other")
    model.script("anyone")
    clerk = {"role": "system", "content": "You are a clerk."}
    assert chat(client, [clerk, QUESTION], stream=False).choices[0].message.content == "the clerk"
    assert chat(client, [QUESTION], stream=False).choices[0].message.content == "anyone"
    assert client.responses.create(model="other-1", input="hello").output_text == "the other model"


def test_a_script_may_be_played_in_order_whatever_the_history_says(client, model):
    model.script("one", "two", in_order=True)
    assert [chat(client, [QUESTION], stream=False).choices[0].message.content for _ in range(2)] == [
        "one",
        "two",
    ]


def test_a_failure_is_a_turn_too(client, model):
    model.script(Fail(500, "out of order"))
    with pytest.raises(openai.InternalServerError, match="out of order"):
        chat(client, [QUESTION], stream=False)


def test_what_no_script_answers_is_an_error_that_names_the_request():
    with ModelServer() as model:
        client = openai.OpenAI(base_url=model.url, api_key="none", max_retries=0)
        with pytest.raises(openai.BadRequestError, match="read both"):
            chat(client, [QUESTION], stream=False)
        assert len(model.unscripted) == 1
