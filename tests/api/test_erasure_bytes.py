"""After an erasure no byte of it is left: in the data folder, beside it, in temporary files, in the memory of query workers."""

import json
from pathlib import Path

import pytest

from tests.api.erased import awaited, erase, remembers, spelled, traces, workers
from tests.faults.server import Server

PERSON = "wilhelmina-größe'o@example.com"
WORDS = (
    "VERY-SECRET-Straße-\u202e-€",
    "ARGUMENT-SECRET-\U0001f600",
    "RESULT-SECRET-tab\there",
    "PROMPT-SECRET",
)
GONE = spelled(PERSON, *WORDS)
OTHER = "KEPT-WORDS-of-another"


def secret(number: int) -> dict:
    return {
        "id": f"secret-{number}",
        "type": "action",
        "time": "2026-11-21T09:30:00Z",
        "request": {"user": PERSON, "text": f"{WORDS[0]} {number}"},
        "decision": {"prompt": [{"role": "user", "content": WORDS[3]}], "reason": WORDS[3]},
        "tool": {"name": "send", "arguments": {"to": {"deep": [WORDS[1]], WORDS[1]: 1}}},
        "approval": {"approver": PERSON, "shown": WORDS[1]},
        "outcome": {"status": "success", "result": WORDS[2]},
    }


def other(number: int) -> dict:
    return {
        "id": f"other-{number}",
        "type": "action",
        "time": "2026-11-21T09:30:00Z",
        "request": {"user": "other@example.com", "text": f"{OTHER} {number}"},
    }


def post(server: Server, start: int) -> None:
    """Half of them as UTF-8, half with what is not ASCII escaped."""
    with server.client() as http:
        for escaped in (False, True):
            records = [each for n in range(start + escaped, start + 6, 2) for each in (secret(n), other(n))]
            body = "\n".join(json.dumps(each, ensure_ascii=escaped) for each in records)
            headers = {"Content-Type": "application/x-ndjson"}
            assert http.post("/v1/records", content=body.encode(), headers=headers).status_code == 201


@pytest.mark.parametrize("where", [pytest.param("hot", marks=pytest.mark.soak), "sealed and hot"])
def test_no_byte_of_it_is_left_in_any_file_or_worker_and_all_else_answers_as_before(
    tmp_path: Path, where: str
):
    (tmp_path / "temp").mkdir()
    server = Server(
        tmp_path / "data",
        environment={"TMPDIR": str(tmp_path / "temp"), "XDG_STATE_HOME": str(tmp_path / "state")},
    )
    post(server, 0)
    with server.client() as http:
        if where != "hot":
            assert http.post("/v1/seal").status_code == 200
            post(server, 6)
        asked = {
            "sql": "SELECT request_text FROM records WHERE request_user = $who",
            "parameters": {"who": PERSON},
        }
        assert http.post("/v1/query", json=asked).json()["row_count"] > 0
        assert traces(tmp_path, GONE), "it is looked for where it is"
        knew = workers(server.process.pid)
        assert {remembers(pid, GONE) for pid in knew} & {True, None}, "it is looked for where it is"
        before = http.post(
            "/v1/query", json={"sql": "SELECT seq, leaf_hash FROM records WHERE id LIKE '%-%' ORDER BY seq"}
        ).json()
        others = "SELECT id, request_user, request_text FROM records WHERE id LIKE 'other%' ORDER BY seq"
        kept = http.post("/v1/query", json={"sql": others}).json()["rows"]
        erase(http, subject=PERSON)
        left = workers(server.process.pid)
        assert not knew & left
        assert True not in {remembers(pid, GONE) for pid in left}
        assert traces(tmp_path, GONE) == []
        assert http.post("/v1/query", json={"sql": others}).json()["rows"] == kept
        assert OTHER in str(kept)
        again = http.post(
            "/v1/query",
            json={
                "sql": f"SELECT seq, leaf_hash FROM records WHERE seq < {before['size']} AND id LIKE '%-%' ORDER BY seq"
            },
        ).json()
        assert again["rows"][: before["row_count"]] == before["rows"]
        assert True not in {remembers(pid, GONE) for pid in workers(server.process.pid)}
        assert traces(tmp_path, GONE) == []
    assert server.stop() == 0
    assert traces(tmp_path, GONE) == []


def test_what_a_kill_interrupts_is_done_and_told_after_the_next_start(tmp_path: Path):
    server = Server(tmp_path / "data", environment={"XDG_STATE_HOME": str(tmp_path / "state")})
    post(server, 0)
    with server.client() as http:
        assert http.post("/v1/seal").status_code == 200
        said = erase(http, subject=PERSON, wait=False)["told_in"][0]
        assert http.get("/v1/records/secret-1").json()["contents"] == []
    server.kill()
    again = Server(tmp_path / "data", environment={"XDG_STATE_HOME": str(tmp_path / "state")})
    with again.client() as http:
        assert awaited(http, said)["done_in"] > said
    assert again.stop() == 0
    assert traces(tmp_path, GONE) == []
