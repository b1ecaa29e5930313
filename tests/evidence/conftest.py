"""A real server with a small story in it, and an evidence file of that story."""

import hashlib
from typing import NamedTuple

import pytest

from ledger.core.note import VerifierKey, parse_vkey
from tests.api.conftest import Api

HOSTILE = "\u202etxt.exe\u200b<script>alert('owned')</script><img src=x onerror=alert(1)>\u0000javascript:alert(1) ]]>-->{{7*7}}"
COMMITMENT = "ab" * 32


class Story(NamedTuple):
    """An evidence file, and what it is of.

    Attributes:
        server: where it was made.
        data: the zip.
        headers: of the answer it came in.
        key: the log's verifier key.
        seqs: the entries in it.
    """

    server: Api
    data: bytes
    headers: dict[str, str]
    key: VerifierKey
    seqs: tuple[int, ...]


def record(number: int, **members):
    return {
        "id": f"story-{number}",
        "type": "action",
        "time": f"2026-11-21T09:{30 + number}:00Z",
        "request": {"user": "alice@example.com", "text": f"please do {number}"},
        "identity": {"agent_id": "payer"},
        "tool": {"name": "send_money", "effect": "pay", "arguments": {"amount": f"{number}.50"}},
        **members,
    }


RECORDS = [
    record(0),
    record(1, tool={"name": "read_file", "effect": "read", "arguments": {"commitment": COMMITMENT}}),
    record(2, policy={"effect": "deny", "engine": "opa", "rule": "payments.small"}),
    record(
        3,
        request={"user": "mallory@example.com", "text": HOSTILE},
        resource={"type": "file", "id": HOSTILE.replace("\u0000", "")},
    ),
    record(4, outcome={"status": "failure", "result": HOSTILE}),
    record(5),
]
SQL = "SELECT seq, id, tool_name, request_text, time FROM records WHERE id LIKE $like ORDER BY seq"


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    serving = Api(tmp_path_factory.mktemp("evidence") / "data")
    yield serving
    assert serving.stop() == 0


@pytest.fixture(scope="package")
def story(server):
    answer = server.post(*RECORDS)
    assert answer.status_code == 201
    seqs = tuple(result["seq"] for result in answer.json()["results"])
    body = {
        "about": f"case 12 {HOSTILE}".replace("\u0000", ""),
        "sql": SQL,
        "limit": 5,
        "parameters": {"like": "story-%"},
        "seqs": [0],
    }
    with server.client() as client:
        made = client.post("/v1/evidence", json=body)
        assert made.status_code == 200, made.text
        key = parse_vkey(client.get("/v1/log").json()["verifier_key"])
    return Story(server, made.content, dict(made.headers), key, (0, *seqs[:5]))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
