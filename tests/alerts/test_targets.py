"""What each kind of target receives, read by somebody else: an HTTP server, sockets, OTLP's own messages."""

import base64
import hashlib
import hmac
import json
import re
import socket
import threading

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from ledger.alerts.ocsf import event
from ledger.alerts.outbound import DeliveryError
from ledger.alerts.senders import parse_secrets, sender_of, signatures
from ledger.alerts.settings import parse_settings
from ledger.alerts.syslog import format_message
from ledger.core.errors import LedgerError
from tests.alerts.receivers import Requests, Stream, certificate, until

KEYS = [bytes(range(32)), bytes(range(32, 64))]
SECRET = " ".join(f"whsec_{base64.b64encode(key).decode()}" for key in KEYS)
ENVIRONMENT = {"SECRET": SECRET, "TOKEN": "Bearer canary-token"}
BODY = {
    "id": "alert_0123",
    "rule": "new-tool",
    "kind": "first-seen",
    "severity": "high",
    "raised_at": "2026-11-21T09:30:00.123456Z",
    "log": "ledger.example/test",
    "seq": 17,
    "leaf_hash": "ab" * 32,
    "because": {"first": "tool.name"},
    "recorded_in": 18,
    "record_id": "r-1",
    "recorded_at": "2026-11-21T09:30:00.000000Z",
    "submitter": "token:payer",
    "facts": {
        "type": "action",
        "time": "2026-11-21T09:29:59Z",
        "action_id": "a-1",
        "identity.agent_id": "payer",
        "tool.name": 'send "money"]\\',
        "tool.effect": "pay",
        "resource.type": "account",
        "resource.id": "vendor-7",
        "resource.destination": "bank.example",
        "outcome.status": "success",
        "decision.provider": "openai",
        "decision.request_model": "gpt-5",
    },
}


def sender(target):
    settings = parse_settings(
        '[[rule]]\nname="r"\nkind="match"\nwhere={type="x"}\n[[target]]\nname="t"\n' + target
    )
    return sender_of(settings.target[0], "ledger.example/test", ENVIRONMENT)


@pytest.fixture
def hook():
    made = Requests()
    yield made
    made.close()


def webhook(port, more=""):
    return sender(
        f'kind="webhook"\nurl="http://127.0.0.1:{port}/hook?k=1"\nallow_private=true\nsecret_env="SECRET"\n{more}'
    )


def test_a_webhook_is_signed_as_standard_webhooks_has_it_once_for_each_secret(hook):
    webhook(hook.port).send(BODY)
    ((path, headers, data),) = hook.taken()
    assert path == "/hook?k=1"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == BODY["id"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + data
    expected = [
        "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in KEYS
    ]
    assert headers["webhook-signature"].split(" ") == expected
    assert json.loads(data) == {"type": "alert.raised", "timestamp": BODY["raised_at"], "data": BODY}


def test_the_vector_of_standard_webhooks_is_signed_alike():
    """From the specification's reference libraries: the same secret, id, time and body give this signature."""
    (key,) = parse_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signatures([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_what_is_not_taken_is_not_delivered_and_the_words_hold_no_secret(status):
    refusing = Requests([status], headers={"Retry-After": "7"}, body=b"canary-answer")
    try:
        with pytest.raises(DeliveryError, match=f"answered {status}") as refusal:
            webhook(refusing.port, 'authorization_env="TOKEN"\n').send(BODY)
        assert refusal.value.retry_after_s == 7
        for secret in ("canary", "whsec", "k=1", "/hook"):
            assert secret not in str(refusal.value)
    finally:
        refusing.close()


def test_an_authorization_header_comes_from_where_it_is_kept(hook):
    webhook(hook.port, 'authorization_env="TOKEN"\n').send(BODY)
    assert hook.taken()[0][1]["authorization"] == "Bearer canary-token"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ('kind="webhook"\nurl="https://x.example/"\nsecret_env="MISSING"', "MISSING is not set"),
        ('kind="webhook"\nurl="https://x.example/"\nsecret_env="TOKEN"', "whsec_"),
        ('kind="webhook"\nurl="https://x.example/"\nsecret_file="/nonexistent/x"', "cannot be read"),
        ('kind="webhook"\nurl="http://x.example/"\nsecret_env="SECRET"', "allow_private"),
        ('kind="webhook"\nurl_env="SECRET"\nsecret_env="SECRET"', "URL"),
        (
            'kind="webhook"\nurl="https://x.example/"\nsecret_env="SECRET"\nca_file="/nonexistent"',
            "certificates",
        ),
        ('kind="syslog"\naddress="x.example:514"\ntransport="udp"', "allow_private"),
        ('kind="syslog"\naddress="x.example"', "host:port"),
        ('kind="otlp"\nurl="https://a:hunter2@x.example"', "neither a user"),
    ],
    ids=["unset", "no-secret", "no-file", "plain", "no-url", "no-ca", "plain-syslog", "no-port", "user"],
)
def test_a_target_that_cannot_be_reached_safely_is_refused_before_a_server_starts(target, says):
    with pytest.raises(LedgerError, match=re.escape(says)) as refusal:
        sender(target)
    for secret in (KEYS[0].hex(), "hunter2", base64.b64encode(KEYS[0]).decode(), "canary-token"):
        assert secret not in refusal.value.detail


# -- OTLP


def test_a_collector_gets_one_log_record_in_otlps_own_protobuf():
    collector = Requests(body=ExportLogsServiceResponse().SerializeToString())
    try:
        sender(
            f'kind="otlp"\nurl="http://127.0.0.1:{collector.port}/"\nallow_private=true\nauthorization_env="TOKEN"\n'
        ).send(BODY)
        ((path, headers, data),) = collector.taken()
    finally:
        collector.close()
    assert (path, headers["content-type"]) == ("/v1/logs", "application/x-protobuf")
    assert headers["authorization"] == "Bearer canary-token"
    (resource,) = ExportLogsServiceRequest.FromString(data).resource_logs
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert named["service.name"] == "agent-ledger"
    assert named["agent_ledger.origin"] == "ledger.example/test"
    ((record,),) = [scope.log_records for scope in resource.scope_logs]
    assert (record.event_name, record.severity_text, record.severity_number) == (
        "agent_ledger.alert",
        "high",
        17,
    )
    assert record.time_unix_nano == 1_795_253_400_123_456_000
    attributes = {each.key: each.value for each in record.attributes}
    assert attributes["agent_ledger.alert.id"].string_value == BODY["id"]
    assert attributes["agent_ledger.alert.seq"].int_value == 17
    assert attributes["gen_ai.agent.id"].string_value == "payer"
    assert json.loads(record.body.string_value)["because"] == BODY["because"]


def test_what_answers_200_and_is_no_collector_has_not_taken_it():
    impostor = Requests(body=b"<html>welcome</html>")
    try:
        with pytest.raises(DeliveryError, match="no OTLP collector"):
            sender(f'kind="otlp"\nurl="http://127.0.0.1:{impostor.port}"\nallow_private=true\n').send(BODY)
    finally:
        impostor.close()


def test_what_a_collector_rejects_for_good_is_told_and_not_sent_again(caplog):
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = 1
    collector = Requests(body=answer.SerializeToString())
    try:
        sender(f'kind="otlp"\nurl="http://127.0.0.1:{collector.port}"\nallow_private=true\n').send(BODY)
    finally:
        collector.close()
    assert "rejected the alert alert_0123" in caplog.text


# -- syslog


SYSLOG = re.compile(
    rb"<(\d+)>1 (\S+) (\S+) (\S+) (\S+) (\S+) (\[[^ ]+(?: [^ =\]\"]+=\"(?:\\.|[^\"\\\]])*\")*\]) \xef\xbb\xbf(.*)",
    re.DOTALL,
)


def checked(message):
    """The parts of a message that RFC 5424 names."""
    parsed = SYSLOG.fullmatch(message)
    assert parsed, message
    priority, time, host, app, process, kind, data, text = parsed.groups()
    assert int(priority) == 13 * 8 + 3
    assert (time, app, process, kind) == (
        b"2026-11-21T09:30:00.123456Z",
        b"agent-ledger",
        b"-",
        b"first-seen",
    )
    assert len(host) <= 255
    assert b'seq="17"' in data
    return json.loads(text)


def test_syslog_over_udp_is_one_datagram_of_rfc_5424():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        port = receiver.getsockname()[1]
        made = sender(f'kind="syslog"\naddress="127.0.0.1:{port}"\ntransport="udp"\nallow_private=true\n')
        made.send(BODY)
        assert checked(receiver.recv(65536))["data"] == BODY
        made.send(BODY | {"contents": {"tool.arguments": "z" * 9_000}})
        small = receiver.recv(65536)
        assert len(small) < 2_048
        assert checked(small)["truncated"] is True


def test_structured_data_is_escaped():
    message = format_message(BODY | {"rule": 'a"b]c\\d'}, 13, {})
    assert rb'rule="a\"b\]c\\d"' in message
    assert SYSLOG.fullmatch(message)


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_syslog_over_a_stream_is_counted_in_octets_and_comes_back_after_a_hang_up(tls, tmp_path):
    context, cert = certificate(tmp_path, "localhost") if tls else (None, None)
    receiver = Stream(context)
    trust = f'ca_file="{cert}"\n' if tls else ""
    made = sender(
        f'kind="syslog"\naddress="localhost:{receiver.port}"\ntransport="{"tls" if tls else "tcp"}"\nallow_private=true\n{trust}'
    )
    try:
        made.send(BODY)
        made.send(BODY)
        until(lambda: len(receiver.messages()) == 2)
        assert len(receiver.connections) == 1
        receiver.hang_up()
        until(lambda: _sent(made), 20)
        until(lambda: len(receiver.messages()) >= 3)
        assert len(receiver.connections) == 2
        assert [checked(each)["data"]["id"] for each in receiver.messages()] == [BODY["id"]] * len(
            receiver.messages()
        )
    finally:
        made.close()
        receiver.close()


def _sent(made):
    threading.Event().wait(0.2)  # the other side's end has to arrive
    made.send(BODY)
    return True


def test_syslog_under_tls_trusts_no_stranger(tmp_path):
    context, _ = certificate(tmp_path, "localhost")
    receiver = Stream(context)
    try:
        made = sender(f'kind="syslog"\naddress="localhost:{receiver.port}"\nallow_private=true\n')
        with pytest.raises(DeliveryError, match="TLS"):
            made.send(BODY)
    finally:
        receiver.close()


# -- a file, and OCSF


def test_a_file_gets_a_line_and_a_line_that_was_cut_is_ended_first(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"half":')
    made = sender(f'kind="file"\npath="{path}"\nformat="alert"\n')
    made.send(BODY)
    made.send(BODY)
    half, *lines, end = path.read_bytes().split(b"\n")
    assert (half, end) == (b'{"half":', b"")
    assert [json.loads(line)["data"] for line in lines] == [BODY, BODY]


def test_a_file_is_made_for_its_owner_alone_and_a_link_is_not_followed(tmp_path):
    path = tmp_path / "out.jsonl"
    sender(f'kind="file"\npath="{path}"\n').send(BODY)
    assert path.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(DeliveryError):
        sender(f'kind="file"\npath="{link}"\n').send(BODY)


def test_an_ocsf_event_has_what_api_activity_requires():
    """OCSF 1.8.0, class 6003 and profile ai_operation: required attributes, captions of its enumerations, types."""
    made = event(BODY)
    assert (made["category_uid"], made["class_uid"], made["activity_id"], made["type_uid"]) == (
        6,
        6003,
        99,
        600399,
    )
    assert (made["activity_name"], made["type_name"]) == ("pay", "API Activity: Other")
    assert (made["severity_id"], made["severity"]) == (4, "High")
    assert (made["status_id"], made["status"]) == (1, "Success")
    assert made["time"] == 1_795_253_400_000
    assert made["metadata"]["version"] == "1.8.0"
    assert made["metadata"]["profiles"] == ["ai_operation"]
    assert made["metadata"]["product"]["name"] == "Agent Ledger"
    assert made["metadata"]["uid"] == BODY["id"]
    assert made["actor"]["app_name"] == "payer"
    assert made["api"]["operation"] == BODY["facts"]["tool.name"]
    assert made["src_endpoint"]["svc_name"] == "payer"
    assert made["dst_endpoint"] == {"name": "bank.example"}
    assert made["resources"] == [{"type": "account", "uid": "vendor-7"}]
    assert made["ai_model"] == {"ai_provider": "openai", "name": "gpt-5"}
    assert made["unmapped"]["record_integrity"]["leaf_hash"] == BODY["leaf_hash"]
    assert made["unmapped"]["alert"]["because"] == BODY["because"]


@pytest.mark.parametrize(
    ("effect", "activity"), [("create", 1), ("read", 2), ("update", 3), ("delete", 4), (None, 0)]
)
def test_an_effect_is_ocsfs_activity_where_it_has_one(effect, activity):
    made = event(BODY | {"facts": {"tool.effect": effect} if effect else {}})
    assert (made["activity_id"], made["type_uid"]) == (activity, 600300 + activity)


def test_an_alert_about_what_was_retired_is_an_event_too():
    bare = {
        name: BODY[name]
        for name in (
            "id",
            "rule",
            "kind",
            "severity",
            "raised_at",
            "log",
            "seq",
            "leaf_hash",
            "because",
            "recorded_in",
        )
    }
    made = event(bare | {"retired": True})
    for required in (
        "metadata",
        "category_uid",
        "class_uid",
        "activity_id",
        "type_uid",
        "time",
        "severity_id",
        "actor",
        "api",
        "src_endpoint",
    ):
        assert required in made


def test_a_webhook_may_carry_ocsf(hook):
    webhook(hook.port, 'format="ocsf"\n').send(BODY)
    assert json.loads(hook.taken()[0][2])["class_uid"] == 6003
