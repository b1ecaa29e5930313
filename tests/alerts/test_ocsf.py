"""The OCSF stream that alerts make, held against what OCSF 1.8.0 demands of API Activity (6003) with the profile `ai_operation`.

The demands are written down here from the schema's own sources (ocsf-schema at 1.8.0: dictionary.json, events/base_event.json,
events/application/*.json, profiles/ai_operation.json, objects/*.json), for the attributes that an alert may have and no others:
what is not listed is not of the class, and so no part of an alert.
"""

import json
from typing import Any, Final, NamedTuple

import pytest

from ledger.alerts.ocsf import event
from tests.alerts.receivers import until
from tests.alerts.test_targets import BODY


class Kind(NamedTuple):
    """An object: its attributes with their types, those that must be there, and those of which one must be there."""

    attributes: dict[str, str]
    required: frozenset[str] = frozenset()
    one_of: frozenset[str] = frozenset()


def kind(attributes: str, required: str = "", one_of: str = "") -> Kind:
    named = dict(each.split(":") for each in attributes.split())
    return Kind(named, frozenset(required.split()), frozenset(one_of.split()))


ENTITY: Final = "name uid"
KINDS: Final = {
    "api_activity": kind(
        "metadata:metadata category_uid:integer_t category_name:string_t class_uid:integer_t class_name:string_t activity_id:integer_t"
        " activity_name:string_t type_uid:long_t type_name:string_t time:timestamp_t severity_id:integer_t severity:string_t message:string_t"
        " status_id:integer_t status:string_t status_code:string_t status_detail:string_t actor:actor api:api src_endpoint:network_endpoint"
        " dst_endpoint:network_endpoint resources:resource_details[] ai_model:ai_model unmapped:object",
        "metadata category_uid class_uid activity_id type_uid time severity_id actor api src_endpoint",
    ),
    "metadata": kind(
        "version:string_t profiles:string_t[] product:product uid:string_t event_code:string_t log_name:string_t sequence:integer_t"
        " logged_time:timestamp_t original_time:string_t correlation_uid:string_t",
        "product version",
    ),
    "product": kind("name:string_t uid:string_t vendor_name:string_t version:string_t", one_of=ENTITY),
    "actor": kind(
        "app_name:string_t app_uid:string_t",
        one_of="process user invoked_by session app_name app_uid",
    ),
    "api": kind("operation:string_t service:service version:string_t", "operation"),
    "service": kind("name:string_t uid:string_t version:string_t", one_of=ENTITY),
    "network_endpoint": kind(
        "name:string_t uid:string_t hostname:string_t svc_name:string_t ip:ip_t",
        one_of="ip uid name hostname svc_name instance_uid interface_uid interface_name domain",
    ),
    "resource_details": kind("name:string_t uid:string_t type:string_t", one_of=ENTITY),
    "ai_model": kind(
        "ai_provider:string_t name:string_t uid:string_t version:string_t", "ai_provider name", ENTITY
    ),
}
# An enumeration, the attribute beside it that holds the caption, and whether 99 takes the source's own word there.
CAPTIONS: Final = {
    ("category_uid", "category_name"): {6: "Application Activity"},
    ("class_uid", "class_name"): {6003: "API Activity"},
    ("activity_id", "activity_name"): {0: "Unknown", 1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: None},
    ("severity_id", "severity"): {
        0: "Unknown", 1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical", 6: "Fatal", 99: None,
    },
    ("status_id", "status"): {0: "Unknown", 1: "Success", 2: "Failure", 99: None},
}  # fmt: skip
PROFILES: Final = {
    "ai_operation",
    "cloud",
    "container",
    "datetime",
    "host",
    "osint",
    "security_control",
    "trace",
}
FIRST_MS: Final = 1_577_836_800_000  # 2020: a time in seconds or microseconds is none in milliseconds
LAST_MS: Final = 4_102_444_800_000


def problems(made: Any, name: str = "api_activity", where: str = "") -> list[str]:
    """What of the schema does not hold, each with its place."""
    if not isinstance(made, dict):
        return [f"{where}: no object"]
    told = KINDS[name]
    found = [f"{where}.{each}: not of {name}" for each in made.keys() - told.attributes.keys()]
    found += [f"{where}.{each}: required" for each in told.required - made.keys()]
    if told.one_of and not told.one_of & made.keys():
        found.append(f"{where}: none of {sorted(told.one_of)}")
    for each in made.keys() & told.attributes.keys():
        found += _of_type(made[each], told.attributes[each], f"{where}.{each}")
    return found + (_captions(made) if name == "api_activity" else [])


def _of_type(value: Any, name: str, where: str) -> list[str]:
    if name.endswith("[]"):
        if not isinstance(value, list) or not value:
            return [f"{where}: no list of something"]
        return [one for at, each in enumerate(value) for one in _of_type(each, name[:-2], f"{where}[{at}]")]
    if name in KINDS:
        return problems(value, name, where)
    holds = {
        "string_t": isinstance(value, str) and value != "",
        "integer_t": type(value) is int and -(2**31) <= value < 2**31,
        "long_t": type(value) is int,
        "timestamp_t": type(value) is int and FIRST_MS < value < LAST_MS,
        "object": isinstance(value, dict),
    }[name]
    return [] if holds else [f"{where}: {value!r:.60} is no {name}"]


def _captions(made: dict[str, Any]) -> list[str]:
    found = []
    for (number, caption), known in CAPTIONS.items():
        if number not in made:
            continue
        if made[number] not in known:
            found.append(f".{number}: {made[number]} is not of the enumeration")
        elif known[made[number]] is None and not made.get(caption):
            found.append(f".{caption}: the source's own word, where {number} is 99")
        elif (
            known[made[number]] is not None and made.get(caption, known[made[number]]) != known[made[number]]
        ):
            found.append(f".{caption}: {made[caption]!r} is not the caption of {made[number]}")
    if made.get("type_uid") != made.get("class_uid", 0) * 100 + made.get("activity_id", 0):
        found.append(".type_uid: not class_uid * 100 + activity_id")
    if made.get("metadata", {}).get("version") != "1.8.0":
        found.append(".metadata.version: these are the demands of 1.8.0")
    if unknown := set(made.get("metadata", {}).get("profiles", [])) - PROFILES:
        found.append(f".metadata.profiles: 1.8.0 has no {sorted(unknown)}")
    if "ai_model" in made and "ai_operation" not in made["metadata"].get("profiles", []):
        found.append(".ai_model: is of the profile ai_operation, which is not claimed")
    return found


RULES = """
[[rule]]
name = "new-tool"
kind = "first-seen"
member = "tool.name"
severity = "low"
[[rule]]
name = "again"
kind = "denied-then-done"
severity = "critical"
[[rule]]
name = "words"
kind = "match"
where = { effect = ["pay", "delete", "read"] }
include = ["tool.arguments"]
severity = "informational"
[[rule]]
name = "lost"
kind = "no-outcome"
after_s = 1
[[target]]
name = "siem"
kind = "file"
path = "%s"
format = "ocsf"
"""
MEMBERS = [
    {"tool": {"name": "read_file", "effect": "read", "server": "files.example", "arguments": {"path": "/etc/hosts"}}},
    {"tool": {"name": "pay", "effect": "pay"}, "policy": {"effect": "deny"}, "resource": {"type": "account", "id": "vendor-7"}, "identity": {"agent_id": "a"}},
    {"tool": {"name": "pay_anyhow", "effect": "pay"}, "resource": {"type": "account", "id": "vendor-7", "destination": "bank.example"},
     "identity": {"agent_id": "a"}, "outcome": {"status": "success"}},
    {"tool": {"name": "rm", "effect": "delete"}, "resource": {"type": "file"}, "outcome": {"status": "unknown"}},
    {"tool": {"name": "slow", "effect": "read"}, "outcome": {"status": "timeout"}, "trace": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}},
    {"type": "action.intent", "action_id": "lost", "tool": {"name": "vanish"},
     "decision": {"provider": "openai", "request_model": "gpt-5"}, "identity": {"agent_name": "nameless"}},
    {"tool": {"effect": "delete"}},
]  # fmt: skip


def test_every_event_of_a_real_stream_is_api_activity_as_ocsf_has_it(watched):
    stream = watched.folder / "ocsf.jsonl"
    watched.start(RULES % stream)
    watched.post(*MEMBERS)
    until(lambda: "lost" in [alert["rule"] for alert in watched.settled()])
    until(lambda: stream.exists() and len(stream.read_text().splitlines()) == len(watched.delivered()))
    events = [json.loads(line) for line in stream.read_text().splitlines()]
    assert {made["metadata"]["event_code"] for made in events} == {"new-tool", "again", "words", "lost"}
    assert [problem for made in events for problem in problems(made)] == []
    assert any("ai_model" in made for made in events)
    for made in (
        events
    ):  # the profile is of 1.9: its name is used where 1.8.0 leaves room for it, and claimed nowhere
        assert "record_integrity" not in made["metadata"]["profiles"]
        assert len(made["unmapped"]["record_integrity"]["leaf_hash"]) == 64


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in event(BODY).items() if name not in names}


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (without("api"), ".api: required"),
        (event(BODY) | {"api": {}}, ".api.operation: required"),
        (event(BODY) | {"ai_agent": {"name": "x"}}, ".ai_agent: not of api_activity"),
        (event(BODY) | {"time": 1_795_253_400}, "timestamp_t"),
        (event(BODY) | {"status_id": 1, "status": "ok"}, "not the caption"),
        (event(BODY) | {"severity_id": 7}, "not of the enumeration"),
        (event(BODY) | {"type_uid": 600301}, ".type_uid"),
        (event(BODY) | {"resources": [{"type": "file"}]}, ".resources[0]: none of"),
        (event(BODY) | {"metadata": event(BODY)["metadata"] | {"profiles": ["record_integrity"]}}, "1.8.0 has no"),
    ],
    ids=["class", "object", "unknown", "seconds", "caption", "enumeration", "type", "constraint", "profile"],
)  # fmt: skip
def test_the_demands_are_not_met_by_just_anything(made, says):
    assert any(says in problem for problem in problems(made))
