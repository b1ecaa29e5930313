import contextlib
import gc
import json
import time
from hashlib import sha256

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core import canonical
from ledger.core.ed25519 import generate
from ledger.core.entry import commitment, record_signing_input
from ledger.core.errors import Code, LedgerError
from ledger.core.text import format_base64
from ledger.log.persons import Persons
from ledger.records.members import CONTENTS, MEMBERS, PERSONS
from ledger.records.prepare import own_record, prepare, recommit, uuid7
from tests.records.full import full

ORIGIN = "ledger.example/test"


def at(record, path):
    for name in path.split("."):
        record = record[name]
    return record


def test_the_full_record_has_every_member_of_the_model():
    record = full()
    record["absent"] = {"request": "scheduled"}
    for member in MEMBERS:
        at(record, member.path)


def test_the_bytes_are_canonical_and_hold_commitments_in_place_of_contents_and_persons(submit):
    prepared = submit(full())
    record = canonical.parse_canonical(prepared.record)
    assert prepared.record == rfc8785.dumps(record)
    assert {content.member for content in prepared.contents} == set(CONTENTS)
    for content in prepared.contents:
        assert at(record, content.member) == commitment(content.salt, content.value).hex()
    assert [at(record, path) for path in PERSONS] == [person.commitment for person in prepared.persons]
    for secret in ("alice@example.com", "invoice", "98.7"):
        assert secret.encode() not in prepared.record


def test_facts_stand_in_the_entry_as_they_were_sent(submit):
    sent, record = full(), json.loads(submit(full()).record)
    for path in (m.path for m in MEMBERS if m.kind == "fact" and m.path != "absent"):
        assert at(record, path) == at(sent, path)


def test_a_content_is_kept_byte_for_byte(submit):
    prepared = submit(
        b'{"type":"note","time":"2026-11-21T09:30:00Z","request":{"text": {"b" : 1e400, "a":0.10} }}'
    )
    assert prepared.contents[0].value == b'{"b" : 1e400, "a":0.10}'


def test_equal_persons_have_equal_commitments_and_equal_contents_do_not(submit):
    first, second = submit(full()), submit(full())
    assert first.persons == second.persons
    assert first.persons[0].commitment == first.persons[1].commitment
    assert not {c.salt for c in first.contents} & {c.salt for c in second.contents}
    escaped = full() | {"request": {"user": "alice@example.com"}}
    data = json.dumps(escaped).replace("alice", "\\u0061lice").encode()
    assert submit(data).persons[0] == first.persons[0]


def test_a_low_entropy_content_cannot_be_guessed_from_its_commitment(submit):  # threat 37
    record = {"type": "note", "time": "2026-11-21T09:30:00Z", "outcome": {"result": "approved"}}
    committed = json.loads(submit(record).record)["outcome"]["result"]
    guesses = [b"approved", b'"approved"', b"denied", b'"denied"', *(str(n).encode() for n in range(1000))]
    assert committed not in {
        sha256(p + g).hexdigest() for g in guesses for p in (b"", b"\x02", b"\x02" + bytes(16))
    }


def test_a_withheld_content_and_person_leave_only_their_commitment(submit):
    record = full()
    record["tool"]["arguments"] = {"commitment": "1" * 64}
    record["request"]["user"] = {"commitment": "2" * 64}
    prepared = submit(record)
    assert set(prepared.withheld) == {"tool.arguments", "request.user"}
    assert json.loads(prepared.record)["tool"]["arguments"] == "1" * 64


def test_without_an_id_the_ledger_makes_a_uuid7_and_says_so(submit):
    prepared = submit({"type": "note", "time": "2026-11-21T09:30:00Z"})
    assert prepared.generated_id
    assert json.loads(prepared.record)["id"] == prepared.id
    assert prepared.id[14] == "7"
    assert prepared.id[19] in "89ab"
    assert len({uuid7() for _ in range(1000)}) == 1000


NOTE = '"type":"note","time":"2026-11-21T09:30:00Z"'
REFUSED = {
    "not an object": ("[1]", Code.INVALID_MEMBER, None),
    "not JSON": ("{", Code.MALFORMED_JSON, None),
    "unknown member": ('{"type":"note","tool":{"args":1}}', Code.UNKNOWN_MEMBER, "tool.args"),
    "unknown at the top": (f'{{{NOTE},"extra":1}}', Code.UNKNOWN_MEMBER, "extra"),
    "unknown in a list": (
        f'{{{NOTE},"identity":{{"actors":[{{"sub":"a","x":1}}]}}}}',
        Code.UNKNOWN_MEMBER,
        "identity.actors[0].x",
    ),
    "no time": ('{"type":"note"}', Code.MISSING_MEMBER, "time"),
    "no type": ('{"time":"2026-11-21T09:30:00Z"}', Code.MISSING_MEMBER, "type"),
    "local time": ('{"type":"note","time":"2026-11-21T09:30:00+01:00"}', Code.INVALID_MEMBER, "time"),
    "no such day": ('{"type":"note","time":"2026-02-30T09:30:00Z"}', Code.INVALID_MEMBER, "time"),
    "arabic digits": ('{"type":"note","time":"٢026-11-21T09:30:00Z"}', Code.INVALID_MEMBER, "time"),
    "unknown type": ('{"type":"acton","time":"2026-11-21T09:30:00Z"}', Code.INVALID_MEMBER, "type"),
    "the log's type": ('{"type":"log.created","time":"2026-11-21T09:30:00Z"}', Code.RESERVED_NAME, "type"),
    "the log's ext": (f'{{{NOTE},"ext":{{"log.erased":[]}}}}', Code.RESERVED_NAME, "ext.log.erased"),
    "ext without an owner": (f'{{{NOTE},"ext":{{"x":1}}}}', Code.INVALID_MEMBER, "ext.x"),
    "null fact": (f'{{{NOTE},"tool":{{"name":null}}}}', Code.INVALID_MEMBER, "tool.name"),
    "empty fact": (f'{{{NOTE},"tool":{{"name":""}}}}', Code.INVALID_MEMBER, "tool.name"),
    "float fact": (
        f'{{{NOTE},"decision":{{"input_tokens":1.0}}}}',
        Code.INVALID_MEMBER,
        "decision.input_tokens",
    ),
    "big integer": (
        f'{{{NOTE},"decision":{{"input_tokens":9007199254740992}}}}',
        Code.INVALID_MEMBER,
        "decision.input_tokens",
    ),
    "negative count": (
        f'{{{NOTE},"decision":{{"input_tokens":-1}}}}',
        Code.INVALID_MEMBER,
        "decision.input_tokens",
    ),
    "float in ext": (f'{{{NOTE},"ext":{{"a.b":1.5}}}}', Code.INVALID_NUMBER, "ext.a.b"),
    "5000 digits in ext": (f'{{{NOTE},"ext":{{"a.b":{"1" * 5000}}}}}', Code.MALFORMED_JSON, None),
    "big integer in ext": (f'{{{NOTE},"ext":{{"a.b":9007199254740992}}}}', Code.INVALID_NUMBER, "ext.a.b"),
    "minus zero in ext": (f'{{{NOTE},"ext":{{"a.b":-0}}}}', Code.INVALID_NUMBER, "ext.a.b"),
    "depth in ext": (f'{{{NOTE},"ext":{{"a.b":{"[" * 14}{"]" * 14}}}}}', Code.TOO_DEEP, "ext"),
    "depth of a content": (f'{{{NOTE},"request":{{"text":{"[" * 300}{"]" * 300}}}}}', Code.TOO_DEEP, None),
    "100,000 brackets": ("[" * 100_000, Code.TOO_DEEP, None),
    "duplicate": ('{"type":"note","type":"note"}', Code.DUPLICATE_KEY, "type"),
    "escaped duplicate": ('{"type":"note","t\\u0079pe":"note"}', Code.DUPLICATE_KEY, "type"),
    "duplicate in a content": (
        f'{{{NOTE},"tool":{{"arguments":{{"a":[{{"b":1,"b":2}}]}}}}}}',
        Code.DUPLICATE_KEY,
        "tool.arguments.a[0].b",
    ),
    "lone surrogate": (f'{{{NOTE},"request":{{"text":"\\ud800"}}}}', Code.INVALID_TEXT, "request.text"),
    "lone surrogate key": (
        f'{{{NOTE},"request":{{"text":{{"\\udc00":1}}}}}}',
        Code.INVALID_TEXT,
        "request.text",
    ),
    "not a number": (f'{{{NOTE},"tool":{{"arguments":NaN}}}}', Code.MALFORMED_JSON, None),
    "wrong word": (f'{{{NOTE},"tool":{{"effect":"steal"}}}}', Code.INVALID_MEMBER, "tool.effect"),
    "bad trace id": (f'{{{NOTE},"trace":{{"trace_id":"ABC"}}}}', Code.INVALID_MEMBER, "trace.trace_id"),
    "bad id": (f'{{{NOTE},"id":"a b"}}', Code.INVALID_MEMBER, "id"),
    "id of a newline": (f'{{{NOTE},"id":"a\\n"}}', Code.INVALID_MEMBER, "id"),
    "long fact": (f'{{{NOTE},"tool":{{"name":"{"x" * 4097}"}}}}', Code.INVALID_MEMBER, "tool.name"),
    "person as a number": (f'{{{NOTE},"request":{{"user":7}}}}', Code.INVALID_MEMBER, "request.user"),
    "half a commitment": (
        f'{{{NOTE},"tool":{{"arguments":{{"commitment":"zz"}}}}}}',
        Code.INVALID_MEMBER,
        "tool.arguments",
    ),
    "unknown absence": (f'{{{NOTE},"absent":{{"weather":"x"}}}}', Code.INVALID_MEMBER, "absent"),
    "large content": (
        f'{{{NOTE},"request":{{"text":"{"x" * 1_048_576}"}}}}',
        Code.CONTENT_TOO_LARGE,
        "request.text",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_its_path(submit, case):
    text, code, path = REFUSED[case]
    with pytest.raises(LedgerError) as refused:
        submit(text.encode())
    assert (refused.value.code, refused.value.path) == (code, path)


@pytest.mark.parametrize(
    "data", [b"\xef\xbb\xbf{}", b'{"type":"\xff"}', b'{"type":"\xed\xa0\x80"}', b'{"a":"\xc0\x80"}', b""]
)
def test_bytes_that_are_no_utf8_are_refused(submit, data):  # threat 26
    with pytest.raises(LedgerError) as refused:
        submit(data)
    assert refused.value.code in {Code.MALFORMED_JSON, Code.INVALID_TEXT}


def test_the_message_names_the_nearest_right_member(submit):
    with pytest.raises(LedgerError, match=r"tool\.args is not a member; did you mean tool\.arguments\?"):
        submit(b'{"type":"note","tool":{"args":1}}')


SECRETS = {
    "aws": "AKIA" + "ABCDEFGHIJKLMNOP",
    "github": "ghp_" + "a" * 36,
    "openai": "sk-" + "proj-" + "a1" * 20,
    "url": "https://ann:hunter2" + "@db.example.com/x",
    "slack": "xoxb-" + "1" * 12,
    "jwt": "eyJhbGciOiJI" + "A" * 4 + ".eyJzdWIiOiIxMjM0NTY." + "a" * 20,
    "key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "ours": "alt_" + "a" * 40,
    "bearer": "Authorization: Bearer " + "a" * 30,
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize(
    "path", ["resource.id", "identity.credential.id", "identity.scopes", "ext.com.example/x.note"]
)
def test_what_looks_like_a_secret_is_refused_in_a_fact_and_never_repeated(submit, secret, path):
    record = full()
    if path == "identity.scopes":
        record["identity"]["scopes"] = ["a", secret]
    elif path == "identity.credential.id":
        record["identity"]["credential"]["id"] = f'"}} {secret}'
    elif path == "resource.id":
        record["resource"]["id"] = f"see {secret}"
    else:
        record["ext"] = {"com.example/x": {"note": secret}}
    with pytest.raises(LedgerError) as refused:
        submit(record)
    assert (refused.value.code, refused.value.path) == (Code.SECRET_IN_FACT, path)
    assert secret not in refused.value.detail


def test_words_that_only_resemble_secrets_pass(submit):
    record = full()
    record["resource"]["name"] = (
        "task-management-system-for-everybody sk-short AKIA eyJ xoxb ghp_ Bearer of news"
        " https://example.com:8443/@ann postgres://ann@db/x mailto:ann@example.com http://a/b:c@d"
    )
    submit(record)


def test_required_facets_are_required_unless_explained(submit):
    record = full()
    del record["decision"]
    submit(record)
    with pytest.raises(LedgerError) as refused:
        submit(record, require_facets=True)
    assert (refused.value.code, refused.value.path) == (Code.FACET_MISSING, "decision")
    submit(record | {"absent": {"decision": "a rule, not a model"}}, require_facets=True)


class Sealer:
    """An agent which makes its own commitments and signs."""

    def __init__(self):
        self.key = generate()
        self.salt = bytes(range(16))

    def commit(self, value):
        return commitment(self.salt, json.dumps(value).encode()).hex()

    def disclose(self, member, value):
        return {"member": member, "salt": self.salt.hex(), "value": value}

    def seal(self, record, disclosures, origin=ORIGIN):
        signature = self.key.sign(record_signing_input(origin, canonical.dumps(record)))
        return {
            "record": record,
            "signature": {"key": "agent-7", "sig": format_base64(signature)},
            "disclosures": disclosures,
        }

    def find(self, key_id):
        return self.key.public if key_id == "agent-7" else None


@pytest.fixture
def sealer():
    return Sealer()


@pytest.fixture
def sealed(sealer):
    record = {
        "id": "s-1",
        "type": "action",
        "time": "2026-11-21T09:30:00Z",
        "request": {"user": sealer.commit("alice"), "text": sealer.commit("hello")},
        "tool": {"name": "t", "arguments": sealer.commit({"a": 1})},
    }
    return sealer.seal(
        record, [sealer.disclose("tool.arguments", {"a": 1}), sealer.disclose("request.user", "alice")]
    )


def test_a_sealed_record_is_kept_as_signed_with_what_was_disclosed(submit, sealer, sealed):
    prepared = submit(sealed, agent_key=sealer.find)
    assert prepared.record == canonical.dumps(sealed["record"])
    assert [c.member for c in prepared.contents] == ["tool.arguments"]
    assert [(p.value, p.source) for p in prepared.persons] == [(b'"alice"', "agent-7")]
    assert prepared.withheld == ("request.text",)
    assert prepared.signature == ("agent-7", sealed["signature"]["sig"])


def test_a_seal_for_another_log_is_worth_nothing_here(submit, sealer, sealed):  # threat 10
    other = sealer.seal(sealed["record"], [], origin="another.example/log")
    with pytest.raises(LedgerError) as refused:
        submit(other, agent_key=sealer.find)
    assert refused.value.code == Code.INVALID_SIGNATURE


def _without(sealed, *path):
    changed = json.loads(json.dumps(sealed))
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return changed


def _with(sealed, value, *path):
    changed = json.loads(json.dumps(sealed))
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


def test_a_seal_that_does_not_hold_is_refused(submit, sealer, sealed):
    cases = [
        (_with(sealed, "other", "record", "tool", "name"), Code.INVALID_SIGNATURE),
        (_with(sealed, "agent-8", "signature", "key"), Code.UNKNOWN_KEY),
        (_with(sealed, "!!", "signature", "sig"), Code.INVALID_SIGNATURE),
        (_with(sealed, {"a": 2}, "disclosures", 0, "value"), Code.COMMITMENT_MISMATCH),
        (_with(sealed, "00" * 16, "disclosures", 0, "salt"), Code.COMMITMENT_MISMATCH),
        (_with(sealed, "tool.name", "disclosures", 0, "member"), Code.UNKNOWN_MEMBER),
        (
            _with(sealed, sealed["disclosures"] + sealed["disclosures"][:1], "disclosures"),
            Code.UNKNOWN_MEMBER,
        ),
        (_without(sealed, "record", "id"), Code.MISSING_MEMBER),
        (_without(sealed, "record", "time"), Code.MISSING_MEMBER),
        (_with(sealed, "in clear", "record", "request", "text"), Code.INVALID_MEMBER),
        (_with(sealed, 1, "more"), Code.UNKNOWN_MEMBER),
    ]
    for submission, code in cases:
        with pytest.raises(LedgerError) as refused:
            submit(submission, agent_key=sealer.find)
        assert refused.value.code == code, submission


def test_a_second_submission_under_the_first_ones_salts_is_the_same_bytes(submit):
    first, second = submit(full()), submit(full())
    salts = {content.member: content.salt for content in first.contents}
    assert recommit(second, salts) == first.record
    other = full()
    other["tool"]["arguments"] = {"amount": 1}
    assert recommit(submit(other), salts) != first.record


def test_the_logs_own_records_are_canonical(submit):
    own = own_record("log.content_erased", {"log.erased": [[1, "tool.arguments"]]})
    assert canonical.parse_canonical(own.record)["type"] == "log.content_erased"
    assert own.submitter == "log"


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(name=texts, user=texts, arguments=json_values, ascii_only=st.booleans())
def test_whatever_is_accepted_is_canonical_and_opens_to_what_was_sent(
    name, user, arguments, ascii_only
):  # threat 29
    sent = {
        "type": "note",
        "time": "2026-11-21T09:30:00Z",
        "request": {"user": user},
        "tool": {"name": name, "arguments": arguments},
    }
    data = json.dumps(sent, ensure_ascii=ascii_only).encode()
    prepared = prepare(
        data, submitter="token:x", persons=Persons(lambda _: None), origin=ORIGIN, agent_key=lambda _: None
    )
    record = canonical.parse_canonical(prepared.record)
    assert rfc8785.dumps(record) == prepared.record
    assert record["tool"]["name"] == name
    if not (isinstance(arguments, dict) and set(arguments) == {"commitment"}):
        assert json.loads(prepared.contents[0].value) == arguments
    assert json.loads(prepared.persons[0].value) == user


HEAVY = {
    "what looks like the beginning of a JWT, again and again": '"' + "-eyJ" * 16_000 + '"',
    "the same, beyond what an entry holds": '"' + "-eyJ" * 500_000 + '"',
    "a million numbers": "[" + "1," * 1_000_000 + "1]",
    "a million numbers, the last one wrong": "[" + "1," * 1_000_000 + "1.5]",
    "deep, again and again": "[" + ("[" * 14 + "]" * 14 + ",") * 50_000 + "1]",
}


@pytest.mark.parametrize("case", HEAVY)
def test_no_ext_holds_the_ledger_up(submit, case):  # threat 28
    record = '{"type":"note","time":"2026-11-21T09:30:00Z","ext":{"com.example.x":' + HEAVY[case] + "}}"
    gc.collect()  # of what the tests before left behind
    began = time.process_time()
    with contextlib.suppress(LedgerError):
        submit(record.encode())
    assert time.process_time() - began < 1  # a few hundredths; held up, it is minutes


def test_an_ext_that_no_entry_holds_is_refused_before_it_is_read(submit):
    with pytest.raises(LedgerError) as refused:
        submit(f'{{{NOTE},"ext":{{"com.example.x":"{"x" * 200_000}"}}}}'.encode())
    assert (refused.value.code, refused.value.path) == (Code.ENTRY_TOO_LARGE, "ext")


def test_a_jwt_is_found_after_whatever_is_no_part_of_it(submit):
    jwt = ".".join(
        ["eyJ" + "hbGciOiJFUzI1NiJ9", "eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0", "c2lnbmF0dXJlc2lnbmF0dXJl"]
    )
    for before in ("", " ", "x ", "=", ":", "a.b/", '\\"'):
        with pytest.raises(LedgerError) as refused:
            submit(f'{{{NOTE},"ext":{{"com.example.x":"{before}{jwt}"}}}}'.encode())
        assert refused.value.code == Code.SECRET_IN_FACT


@pytest.mark.parametrize(
    "shape", ['"tool":{{"effect":"{0}"}}', '"absent":{{"{0}":"x"}}', '"{0}":1', '"tool":{{"{0}":1}}']
)
@pytest.mark.parametrize("text", ["x", "` - at `$.", "\\u0000", "\u00e9"])
def test_a_refusal_is_short_however_long_what_it_refuses(submit, shape, text):
    with pytest.raises(LedgerError) as refused:
        submit(f"{{{NOTE},{shape.format(text * 100_000)}}}".encode())
    assert len(refused.value.detail) < 500
    assert len(refused.value.path or "") < 500
