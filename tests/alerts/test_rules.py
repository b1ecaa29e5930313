"""What each kind of rule finds and what it does not, on a real log; and that a restart changes nothing."""

import json
import time

import pytest

from ledger.alerts.alert import ID_PREFIX
from ledger.alerts.standing import Answer
from ledger.core.entry import parse_entry

NEW_TOOL = '[[rule]]\nname = "new-tool"\nkind = "first-seen"\nmember = "tool.name"\n'
DENIED = '[[rule]]\nname = "again"\nkind = "denied-then-done"\n'
NO_OUTCOME = '[[rule]]\nname = "lost"\nkind = "no-outcome"\nafter_s = 1\n'


def tool(name, **members):
    return {"tool": {"name": name, **members}}


def staged(stage, action_id, **members):
    return {"type": f"action.{stage}", "action_id": action_id, **members}


# -- first seen


def test_a_value_that_was_never_there_is_an_alert_once(watched):
    watched.start(NEW_TOOL)
    first, _, second, _ = watched.post(tool("a"), tool("a"), tool("b"), {})
    assert watched.places() == [first, second]


def test_what_the_log_held_before_the_rule_is_learnt_and_not_told(watched):
    watched.post(*[tool(f"old-{number}") for number in range(600)])
    watched.start(NEW_TOOL)
    _, new = watched.post(tool("old-17"), tool("new"))
    assert watched.places() == [new]


def test_a_value_may_be_new_for_somebody(watched):
    watched.start(NEW_TOOL + 'per = "identity.agent_id"\n')
    one, two = {"identity": {"agent_id": "one"}}, {"identity": {"agent_id": "two"}}
    a, _, b, _ = watched.post(tool("t") | one, tool("t") | one, tool("t") | two, tool("t"))
    assert watched.places() == [a, b]


def test_a_person_is_known_again_by_the_commitment(watched):
    watched.start('[[rule]]\nname = "who"\nkind = "first-seen"\nmember = "identity.principal"\n')
    ann, bob = {"identity": {"principal": "ann@example.com"}}, {"identity": {"principal": "bob@example.com"}}
    first, _, second = watched.post(ann, ann, bob)
    assert watched.places() == [first, second]
    assert "ann@" not in watched.lines.read_text()


def test_a_submitter_may_be_new(watched):
    watched.start('[[rule]]\nname = "who"\nkind = "first-seen"\nmember = "submitter"\n')
    (first,) = watched.post({}, submitter="token:one")
    watched.post({}, submitter="token:one")
    (second,) = watched.post({}, submitter="token:two")
    assert watched.places() == [first, second]


def test_what_was_seen_is_exact_after_restarts(watched):
    watched.start(NEW_TOOL)
    expected = []
    for life in range(4):
        (new,) = watched.post(tool(f"t-{life}"))
        watched.post(*[tool(f"t-{known}") for known in range(life + 1)])
        expected.append(new)
        assert watched.places() == expected
        watched.restart()
    assert watched.places() == expected


def test_what_was_recorded_while_no_rule_looked_is_seen_after_the_start(watched):
    watched.start(NEW_TOOL)
    watched.post(tool("a"))
    watched.settled()
    watched.stop()
    (missed,) = watched.post(tool("b"))
    watched.start(NEW_TOOL)
    assert watched.places()[-1] == missed


def test_a_rule_that_looks_for_something_else_begins_anew(watched):
    watched.start(NEW_TOOL)
    watched.post(tool("a"))
    watched.settled()
    watched.stop()
    watched.start(NEW_TOOL.replace("tool.name", "tool.server"))
    watched.post(tool("b"))
    (new,) = watched.post(tool("b", server="s"))
    assert watched.places()[-1] == new


# -- denied, then done


DENY = {"policy": {"effect": "deny"}}
DONE = {"outcome": {"status": "success"}}
AGENT = {"identity": {"agent_id": "payer"}}


def test_what_was_denied_and_is_then_done_by_another_tool_at_the_same_resource_is_an_alert(watched):
    watched.start(DENIED)
    account = {"resource": {"type": "account", "id": "vendor-7"}}
    denied, _, done = watched.post(
        AGENT | tool("send_money") | account | DENY,
        AGENT | tool("send_money") | {"resource": {"id": "vendor-8"}} | DONE,
        AGENT | tool("http_post") | account | DONE,
    )
    (alert,) = watched.settled()
    assert (alert["seq"], alert["because"]) == (done, {"denied": denied, "same": "resource"})


def test_a_text_in_the_arguments_makes_it_the_same_and_is_not_told(watched):
    watched.start(DENIED)
    iban = "US122000000121212121212"
    denied, _, done = watched.post(
        AGENT | tool("send_money", arguments={"recipient": iban, "amount": 5}) | DENY,
        AGENT | tool("send_money", arguments={"recipient": "GB29NWBK60161331926819", "amount": 5}) | DONE,
        AGENT | tool("schedule", arguments={"transfers": [{"to": iban}]}) | DONE,
    )
    (alert,) = watched.settled()
    assert (alert["seq"], alert["because"]) == (done, {"denied": denied, "same": "arguments"})
    assert iban not in watched.lines.read_text()
    assert iban.encode() not in (watched.folder / "data" / "alerts.sqlite").read_bytes()


def test_stages_are_joined_a_denial_names_its_intent_and_so_does_an_outcome(watched):
    watched.start(DENIED)
    to = {"resource": {"destination": "evil.example"}}
    watched.post(staged("intent", "a-1", **AGENT, **tool("post"), **to))
    (denied,) = watched.post(staged("decision", "a-1", **DENY))
    watched.post(staged("outcome", "a-1", outcome={"status": "denied"}))
    watched.post(staged("intent", "a-2", **AGENT, **tool("shell"), **to))
    assert watched.places() == []
    (done,) = watched.post(staged("outcome", "a-2", **DONE))
    (alert,) = watched.settled()
    assert alert["seq"] == done
    assert alert["because"]["denied"] in {denied, denied + 1}


@pytest.mark.parametrize(
    "second",
    [
        {"identity": {"agent_id": "other"}} | tool("x") | {"resource": {"id": "r"}} | DONE,
        AGENT | tool("x") | {"resource": {"id": "another"}} | DONE,
        AGENT | tool("x") | {"resource": {"id": "r"}, "outcome": {"status": "failure"}},
        AGENT | tool("x") | {"resource": {"id": "r"}} | DENY,
    ],
    ids=["another-agent", "another-resource", "it-failed", "denied-too"],
)
def test_what_is_not_the_same_done_is_no_alert(watched, second):
    watched.start(DENIED)
    watched.post(AGENT | tool("send_money") | {"resource": {"id": "r"}} | DENY, second)
    assert watched.places() == []


def test_another_submitter_with_the_same_words_is_somebody_else(watched):
    watched.start(DENIED)
    account = {"resource": {"id": "r"}}
    watched.post(AGENT | account | DENY, submitter="token:one")
    watched.post(AGENT | account | DONE, submitter="token:two")
    assert watched.places() == []


def test_the_same_action_that_was_denied_and_went_on_is_not_another_way(watched):
    watched.start(DENIED)
    watched.post(
        staged(
            "intent",
            "a",
            **AGENT,
            **tool("t"),
            resource={"id": "r"},
            policy={"effect": "deny", "mode": "monitor"},
        )
    )
    watched.post(staged("outcome", "a", **DONE))
    assert watched.places() == []


def test_a_denial_is_remembered_across_a_restart_and_told_once(watched):
    watched.start(DENIED)
    account = {"resource": {"id": "r"}}
    watched.post(AGENT | account | DENY)
    watched.settled()
    watched.restart()
    done, _ = watched.post(AGENT | account | DONE, AGENT | account | DONE)
    assert watched.places() == [done]


# -- no outcome


def test_an_intent_whose_outcome_does_not_come_is_an_alert_after_its_time(watched):
    watched.start(NO_OUTCOME)
    lost, *_ = watched.post(
        staged("intent", "lost", **tool("a")),
        staged("intent", "found", **tool("b")),
        staged("outcome", "found", **DONE),
        staged("intent", "denied", **tool("c")),
        staged("decision", "denied", **DENY),
    )
    assert watched.places() == []
    time.sleep(1.2)
    deadline = time.monotonic() + 30
    while not watched.delivered() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)
    (alert,) = watched.settled()
    assert (alert["seq"], alert["because"]) == (lost, {"no_outcome_after_s": 1})
    assert alert["facts"]["tool.name"] == "a"


def test_another_submitters_outcome_does_not_end_an_intent(watched):
    watched.start(NO_OUTCOME)
    (lost,) = watched.post(staged("intent", "x"), submitter="token:one")
    watched.post(staged("outcome", "x", **DONE), submitter="token:two")
    time.sleep(2.5)
    assert watched.places() == [lost]


def test_an_outcome_that_came_while_nobody_looked_ends_the_wait(watched):
    watched.start(NO_OUTCOME)
    watched.post(staged("intent", "x"))
    watched.settled()
    watched.stop()
    watched.post(staged("outcome", "x", **DONE))
    time.sleep(1.2)
    watched.start(NO_OUTCOME)
    time.sleep(1.5)
    assert watched.places() == []


# -- match, and what all rules share


def test_a_rule_sees_what_its_filter_lets_through(watched):
    watched.start(
        '[[rule]]\nname = "pays"\nkind = "match"\nwhere = {effect = ["pay", "send"], policy = "allow"}\n'
    )
    _, hit, _ = watched.post(
        tool("a", effect="pay"), tool("b", effect="send") | {"policy": {"effect": "allow"}}, {}
    )
    assert watched.places() == [hit]


def test_an_alert_names_rule_place_hash_and_a_few_facts_and_no_content(watched):
    watched.start(NEW_TOOL + 'severity = "high"\n')
    (seq,) = watched.post(
        tool("send_money", effect="pay", arguments={"to": "canary-1"})
        | {"request": {"user": "canary@2", "text": "canary-3"}}
    )
    (alert,) = watched.settled()
    stored = watched.log.stored(seq)
    assert alert["id"].startswith(ID_PREFIX)
    assert (alert["rule"], alert["kind"], alert["severity"]) == ("new-tool", "first-seen", "high")
    assert (alert["seq"], alert["leaf_hash"], alert["record_id"]) == (seq, stored.hash.hex(), stored.id)
    assert alert["facts"]["tool.effect"] == "pay"
    assert "contents" not in alert
    assert "canary" not in json.dumps(alert)


def test_a_content_goes_along_only_where_the_rule_says_so_and_not_after_it_was_erased(watched):
    watched.start(NEW_TOOL + 'include = ["tool.arguments"]\n')
    watched.post(tool("a", arguments={"to": "bob"}) | {"request": {"text": "please"}})
    (alert,) = watched.settled()
    assert alert["contents"] == {"tool.arguments": {"to": "bob"}}
    watched.stop()
    (seq,) = watched.post(tool("b", arguments={"to": "eve"}))
    watched.log.erase([(seq, "tool.arguments")], by="test", ground="test")
    watched.start(NEW_TOOL + 'include = ["tool.arguments"]\n')
    assert watched.settled()[-1]["contents"] == {}


def test_each_alert_stands_in_the_log_once_and_raises_none(watched):
    watched.start(NEW_TOOL + '[[rule]]\nname = "types"\nkind = "first-seen"\nmember = "type"\n')
    (seq,) = watched.post(tool("a"))
    alerts = {alert["rule"]: alert for alert in watched.settled()}
    time.sleep(1)  # an alert about an alert would come now
    assert len(watched.settled()) == 2
    for name, alert in alerts.items():
        entry = parse_entry(watched.log.entry(alert["recorded_in"]))
        assert entry.submitter == "log"
        assert entry.members["type"] == "log.alert_raised"
        ext = entry.members["ext"]
        assert (ext["log.rule"], ext["log.alert"], ext["log.seq"]) == (name, alert["id"], seq)
        assert ext["log.leaf_hash"] == watched.log.stored(seq).hash.hex()
    assert watched.log.head().size == seq + 3


def test_an_alert_that_was_recorded_before_a_crash_is_not_recorded_twice(watched):
    watched.start(NEW_TOOL)
    watched.post(tool("a"))
    (alert,) = watched.settled()
    size = watched.log.head().size
    watched.alerts._state._run(
        "UPDATE alert SET recorded = 0, recorded_in = NULL"
    )  # what a crash in between leaves
    time.sleep(0.6)
    watched.settled()
    assert watched.log.head().size == size
    shown = watched.alerts.status()["alerts"]
    assert [each["recorded_in"] for each in shown] == [alert["recorded_in"]]


def test_a_rule_that_is_not_recorded_leaves_no_entry(watched):
    watched.start(NEW_TOOL + "recorded = false\n")
    (seq,) = watched.post(tool("a"))
    (alert,) = watched.settled()
    assert alert["recorded_in"] is None
    assert watched.log.head().size == seq + 1


def test_what_is_too_much_in_a_minute_is_one_alert_that_says_how_many(watched):
    watched.start(NEW_TOOL + "per_minute = 3\n")
    watched.post(*[tool(f"t-{number}") for number in range(10)])
    assert len(watched.settled()) == 3
    minute = int(time.time() // 60)
    watched.alerts._state._run("UPDATE rule SET minute = ?", minute - 1)  # the minute is over
    deadline = time.monotonic() + 20
    while len(watched.delivered()) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    held = watched.settled()[-1]
    assert held["because"] == {"held_back": 7}


def test_rules_that_remember_another_history_begin_anew_and_say_so(watched, caplog):
    watched.start(NEW_TOOL)
    watched.post(tool("a"))
    watched.settled()
    watched.alerts._state._run("UPDATE rule SET hash = x'00'")
    watched.stop()
    watched.start(NEW_TOOL)
    (new,) = watched.post(tool("b"))
    assert watched.places()[-1] == new
    assert "another history" in caplog.text


# -- standing queries


def test_a_standing_query_tells_of_each_row_once_and_not_of_what_was_there(watched):
    rows = [[1, "old"]]
    asked = []

    def ask(rule):
        asked.append((rule.query, dict(rule.parameters), rule.contents))
        return Answer(["seq", "tool_name"], [*rows], truncated=False, size=watched.log.head().size)

    watched.post({}, {}, {})
    rule = '[[rule]]\nname = "q"\nkind = "query"\nquery = "some-question"\nevery_minutes = 0.05\nparameters = {minutes = 5}\ncolumns = ["tool_name"]\n'
    watched.start(rule, ask)
    deadline = time.monotonic() + 20
    while not asked and time.monotonic() < deadline:
        time.sleep(0.05)
    rows.append([2, "new"])
    watched.post({})
    while not watched.delivered() and time.monotonic() < deadline:
        time.sleep(0.05)
    (alert,) = watched.settled()
    assert (alert["seq"], alert["because"]) == (
        2,
        {"query": "some-question", "row": {"seq": 2, "tool_name": "new"}},
    )
    assert asked[0] == ("some-question", {"minutes": 5}, False)
    number = len(asked)
    time.sleep(4)  # nothing was recorded but the alert itself: it is not asked again
    assert len(asked) <= number + 1
    watched.restart()
    watched.post({})
    time.sleep(4.5)
    assert len(watched.settled()) == 1
