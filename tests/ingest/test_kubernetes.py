import json

import pytest
from hypothesis import given

from ledger.core.errors import Code, LedgerError
from ledger.ingest.kubernetes import read
from tests.ingest.odd import kept, odd, prepared, records

USER = {
    "username": "system:serviceaccount:agents:finance-agent",
    "uid": "u1",
    "groups": ["system:serviceaccounts", "hr-of-alice"],
    "extra": {
        "authentication.kubernetes.io/pod-name": ["finance-agent-0"],
        "authentication.kubernetes.io/credential-id": ["JTI=4b2f"],
        "authentication.kubernetes.io/node-name": ["node-7"],
    },
}
RBAC = 'RBAC: allowed by RoleBinding "agents/finance" of Role "pod-runner" to User "alice@example.com"'
EXEC = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "RequestResponse",
    "auditID": "5f6c1b1e-0000-4000-8000-000000000002",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/finance/pods/db-0/exec?command=cat&command=%2Fetc%2Fpasswd",
    "verb": "create",
    "user": USER,
    "impersonatedUser": {"username": "alice@example.com", "groups": ["finance"]},
    "sourceIPs": ["10.0.0.7"],
    "userAgent": "kubernetes-mcp/1.0",
    "objectRef": {
        "resource": "pods",
        "subresource": "exec",
        "namespace": "finance",
        "name": "db-0",
        "apiVersion": "v1",
    },
    "responseStatus": {"metadata": {}, "code": 101},
    "requestObject": {"kind": "PodExecOptions", "command": ["cat", "/etc/passwd"]},
    "responseObject": {"kind": "Status", "message": "root:x:0:0"},
    "requestReceivedTimestamp": "2026-11-21T01:00:00.000000Z",
    "stageTimestamp": "2026-11-21T01:00:00.004000Z",
    "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": RBAC},
}


def events(*items):
    return {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": list(items)}


def test_an_exec_on_behalf_of_a_person_is_an_action_with_who_what_and_by_which_rule():
    [record] = records(read, events(EXEC))
    assert record["type"] == "action.outcome"
    assert record["time"] == "2026-11-21T01:00:00.004000000Z"
    assert record["action_id"] == EXEC["auditID"]
    assert record["identity"] == {
        "agent_id": USER["username"],
        "workload": USER["username"],
        "agent_instance_id": "finance-agent-0",
        "credential": {"id": "JTI=4b2f"},
        "actors": [{"sub": USER["username"]}],
        "principal": "alice@example.com",
        "principal_source": "impersonatedUser: named by the caller, whom Kubernetes allows to impersonate",
    }
    assert (record["tool"]["operation"], record["tool"]["effect"]) == ("create", "execute")
    assert record["tool"]["arguments"]["requestObject"]["command"] == ["cat", "/etc/passwd"]
    assert record["resource"] == {
        "type": "pods/exec",
        "id": "finance/db-0",
        "name": "db-0",
        "tenant": "finance",
    }
    assert record["policy"] == {
        "effect": "allow",
        "engine": "kubernetes/rbac",
        "mode": "enforce",
        "rule": "RoleBinding/agents/finance",
        "id": "Role/pod-runner",
    }
    assert record["outcome"] == {
        "status": "success",
        "duration_ns": 4_000_000,
        "result": {"kind": "Status", "message": "root:x:0:0"},
    }


def test_no_person_and_nothing_a_client_wrote_is_signed_in_clear():
    alice = {**EXEC, "user": {"username": "alice@example.com"}, "impersonatedUser": USER}
    for event in (EXEC, alice):
        [record] = read(json.dumps(events(event)).encode(), submitter="s").records
        entry = prepared(record).record
        for secret in (b"alice", b"passwd", b"10.0.0.7", b"kubernetes-mcp"):
            assert secret in record
            assert secret not in entry


@pytest.mark.parametrize(
    ("user", "acted_for", "told"),
    [
        ("alice", None, ("alice", "user: authenticated", None, None)),
        ("alice", "bob", ("bob", "impersonatedUser: named by the caller", "alice", None)),
        ("system:node:n1", None, (None, None, None, "system:node:n1")),
        ("alice", "system:admin", (None, None, "alice", "system:admin")),
    ],
)
def test_the_principal_is_whom_it_was_done_for_and_its_source_says_who_says_so(user, acted_for, told):
    principal, said_by, asked, agent = told
    event = {**EXEC, "user": {"username": user}}
    event["impersonatedUser"] = {"username": acted_for} if acted_for else None
    [record] = records(read, events(event))
    identity = record.get("identity", {})
    assert identity.get("principal") == principal
    assert (identity.get("principal_source") or "").startswith(said_by or "")
    assert ("principal_source" in identity) == (principal is not None)
    assert record.get("request", {}).get("user") == asked
    assert identity.get("agent_id") == agent
    assert "actors" not in identity


def test_the_stages_of_a_request_are_one_action_and_each_is_known_when_it_comes_again():
    stages = ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    sent = [{**EXEC, "stage": stage} for stage in stages]
    first, again = records(read, events(*sent)), records(read, events(*sent, sent[0]))
    assert [record["type"] for record in first] == ["action.intent", "action.decision", "action.outcome"]
    assert {record["action_id"] for record in first} == {EXEC["auditID"]}
    assert "outcome" not in first[0]
    assert again == [*first, first[0]]
    assert len({record["id"] for record in first}) == 3


def test_another_sender_cannot_take_an_events_id():
    body = json.dumps(events(EXEC)).encode()
    [mine] = read(body, submitter="token:a").records
    [theirs] = read(body, submitter="token:b").records
    assert json.loads(mine)["id"] != json.loads(theirs)["id"]


@pytest.mark.parametrize(
    ("verb", "target", "effect"),
    [
        ("get", {"resource": "secrets"}, "read"),
        ("watch", {"resource": "pods"}, "read"),
        ("patch", {"resource": "deployments", "apiGroup": "apps", "subresource": "scale"}, "update"),
        ("deletecollection", {"resource": "pods"}, "delete"),
        ("create", {"resource": "pods", "subresource": "eviction"}, "delete"),
        ("get", {"resource": "pods", "subresource": "portforward"}, "execute"),
        ("create", {"resource": "selfsubjectaccessreviews"}, "read"),
        ("post", {}, "create"),
        ("frobnicate", {}, None),
    ],
)
def test_a_verb_says_what_it_does_to_the_world(verb, target, effect):
    [record] = records(read, events({**EXEC, "verb": verb, "objectRef": target}))
    assert record["tool"].get("effect") == effect
    assert record["tool"]["operation"] == verb


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ({"code": 201}, ("success", None)),
        ({"code": 403, "reason": "Forbidden"}, ("denied", "Forbidden")),
        ({"code": 404, "reason": "NotFound"}, ("failure", "NotFound")),
        ({"code": 504}, ("timeout", "504")),
        ({"status": "Failure"}, ("failure", None)),
        ({}, ("unknown", None)),
    ],
)
def test_a_status_says_how_it_ended(status, outcome):
    [record] = records(read, events({**EXEC, "responseStatus": status}))
    assert (record["outcome"]["status"], record["outcome"].get("error_type")) == outcome


def test_a_panic_is_a_failure():
    [record] = records(read, events({**EXEC, "stage": "Panic", "responseStatus": {"code": 500}}))
    assert (record["outcome"]["status"], record["outcome"]["error_type"]) == ("failure", "panic")


def test_a_denial_is_recorded_only_where_the_authorizer_said_so():
    refused = {**EXEC, "responseStatus": {"code": 403, "reason": "Forbidden"}, "annotations": {}}
    [by_admission] = records(read, events(refused))
    [by_authorizer] = records(
        read, events({**refused, "annotations": {"authorization.k8s.io/decision": "forbid"}})
    )
    assert "policy" not in by_admission
    assert by_authorizer["policy"]["effect"] == "deny"


def test_one_bad_event_does_not_hold_up_the_others():
    reading = read(
        json.dumps(events({**EXEC, "auditID": 7}, EXEC, {**EXEC, "stage": "Later"}, None)).encode(),
        submitter="s",
    )
    assert len(reading.records) == 1
    assert [(error.code, error.path) for error in reading.refused] == [
        (Code.MISSING_MEMBER, "items[0].auditID"),
        (Code.INVALID_MEMBER, "items[2].stage"),
        (Code.INVALID_MEMBER, "items[3]"),
    ]


def test_lines_of_the_audit_log_file_are_read_too():
    lines = b"\n".join(json.dumps({**EXEC, "auditID": str(number)}).encode() for number in range(3))
    assert len(records(read, lines, media_type="application/x-ndjson")) == 3
    assert len(records(read, EXEC)) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.MALFORMED_JSON),
        (b"[1,", Code.MALFORMED_JSON),
        (b'{"kind":"Event\xff","apiVersion":"audit.k8s.io/v1","items":[]}', Code.MALFORMED_JSON),
        (b'{"items":[' * 50_000, Code.MALFORMED_JSON),
        (b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1beta1","items":[]}', Code.INVALID_MEMBER),
        (
            b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[' + b"1," * 10_000 + b"1]}",
            Code.TOO_MANY_RECORDS,
        ),
    ],
)
def test_a_body_that_is_no_list_of_events_is_refused(body, code):
    with pytest.raises(LedgerError) as refused:
        read(body, submitter="s")
    assert refused.value.code == code


@given(odd(events(EXEC), events({**EXEC, "stage": "RequestReceived"}, EXEC)))
def test_whatever_an_event_holds_it_becomes_a_record_or_is_refused_with_its_path(body):
    kept(read, body)


def test_the_sample_is_read(shared):
    [record] = records(read, (shared / "samples" / "k8s_audit_eventlist.json").read_bytes())
    assert (record["outcome"]["status"], record["policy"]["effect"]) == ("denied", "deny")
