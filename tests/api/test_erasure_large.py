"""One subject out of 100,000 records: all else answers as before, receipts and checkpoints of before hold, `verify` is good, nothing of the subject is left on the
disk. What it cost is printed.
"""

import json
import time
from pathlib import Path

import pytest

from ledger.core import canonical
from ledger.core.note import parse_vkey
from ledger.core.receipt import verify_receipt
from tests.api.erased import GROUND, awaited, spelled, traces, workers
from tests.faults.server import Server

RECORDS, EACH, BATCH = 100_000, 100, 2_000  # one in EACH is the subject's
PERSON, WORDS = "subject-of-it-all@example.com", "WORDS-OF-THE-SUBJECT"
# All that is known of everybody else's records, and the facts of all, the subject's too.
COUNTED = """
SELECT count(*), count(DISTINCT request_user), count(request_text), bit_xor(hash(request_text, request_user, tool_arguments, leaf_hash)),
    (SELECT bit_xor(hash(seq, id, type, time, tool_name, submitter, recorded_at, leaf_hash)) FROM records WHERE id LIKE 'rec-%')
FROM records WHERE id LIKE 'rec-%' AND substr(id, 5)::INTEGER % 100 <> 0"""
LOOKED_AT = (0, 1, 777, 50_000, 50_001, RECORDS - 1)  # two of them are the subject's
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


def record(number: int) -> dict:
    own = number % EACH == 0
    return {
        "id": f"rec-{number}",
        "type": "action",
        "time": "2026-11-21T09:30:00Z",
        "request": {
            "user": PERSON if own else f"user-{number % 997}@example.com",
            "text": f"{WORDS if own else 'please do'} {number}",
        },
        "tool": {"name": "send", "arguments": {"to": WORDS if own else f"somebody {number}"}},
    }


def asked(http, question: dict) -> list:
    """The rows of an answer; a service that is busy is asked again."""
    while (answer := http.post("/v1/query", json=question)).status_code == 429:
        time.sleep(1)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def known(http) -> dict[int, tuple[bytes, bytes]]:
    """Some entries, each by its bytes as the log signed them, and its receipt."""
    found = {}
    for number in LOOKED_AT:
        record = http.get(f"/v1/records/rec-{number}").json()
        receipt = http.get(f"/v1/entries/{record['seq']}/receipt").content
        found[number] = (canonical.dumps(record["entry"]), receipt)
    return found


def test_one_subject_of_a_large_log_is_gone_and_nothing_else_is(tmp_path: Path):
    server = Server(
        tmp_path / "data",
        options=("--rotate-entries", "20000"),
        environment={"XDG_STATE_HOME": str(tmp_path / "state")},
    )
    with server.client() as http:
        http.timeout = 600
        headers = {"Content-Type": "application/x-ndjson"}
        for low in range(0, RECORDS, BATCH):
            body = "\n".join(json.dumps(record(number)) for number in range(low, low + BATCH))
            assert http.post("/v1/records", content=body, headers=headers).status_code == 201
        question = {"sql": COUNTED}
        before, entries = asked(http, question), known(http)
        checkpoint = http.get("/checkpoint").text
        knew = workers(server.process.pid)
        assert list((tmp_path / "data" / "queries").iterdir())
        times = [time.monotonic()]
        plan = http.post("/v1/erasure", json={"subject": PERSON, "dry_run": True}).json()
        times.append(time.monotonic())
        assert (plan["types"]["action"], plan["persons"]) == (RECORDS // EACH, 1)
        assert plan["stays"] == {"facts": 0, "contents": 0, "some": []}
        body = {"subject": PERSON, "as_of": plan["as_of"], "selection": plan["selection"], **GROUND}
        answer = http.post("/v1/erasure", json=body)
        times.append(time.monotonic())
        awaited(http, answer.json()["told_in"][0])
        times.append(time.monotonic())
        assert not knew & workers(server.process.pid)
        assert traces(tmp_path, spelled(PERSON, WORDS)) == []
        assert asked(http, question) == before
        times.append(time.monotonic())
        key = parse_vkey(http.get("/v1/log").json()["verifier_key"])
        for number, (entry, _) in known(http).items():
            assert entry == entries[number][0]
            verify_receipt(entries[number][1], entry, [key])  # the one of before
        kept = {"checkpoint": checkpoint, "receipts": [receipt.decode() for _, receipt in entries.values()]}
        job = http.post("/v1/verify", json=kept).headers["Location"]
        while (state := http.get(job).json())["state"] == "running":
            time.sleep(0.2)
        assert (state["report"]["findings"], state["report"]["anchored_to"] > RECORDS) == ([], True)
    assert server.stop() == 0
    steps = ("dry run", "erasure", "off the disk", "the next query, tables made anew")
    cost = {step: round(end - start, 2) for step, start, end in zip(steps, times, times[1:], strict=False)}
    print({"places": plan["places"], "segments": len(plan["segments"]), "seconds": cost})  # noqa: T201
