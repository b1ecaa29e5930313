"""POST /v1/verify: the whole log, with progress, against what a client kept."""

import time

from ledger.core.ed25519 import SigningKey
from ledger.core.joined import Joined
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import EMPTY_ROOT
from ledger.core.note import NoteSigner, format_vkey, parse_vkey
from ledger.core.report import Level
from ledger.core.verification import Verification, sign_verification
from tests.api.samples import fresh


def finished(http, location):
    for _ in range(600):
        shown = http.get(location).json()
        if shown["state"] != "running":
            return shown
        time.sleep(0.05)
    raise AssertionError("still running")


def test_a_verification_runs_and_reports(http):
    http.post("/v1/records", json=[fresh() for _ in range(300)])
    checkpoint = http.get("/checkpoint").text
    receipt = http.get("/v1/entries/3/receipt").text
    started = http.post("/v1/verify", json={"checkpoint": checkpoint, "receipts": [receipt]})
    assert started.status_code == 202
    shown = finished(http, started.headers["location"])
    assert shown["state"] == "finished", shown
    report = shown["report"]
    size = int(checkpoint.split("\n")[1])
    assert report["findings"] == []
    assert report["anchored_to"] >= size
    assert shown["done"] == shown["total"] >= size


def test_a_checkpoint_of_another_log_is_a_finding(http):
    checkpoint = http.get("/checkpoint").text
    lines = checkpoint.split("\n")
    forged = "\n".join([lines[0], lines[1], "A" * 43 + "=", *lines[3:]])
    started = http.post("/v1/verify", json={"checkpoint": forged})
    shown = finished(http, started.headers["location"])
    assert (
        shown["state"] == "failed"
        or shown["report"]["findings"]
        or not shown["report"]["anchors"][0]["agrees"]
    )


def test_what_it_is_given_is_checked(http):
    assert http.post("/v1/verify", json={"pin": 1}).json()["path"] == "pin"
    assert http.get("/v1/verify/none").status_code == 404


def test_a_verification_begins_from_a_record_whose_signer_is_named(http):
    shown = http.get("/v1/log").json()
    key = parse_vkey(shown["verifier_key"])
    auditor = NoteSigner("ann@audit.example", SigningKey(bytes(range(32))))
    state = {"verifier": Joined([key], KeyHistory.begin(key)).to_json()}
    made = Verification(key, 0, EMPTY_ROOT, Level.ENTRIES, "2026-11-21T09:30:00.000000Z", 0, True, state)
    note = sign_verification(made, auditor).decode()
    body = {"since": note, "verifier_key": format_vkey(auditor.key)}
    done = finished(http, http.post("/v1/verify", json=body).headers["location"])
    assert done["report"]["rests_on"]["by"] == "ann@audit.example"
    assert done["report"]["findings"] == []
    assert done["entries_per_s"] > 0
    assert http.post("/v1/verify", json={"since": note}).json()["path"] == "verifier_key"
    refused = http.post("/v1/verify", json=body | {"verifier_key": shown["verifier_key"]})
    assert refused.json()["type"].endswith("unknown-signer")
