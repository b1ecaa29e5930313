import base64
import json

import nacl.signing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import Code, LedgerError
from ledger.ingest.ogp import MAX_BODY_BYTES, read
from tests.ingest.odd import SUBMITTER, kept, odd, prepared, records

NOW = 1_795_167_000_000_000_000
KEY = nacl.signing.SigningKey(b"k" * 32)
MESSAGE = {
    "intent": "agent-comms",
    "from": "302a300506032b6570032100aabbccdd",
    "to": "peer-bob",
    "nonce": "abc-123-def-456",
    "timestamp": "2026-03-24T10:30:00Z",
    "replyTo": "https://alice.example.com/federation/reply/abc-123-def-456",
    "conversationId": "thread-7",
    "toAgent": "apollo",
    "payload": {"topic": "memory", "message": "How do you persist context?", "1": 1.0},
}


def stringified(value):
    """As JavaScript's JSON.stringify writes it: in the order of the sender's keys, without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def signed(value, name="message", text=None):
    text = text if text is not None else stringified(value)
    return (
        f'{{"{name}":{stringified(value)},"signature":"{KEY.sign(text.encode()).signature.hex()}"}}'.encode()
    )


REPLY = {
    "nonce": MESSAGE["nonce"],
    "success": True,
    "data": {"answer": "In a ledger."},
    "timestamp": "2026-03-24T10:30:02Z",
    "from": "peer-bob",
    "to": MESSAGE["from"],
}
REQUEST = {
    "payloadStr": stringified(
        {
            "peer": {"id": "x", "displayName": "Alice", "email": "a@x.example", "publicKey": "302a30"},
            "timestamp": "2026-03-24T10:00:00Z",
        }
    ),
    "signature": "00",
}
REMOVED = {"peerId": "peer-alice", "timestamp": "2026-03-24T10:30:00Z", "signature": "00"}


def read_now(body, **options):
    return read(body, received_ns=NOW, **options)


def test_a_message_is_what_a_peers_agent_asks_of_ours():
    [record] = records(read_now, signed(MESSAGE))
    assert record["type"] == "action.intent"
    assert record["time"] == "2026-03-24T10:30:00.000000000Z"
    assert record["action_id"] == f"ogp:{MESSAGE['from']}:{MESSAGE['nonce']}"
    assert record["tool"] == {
        "name": "agent-comms",
        "protocol": "ogp",
        "effect": "send",
        "arguments": MESSAGE["payload"],
    }
    assert record["identity"] == {"agent_id": MESSAGE["from"]}
    assert record["resource"] == {"type": "agent", "id": "peer-bob", "name": "apollo"}
    assert record["request"] == {"origin": "agent", "conversation_id": "thread-7"}
    assert record["ext"]["ogp.signature"] == "not verified"


def test_the_signature_can_be_checked_from_what_is_kept():
    [record] = records(read_now, signed(MESSAGE))
    original = record["source"]["original"]
    assert original["encoding"] == "utf-8"
    body = json.loads(original["body"])
    start = original["body"].index('{"intent"')
    text = original["body"][start : original["body"].rindex(',"signature"')]
    assert text == stringified(body["message"])
    KEY.verify_key.verify(text.encode(), bytes.fromhex(body["signature"]))
    assert stringified(dict(sorted(body["message"].items()))) != text  # the order of the keys is the sender's


def test_a_message_that_is_not_what_was_signed_says_so():
    harmless = stringified({**MESSAGE, "payload": {"message": "hello"}})
    body = json.loads(signed(MESSAGE, text=harmless)) | {"messageStr": harmless}
    [record] = records(read_now, body)
    assert record["ext"]["ogp.signed_differs"] is True
    assert record["tool"]["arguments"] == MESSAGE["payload"]  # what the gateway acts on
    [honest] = records(read_now, json.loads(signed(MESSAGE)) | {"messageStr": stringified(MESSAGE)})
    assert "ogp.signed_differs" not in honest["ext"]


def test_a_message_is_known_by_its_sender_and_nonce():
    [first] = records(read_now, signed(MESSAGE))
    [again] = records(read_now, signed(MESSAGE))
    [changed] = records(read_now, signed({**MESSAGE, "payload": 1}))
    [other] = records(read_now, signed({**MESSAGE, "from": "peer-eve"}))
    assert again == first
    assert changed["id"] == first["id"]
    assert other["id"] != first["id"]


def test_a_reply_is_the_outcome_of_the_message_it_answers():
    [asked] = records(read_now, signed(MESSAGE))
    [answered] = records(read_now, signed(REPLY, "reply"))
    [failed] = records(read_now, signed({"nonce": "n", "success": False, "error": "no", "to": "a"}, "reply"))
    assert answered["action_id"] == asked["action_id"]
    assert answered["outcome"] == {"status": "success", "result": REPLY["data"]}
    assert failed["outcome"] == {"status": "failure", "result": "no"}
    assert "identity" not in answered


@pytest.mark.parametrize(
    ("status", "policy", "outcome"),
    [
        (200, {"effect": "allow", "engine": "ogp"}, None),
        (401, {"effect": "deny", "engine": "ogp", "rule": "signature"}, "denied"),
        (403, {"effect": "deny", "engine": "ogp", "rule": "scope"}, "denied"),
        (429, {"effect": "deny", "engine": "ogp", "rule": "rate-limit"}, "denied"),
        (500, None, "failure"),
    ],
)
def test_how_the_gateway_answered_is_its_verdict(status, policy, outcome):
    asked, answered = records(read_now, signed(MESSAGE), status=status)
    assert answered["type"] == "action.decision"
    assert answered["action_id"] == asked["action_id"]
    assert answered.get("policy") == policy
    assert answered.get("outcome", {}).get("status") == outcome


def test_what_makes_and_ends_a_federation_is_recorded_without_naming_anybody():
    [asked] = records(read_now, REQUEST)
    [approved] = records(read_now, {"payloadStr": '{"fromGatewayId":"g"}', "signature": "00"})
    [removed] = records(read_now, REMOVED)
    [renamed] = records(read_now, signed({"publicKey": "302a30", "displayName": "Alice"}, "identity"))
    assert [record["type"] for record in (asked, approved, removed, renamed)] == [
        "ogp.federation_request",
        "ogp.federation_approve",
        "ogp.federation_removed",
        "ogp.federation_identity",
    ]
    assert asked["ext"]["ogp.public_key"] == "302a30"
    assert removed["ext"]["ogp.peer_id"] == "peer-alice"
    entry = prepared(json.dumps(asked).encode()).record
    assert b"Alice" not in entry
    assert b"a@x.example" not in entry


def test_every_byte_of_a_body_is_kept_whatever_is_odd_about_it():
    odd_body = signed(MESSAGE).replace(b'"intent":', b'"intent":"hidden", "intent":')
    [record] = records(read_now, odd_body)
    assert record["source"]["original"]["body"].encode() == odd_body
    assert record["ext"]["json.odd"] == "duplicate-key"
    assert record["tool"]["name"] == "agent-comms"  # the last one, as JavaScript has it


@given(st.binary(max_size=60))
def test_a_body_is_kept_byte_for_byte_or_refused(junk):
    body = signed(MESSAGE) + junk
    try:
        [record] = read_now(body, submitter=SUBMITTER).records
    except LedgerError:
        return
    kept_body = json.loads(record)["source"]["original"]
    raw = kept_body["body"]
    assert (raw.encode() if kept_body["encoding"] == "utf-8" else base64.b64decode(raw)) == body


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (b"{}", Code.MISSING_MEMBER, "message"),
        (signed({**MESSAGE, "nonce": 7}), Code.MISSING_MEMBER, "message.nonce"),
        (signed({**MESSAGE, "from": ""}), Code.MISSING_MEMBER, "message.from"),
        (signed({"success": True}, "reply"), Code.MISSING_MEMBER, "reply.nonce"),
        (b'{"payloadStr": "[", "signature": ""}', Code.INVALID_MEMBER, "payloadStr"),
        (b"[]", Code.INVALID_MEMBER, None),
        (b" " * (MAX_BODY_BYTES + 1), Code.CONTENT_TOO_LARGE, None),
    ],
)
def test_what_is_no_federation_body_is_refused(body, code, path):
    with pytest.raises(LedgerError) as refused:
        read_now(body, submitter=SUBMITTER)
    assert (refused.value.code, refused.value.path) == (code, path)


@given(
    odd(json.loads(signed(MESSAGE)), json.loads(signed(REPLY, "reply")), REQUEST, REMOVED),
    st.none() | st.integers(100, 599),
)
def test_whatever_a_body_holds_it_becomes_a_record_or_is_refused_with_its_path(body, status):
    kept(read_now, body, status=status)


def test_the_sample_is_read(shared):
    [record] = records(read_now, (shared / "samples" / "ogp_message.json").read_bytes())
    assert record["tool"]["name"] == "agent-comms"
