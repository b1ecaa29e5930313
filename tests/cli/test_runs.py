"""AgentDojo runs as records: nothing invented, nothing lost, the same again each time."""

import io
import json

import pytest
import zstandard

from ledger.cli.agentdojo.runs import parse_run, records
from ledger.cli.exits import CommandError
from ledger.cli.importing import _lines
from ledger.core.errors import FormatError
from ledger.records.check import check_record, decode_record
from ledger.records.strict import strict

CALL = {"function": "send_money", "args": {"recipient": "US13", "amount": 12.5}, "id": "c1"}


def run(messages: list[dict], **members) -> bytes:
    fixed = {
        "run_id": "00ff", "source": "s", "suite": "banking", "model": "gpt-4o", "user_task_id": "user_task_1",
        "user_task": "Pay the rent", "duration_s": 10.0,
    }  # fmt: skip
    numbered = [{"i": i} | message for i, message in enumerate(messages)]
    return json.dumps(fixed | {"messages": numbered} | members).encode()


SYSTEM = {"role": "system", "content": "The user's name is Emma Johnson, and she works."}
ASKED = {"role": "assistant", "content": "I will pay", "tool_calls": [CALL, CALL | {"id": ""}]}
PAID = {"role": "tool", "content": "paid", "function": "send_money"}
FAILED = {"role": "tool", "content": "", "function": "send_money", "error": "ValueError: no such IBAN"}


def read(line: bytes) -> list[dict]:
    return [json.loads(record) for record in records(parse_run(line))]


def test_a_run_is_a_request_and_one_action_for_each_call_that_has_a_result():
    request, paid, failed = read(run([SYSTEM, ASKED, PAID, FAILED]))
    assert [request["type"], paid["type"], failed["type"]] == ["request", "action", "action"]
    assert paid["request"] == {
        "user": "Emma Johnson", "conversation_id": "00ff", "origin": "human", "text": "Pay the rent",
    }  # fmt: skip
    assert paid["decision"] == {"provider": "openai", "request_model": "gpt-4o", "output": "I will pay"}
    assert paid["tool"]["arguments"] == CALL["args"]
    assert paid["tool"]["facts"] == {"amount_minor": 1250, "currency": "XXX"}
    assert paid["tool"]["effect"] == "pay"
    assert paid["resource"] == {"type": "bank_account", "id": "US13", "destination": "US13"}
    assert paid["outcome"] == {"status": "success", "result": "paid"}
    assert failed["outcome"] == {
        "status": "failure", "error_type": "ValueError", "result": "ValueError: no such IBAN",
    }  # fmt: skip
    assert "call_id" not in failed["tool"]


def test_a_call_that_was_never_executed_gives_no_record():
    assert len(read(run([SYSTEM, ASKED, PAID]))) == 2


def test_a_run_without_calls_leaves_its_request():
    (request,) = read(run([SYSTEM]))
    assert request["id"] == "agentdojo-00ff"


def test_importing_again_gives_the_same_bytes():
    line = run([SYSTEM, ASKED, PAID, FAILED], attack_type="direct", utility=False)
    assert list(records(parse_run(line))) == list(records(parse_run(line)))


def test_every_record_is_one_that_the_ledger_takes():
    unknown = {"role": "assistant", "tool_calls": [CALL | {"function": "made_up", "args": {}}]}
    clock = {"role": "assistant", "tool_calls": [CALL | {"function": "get_current_day", "args": {}}]}
    answers = [{"role": "tool", "content": None, "function": name} for name in ("made_up", "get_current_day")]
    line = run(
        [ASKED, PAID, FAILED, unknown, answers[0], clock, answers[1]], defence="tool_filter", error="x"
    )
    for record in records(parse_run(line)):
        strict(record)
        check_record(decode_record(record), require_facets=False)


@pytest.mark.parametrize(
    ("amount", "facts"),
    [
        ("3.475", {}),
        ("1e400", {}),
        ("true", {}),
        ('"5"', {}),
        ("0.1", {"amount_minor": 10, "currency": "XXX"}),
        ("-5", {"amount_minor": -500, "currency": "XXX"}),
    ],
)
def test_an_amount_is_a_fact_only_when_it_is_a_whole_number_of_hundredths(amount, facts):
    line = run([ASKED, PAID]).replace(b"12.5", amount.encode())
    assert read(line)[1]["tool"].get("facts", {}) == facts


def test_a_result_of_another_call_than_the_one_at_its_place_is_refused():
    with pytest.raises(FormatError, match="run 00ff: message 2 is the result of get_iban"):
        read(run([SYSTEM, ASKED, PAID | {"function": "get_iban"}]))


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'{"run_id": 1}', b"\xff"])
def test_a_line_that_is_no_run_is_refused(line):
    with pytest.raises(FormatError, match="not an AgentDojo run"):
        parse_run(line)


def test_lines_are_read_plain_and_compressed_in_several_frames(tmp_path):
    frames = b"".join(zstandard.compress(part) for part in (b"one\ntw", b"o\n\nthree"))
    for content in (b"one\ntwo\n\nthree", frames):
        assert [line.strip() for line in _lines(io.BytesIO(content), tmp_path)] == [b"one", b"two", b"three"]


def test_damaged_compression_is_named_by_its_file(tmp_path):
    damaged = bytearray(zstandard.compress(b"x" * 1000))
    damaged[5:] = b"\xff" * len(damaged[5:])
    with pytest.raises(CommandError, match=str(tmp_path)):
        list(_lines(io.BytesIO(bytes(damaged)), tmp_path))
