"""The records that are measured: 1.3 KB of JSON with all five facets and four contents, as an SDK would send them.

No two requests are about the same conversation or call: one that never ends would be joined as a whole with every record more.
"""

import json
import uuid

from benchmarks.load import MARK

IN_A_CONVERSATION = 10  # actions
WORDS = (
    "Please pay the invoice from the vendor folder and tell me when it is done; it is the one with the number "
    "we talked about yesterday."
)


def record(number: int, run: str) -> dict:
    return {
        "id": f"{run}-{number}",
        "type": "action",
        "time": "2026-11-21T09:30:00.123456Z",
        "action_id": f"act-{run}-{number}",
        "source": {"id": "gw-eu-1", "seq": number},
        "request": {
            "user": f"user{number % 50}@example.com",
            "conversation_id": f"conv-{run}-{number // IN_A_CONVERSATION}",
            "origin": "human",
            "channel": "chat",
            "text": WORDS,
        },
        "decision": {
            "provider": "openai",
            "request_model": "gpt-5",
            "response_id": f"resp-{run}-{number}",
            "finish_reason": "tool_calls",
            "input_tokens": 812,
            "output_tokens": 55,
            "output": {"tool_calls": [{"id": f"call-{run}-{number}", "name": "send_money"}]},
        },
        "tool": {
            "name": "send_money",
            "call_id": f"call-{run}-{number}",
            "effect": "pay",
            "protocol": "mcp",
            "server": "bank",
            "arguments": {"recipient": "GB29NWBK60161331926819", "amount": 98.7, "subject": "invoice"},
            "facts": {"amount_minor": 9870 + number % 1000, "currency": "EUR"},
        },
        "identity": {
            "agent_id": "payer",
            "agent_name": "Payer",
            "principal": f"user{number % 50}@example.com",
        },
        "resource": {"type": "account", "id": f"account-{number % 1000}", "classification": "restricted"},
        "policy": {"effect": "allow", "engine": "opa", "rule": "payments.small"},
        "outcome": {"status": "success", "duration_ns": 1200300, "result": {"state": "paid", "words": WORDS}},
        "trace": {"trace_id": uuid.uuid4().hex, "span_id": uuid.uuid4().hex[:16]},
    }


def texts(count: int) -> list[str]:
    run = uuid.uuid4().hex[:8]
    return [json.dumps(record(number, run)) for number in range(count)]


def batches(count: int, size: int) -> list[str]:
    lines = texts(count * size)
    return ["\n".join(lines[at : at + size]) for at in range(0, len(lines), size)]


def template(size: int) -> bytes:
    """One body whose ids the load generator makes new each time it sends it."""
    records = [record(number, MARK.decode()) for number in range(size)]
    for each in records:
        each["trace"]["trace_id"] = MARK.decode() + each["trace"]["trace_id"][len(MARK) :]
    return "\n".join(map(json.dumps, records)).encode()
