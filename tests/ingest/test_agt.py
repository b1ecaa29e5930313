import json

import pytest
from hypothesis import given

from ledger.core.errors import Code
from ledger.ingest import cloudevents
from ledger.ingest.agt import read
from tests.ingest.odd import SUBMITTER, kept, odd, prepared, records

# As AGT 5.0.0 writes them: GovernanceEvent.to_dict(), AuditEntry.model_dump(mode="json"), AuditEntry.to_cloudevent(), agent_os' logger.
GOVERNANCE = {
    "schema_version": "1",
    "event_id": "6b96a9869f57401b885c84a4a4ae1b3a",
    "occurred_at": "2026-11-21T01:34:20.353139+00:00",
    "kind": "tool_call_blocked",
    "severity": "high",
    "agent_id": "FinanceAgent",
    "agent_did": "did:mesh:finance",
    "session_id": "sess-0042",
    "action": "transfer_funds",
    "resource": "account:ACC-9",
    "decision": "deny",
    "reason": "transfers need a human",
    "policy_name": "P-17",
    "latency_ms": 0.0,
    "trace_id": "96d70100000000000000000000000000",
    "span_id": "8c2da50000000000",
    "attributes": {"args": {"amount": 5000}},
}
ENTRY = {
    "entry_id": "audit_e6cd9b69230f402c",
    "timestamp": "2026-11-21 01:34:21.146455+00:00",
    "event_type": "tool_invocation",
    "agent_did": "did:mesh:finance",
    "action": "read_file",
    "resource": "/data/q3",
    "data": {"amount": 5000},
    "outcome": "success",
    "policy_decision": "allow",
    "matched_rule": "reads",
    "approver_did": "did:key:alice",
    "entry_hash": "fe93984faad874db5e4bf57dd83eaa15ec928744e6a3272a6d20942612755b87",
    "trace_id": "96d701",
}
CLOUDEVENT = {
    "specversion": "1.0",
    "id": "audit_e6cd9b69230f402c",
    "type": "ai.agentmesh.tool.blocked",
    "source": "did:mesh:finance",
    "time": "2026-11-21T01:34:21.146455+00:00Z",
    "datacontenttype": "application/json",
    "data": {
        "action": "transfer_funds",
        "resource": "account:ACC-9",
        "outcome": "denied",
        "policy_decision": "deny",
        "amount": 5000,
    },
    "agentmeshentryhash": "fe93984faad874db5e4bf57dd83eaa15ec928744e6a3272a6d20942612755b87",
    "agentmeshprevioushash": "",
}
LINE = {
    "timestamp": "2026-11-21T01:34:20+00:00",
    "event_type": "governance_decision",
    "agent_id": "a1",
    "action": "search",
    "decision": "allow",
    "reason": "in_scope",
    "latency_ms": 1.5,
    "metadata": {"params": "q3"},
}


def test_a_blocked_call_says_who_was_denied_what_and_by_which_policy():
    [record] = records(read, GOVERNANCE)
    assert record["type"] == "action.decision"
    assert record["identity"] == {"agent_id": "did:mesh:finance", "agent_name": "FinanceAgent"}
    assert record["tool"] == {"name": "transfer_funds", "arguments": {"amount": 5000}}
    assert record["resource"] == {"id": "account:ACC-9"}
    assert record["policy"] == {"effect": "deny", "engine": "agt", "id": "P-17"}
    assert record["outcome"] == {"status": "denied"}
    assert record["trace"] == {"trace_id": GOVERNANCE["trace_id"], "span_id": GOVERNANCE["span_id"]}
    assert record["request"] == {"conversation_id": "sess-0042"}


def test_an_invocation_is_an_outcome_and_a_decisions_success_is_none():
    [invoked] = records(read, ENTRY)
    [evaluated] = records(read, {**ENTRY, "event_type": "policy_evaluation"})
    assert (invoked["type"], invoked["outcome"]) == ("action.outcome", {"status": "success"})
    assert evaluated["type"] == "action.decision"
    assert "outcome" not in evaluated
    assert evaluated["policy"] == {"effect": "allow", "engine": "agt", "rule": "reads"}
    assert evaluated["approval"] == {"approver": "did:key:alice", "outcome": "approved"}


def test_a_decision_that_only_warns_is_an_allowance_that_could_stop_nothing():
    [record] = records(read, {**ENTRY, "event_type": "policy_evaluation", "policy_decision": "warn"})
    assert (record["policy"]["effect"], record["policy"]["mode"]) == ("allow", "monitor")


def test_where_the_verdict_stands_in_place_of_the_action_no_tool_is_invented():
    [record] = records(
        read, {**ENTRY, "event_type": "policy_violation", "action": "deny", "policy_decision": "deny"}
    )
    assert "tool" not in record
    assert record["policy"]["effect"] == "deny"


def test_what_is_about_no_action_is_none():
    types = [
        records(read, {**ENTRY, "event_type": kind, "policy_decision": None})[0]["type"]
        for kind in ("trust_handshake", "agent_registered", "Some Thing!", "policy_check")
    ]
    assert types == ["agt.trust_handshake", "agent.registered", "agt.some_thing_", "agt.policy_check"]


def test_an_unsalted_hash_and_a_reason_in_words_are_not_signed_in_clear():
    body = json.dumps([{**CLOUDEVENT, "data": {**CLOUDEVENT["data"], "reason": "alice said no"}}]).encode()
    [record] = read(body, submitter=SUBMITTER).records
    entry = prepared(record).record
    for hidden in (CLOUDEVENT["agentmeshentryhash"].encode(), b"alice said no"):
        assert hidden in record
        assert hidden not in entry


def test_every_shape_of_an_export_is_read():
    assert len(records(read, {"merkle_root": "x", "entry_count": 2, "entries": [ENTRY, ENTRY]})) == 2
    assert len(records(read, [GOVERNANCE, ENTRY, CLOUDEVENT, LINE])) == 4
    lines = b"\n".join(json.dumps(line).encode() for line in (LINE, {**LINE, "action": "read"}))
    searched, looked = records(read, lines, media_type="application/x-ndjson")
    assert searched["id"] != looked["id"]
    assert searched["policy"] == {"effect": "allow", "engine": "agt", "reason": "in_scope"}
    assert searched["tool"] == {"name": "search", "arguments": "q3"}
    assert records(read, []) == records(read, {"entries": []}) == []


def test_an_export_with_something_odd_in_it_is_read():
    entries = [ENTRY, {**ENTRY, "data": {"amount": float("nan")}}]
    plain, odd_one = records(read, {"entries": entries})
    assert "json.odd" not in plain["ext"]
    assert odd_one["ext"]["json.odd"] == "malformed-json"
    assert odd_one["source"]["original"]["data"] == {"amount": "nan"}


def test_an_exported_event_is_the_same_record_by_either_route():
    body = json.dumps([CLOUDEVENT]).encode()
    events = cloudevents.read(
        body, media_type=cloudevents.BATCHED, headers={}, submitter=SUBMITTER, received_ns=0
    )
    assert events.foreign.records == read(body, submitter=SUBMITTER).records
    assert json.loads(events.foreign.records[0])["time"] == "2026-11-21T01:34:21.146455000Z"


def test_an_event_without_kind_or_time_is_refused_and_the_others_are_not():
    sent = [GOVERNANCE, {**GOVERNANCE, "kind": None}, {**GOVERNANCE, "occurred_at": "yesterday"}, 7]
    reading = read(json.dumps(sent).encode(), submitter=SUBMITTER)
    assert len(reading.records) == 1
    assert [(error.code, error.path) for error in reading.refused] == [
        (Code.MISSING_MEMBER, "[1].kind"),
        (Code.MISSING_MEMBER, "[2].timestamp"),
        (Code.INVALID_MEMBER, "[3]"),
    ]


@given(odd([GOVERNANCE], [ENTRY], [CLOUDEVENT], [LINE], {"entries": [ENTRY]}, CLOUDEVENT, GOVERNANCE))
def test_whatever_an_event_holds_it_becomes_a_record_or_is_refused_with_its_path(body):
    kept(read, body)


@pytest.mark.parametrize("name", ["governance_events", "cloudevents", "mesh_audit_entry", "mesh_cloudevents"])
def test_what_agt_really_wrote_is_read(shared, name):
    truth = json.loads((shared / "otlp" / "agt" / "meta.json").read_text())["scenario"]
    found = records(read, (shared / "otlp" / "agt" / f"{name}.json").read_bytes())
    for record, expected in zip(found, truth, strict=False):
        assert (record["tool"]["name"], record["policy"]["effect"]) == (expected["tool"], expected["outcome"])
        assert name.startswith("mesh") or record["policy"]["id"] == expected["policy"]
    assert len(found) == (1 if name.startswith("mesh") else 2)
