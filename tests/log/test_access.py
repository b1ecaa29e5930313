"""Who may do what, as the log's own entries say: granted and withdrawn at an entry, by nobody who may not. Threats 17, 18 and 52."""

import contextlib
import json
import threading
import time
from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.entry import format_time, parse_entry, parse_time
from ledger.core.errors import Code, LedgerError
from ledger.log.access import MAX_ID_CHARACTERS, Access, is_spiffe_id
from ledger.log.log import Log
from ledger.records.prepare import own_record
from tests.log.conftest import prepared, record, submit
from tests.log.test_standing import together


def ext(name="gw", sha256="0" * 64, **more):
    return {
        "log.name": name,
        "log.roles": ["writer"],
        "log.credential": {"type": "bearer", "sha256": sha256},
        "log.by": "token:cli",
        **{f"log.{key}": value for key, value in more.items()},
    }


def grant(log, name="gw", sha256="0" * 64, **more):
    return log.append_own("log.access_granted", ext(name, sha256, **more))


def revoke(log, name="gw"):
    return log.append_own("log.access_revoked", {"log.name": name, "log.by": "token:cli"})


def refused(call, *arguments, **more):
    with pytest.raises(LedgerError) as caught:
        call(*arguments, **more)
    return caught.value.code


def names(log):
    return [each.grant.name for each in log.standing.access.admitted.values()]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_grant_is_in_force_from_its_entry_until_its_revocation_also_after_a_restart(data: Path, restarted):
    log = Log.open(data)
    given = grant(log, expires_at="2999-01-01T00:00:00.000000Z", may={"agents": ["a-*"]})
    if restarted:
        log.close()
        log = Log.open(data)
    [(seq, admitted)] = log.standing.access.admitted.items()
    assert (seq, admitted.grant.name, admitted.grant.may.agents) == (given.seq, "gw", ("a-*",))
    assert admitted.until == "2999-01-01T00:00:00.000000Z"
    revoke(log)
    if restarted:
        log.close()
        log = Log.open(data)
    assert names(log) == []
    log.close()
    assert verify_folder(data).findings == ()


def test_what_the_log_says_about_access_changes_nothing_about_agents_keys(log: Log):
    grant(log, "agent-7")
    assert log.agent_key("agent-7") is None
    public = "Kay64UG8yvCyLhqU000LxzYeUm0L/hLIl5S8kyKWbdc="
    log.append_own("log.access_granted", {"log.key_id": "agent-7", "log.public_key": public})
    log.append_own("log.access_revoked", {"log.key_id": "agent-7"})
    assert names(log) == ["agent-7"]


def test_through_whose_hands_a_credential_came_is_known_until_another_one_rotates_it(data: Path):
    log = Log.open(data)
    grant(log, "alice", "1" * 64)
    grant(log, "bob", "2" * 64, by="token:alice")
    grant(log, "carol", "3" * 64, by="token:bob")
    grant(log, "dave", "4" * 64)
    later = "2999-01-01T00:00:00.000000Z"
    grant(log, "bob", "5" * 64, by="token:bob", overlap_until=later)
    grant(log, "carol", "6" * 64, by="token:dave", overlap_until=later)
    log.close()
    log = Log.open(data)
    hands = [(each.grant.name, each.through) for each in log.standing.access.admitted.values()]
    assert hands == [
        ("alice", {"token:cli"}),
        ("bob", {"token:cli", "token:alice"}),
        ("carol", {"token:cli", "token:alice", "token:bob"}),
        ("dave", {"token:cli"}),
        ("bob", {"token:cli", "token:alice", "token:bob"}),
        ("carol", {"token:cli", "token:dave"}),
    ]
    log.close()


PEOPLE = {
    "type": "jwt",
    "issuer": "https://login.example",
    "audience": "console",
    "claims": {"groups": "admins"},
}


@pytest.mark.parametrize(
    ("asks", "confirms", "apart"),
    [
        ({}, {"audience": "api"}, False),  # one person, a token for each audience
        (
            {"claims": {"sub": "ann"}},
            {"audience": "api", "claims": {"sub": "bob"}},
            False,
        ),  # called so for each
        ({"claims": {"sub": "ann"}}, {"claims": {"sub": "bob"}}, True),
        ({}, {"claims": {"groups": "second"}}, True),  # who fits both is admitted by neither
        ({}, {"audience": "api", "issuer": "https://other.example"}, True),
        ({}, None, True),
    ],
)
def test_one_person_of_an_issuer_is_not_two_by_two_grants(asks, confirms, apart):
    at, token = "2026-11-22T00:00:00.000000Z", {"type": "bearer", "sha256": "1" * 64}
    known = Access().granted(ext("one", credential={**PEOPLE, **asks}), at, 1)
    second = token if confirms is None else {**PEOPLE, **confirms}
    access = known.granted(ext("two", credential=second), at, 2)
    by = "token:two" if confirms is None else "jwt:two"
    said = {"granted_by": 2, "asked_by": "jwt:one", "asked_in": 3}
    if apart:
        access.refuse_as_second(by, **said)
    else:
        assert refused(access.refuse_as_second, by, **said) == Code.FORBIDDEN
    gone = access.revoked({"log.name": "one"}, at)  # then nobody knows who it was
    if confirms is None:
        gone.refuse_as_second(by, **said)
    else:
        assert refused(gone.refuse_as_second, by, **said) == Code.FORBIDDEN


def test_another_entry_leaves_what_is_looked_up_as_it_is(log: Log):
    grant(log)
    before = log.standing.access
    log.append_own(
        "log.policy_set", {"log.policy": "p", "log.removes": "contents", "log.after_days": 1, "log.by": "x"}
    )
    assert log.standing.access is before


def test_a_name_is_held_once_at_a_time_and_so_is_a_credential(log: Log):
    grant(log, "gw", "a" * 64)
    assert refused(grant, log, "gw", "b" * 64) is Code.TOKEN_EXISTS
    assert refused(grant, log, "other", "a" * 64) is Code.TOKEN_EXISTS
    revoke(log)
    grant(log, "gw", "b" * 64)
    assert refused(revoke, log, "other") is Code.NOT_FOUND


def test_two_grants_of_one_name_in_one_commit_are_one(log: Log):
    def granting(sha256):
        return own_record("log.access_granted", ext("gw", sha256))

    [first], [second] = together(log, [granting("a" * 64)], [granting("b" * 64)])
    assert not isinstance(first, LedgerError)
    assert second.code is Code.TOKEN_EXISTS


def test_the_name_of_this_machines_token_cannot_be_granted(log: Log):
    assert refused(grant, log, "cli") is Code.RESERVED_NAME


@pytest.mark.parametrize(
    "damage",
    [
        {"log.name": "A"},
        {"log.name": "a\n"},
        {"log.name": ""},
        {"log.roles": []},
        {"log.roles": "writer"},
        {"log.credential": {"type": "bearer", "sha256": "0" * 63}},
        {"log.credential": {"type": "bearer", "sha256": "0" * 64, "more": 1}},
        {"log.credential": {"type": "password", "text": "x"}},
        {"log.credential": {"type": "jwt", "issuer": "https://i", "audience": "a", "claims": {}}},
        {"log.credential": {"type": "spiffe", "id": "https://example.org/x"}},
        {"log.expires_at": "tomorrow"},
        {"log.expires_at": "2026-13-01T00:00:00.000000Z"},
        {"log.expires_at": "2026-12-01T00:00:00Z"},
        {"log.quota": {"records_per_s": 0}},
        {"log.quota": {"records_per_s": 10**13}},
        {"log.may": {"agents": [""]}},
        {"log.may": {"planets": ["x"]}},
        {"log.outside": "believe"},
        {"log.a_restriction_of_a_later_release": True},
    ],
)
def test_a_grant_of_another_form_is_refused_and_one_that_is_stored_admits_nobody(log: Log, damage):
    size = log.head().size
    assert refused(log.append_own, "log.access_granted", ext() | damage) is Code.INVALID_PARAMETER
    assert log.head().size == size
    with contextlib.suppress(LedgerError):
        Access().granted(ext() | damage, "2026-11-21T09:30:00.000000Z", 1)
        pytest.fail("it was taken")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("spiffe://example.org/ns/prod/sa/agent", True),
        ("spiffe://example.org/a", True),
        ("spiffe://example.org", False),
        ("spiffe://example.org/", False),
        ("spiffe://example.org//a", False),
        ("spiffe://example.org/a/", False),
        ("spiffe://example.org/../a", False),
        ("spiffe://example.org/./a", False),
        ("spiffe://EXAMPLE.org/a", False),
        ("SPIFFE://example.org/a", False),
        ("spiffe://example.org:1/a", False),
        ("spiffe://u@example.org/a", False),
        ("spiffe://example.org/a?b", False),
        ("spiffe://example.org/a%20", False),
        ("spiffe://example.org/a\n", False),
        ("spiffe://example.org/é", False),
        ("spiffe://example.org/" + "a" * MAX_ID_CHARACTERS, False),
    ],
)
def test_a_spiffe_id_is_what_its_specification_says(text, good):
    assert is_spiffe_id(text) is good


# -- until when --------------------------------------------------------------------------------------------------------


def in_us(microseconds):
    return format_time(time.time_ns() // 1_000 + microseconds)


def test_a_rotation_keeps_the_one_before_until_the_overlap_ends(log: Log):
    old = grant(log, "gw", "a" * 64)
    until = in_us(3_600_000_000)
    new = grant(log, "gw", "b" * 64, overlap_until=until)
    access = log.standing.access
    assert [(seq, each.until) for seq, each in access.admitted.items()] == [(old.seq, until), (new.seq, None)]
    just_before = format_time(parse_time(until) - 1)
    assert access.admits(old.seq, just_before)
    assert not access.admits(old.seq, until)
    assert access.admits(new.seq, until)
    revoke(log)
    assert names(log) == []


def test_a_rotation_never_makes_the_one_before_live_longer(log: Log):
    soon, late = in_us(1_000_000_000), in_us(9_000_000_000)
    old = grant(log, "gw", "a" * 64, expires_at=soon)
    grant(log, "gw", "b" * 64, overlap_until=late)
    assert log.standing.access.admitted[old.seq].until == soon
    grant(log, "gw", "c" * 64, overlap_until=in_us(2_000_000_000))
    assert log.standing.access.admitted[old.seq].until == soon


def test_only_what_is_in_force_can_be_rotated(log: Log):
    assert refused(grant, log, "gw", "b" * 64, overlap_until=in_us(1_000_000)) is Code.NOT_FOUND
    grant(log, "gw", "a" * 64)
    revoke(log)
    assert refused(grant, log, "gw", "b" * 64, overlap_until=in_us(1_000_000)) is Code.NOT_FOUND


def test_what_has_expired_is_forgotten_and_its_name_is_free(log: Log):
    grant(log, "gw", "a" * 64, expires_at=in_us(-1))
    grant(log, "gw", "a" * 64)
    assert len(log.standing.access.admitted) == 1


# -- where a record gets its place -------------------------------------------------------------------------------------


def checked(log, granted_by):
    """What the server asks of the plan for each submission of a credential."""

    def check(plan):
        if not plan.standing.access.admits(granted_by, plan.recorded_at):
            raise LedgerError(Code.UNAUTHENTICATED, "withdrawn")

    return check


def test_a_record_behind_the_revocation_of_its_credential_is_refused_also_in_the_same_commit(data: Path):
    log = Log.open(data)
    given = grant(log)
    append, held, go = log._store.append, threading.Event(), threading.Event()

    def wait(*arguments):
        log._store.append = append
        held.set()
        go.wait(30)
        append(*arguments)

    log._store.append = wait
    log.submit([prepared(log, record(1))], atomic=False, done=lambda _: None)
    held.wait(30)
    outcomes, settled = [], threading.Semaphore(0)

    def done(results):
        outcomes.append(results)
        settled.release()

    revocation = own_record("log.access_revoked", {"log.name": "gw", "log.by": "x"})
    log.submit([revocation], atomic=True, done=done)
    log.submit([prepared(log, record(2))], atomic=False, done=done, check=checked(log, given.seq))
    go.set()
    for _ in range(2):
        assert settled.acquire(timeout=30)
    codes = [result[0].code for result in outcomes if isinstance(result[0], LedgerError)]
    assert codes == [Code.UNAUTHENTICATED]
    assert log.find("rec-00002") is None
    log.close()
    assert verify_folder(data).findings == ()


# -- claims ------------------------------------------------------------------------------------------------------------


def test_claims_outside_are_said_by_the_log_in_the_same_commit_and_once(data: Path):
    log = Log.open(data)
    item = prepared(log, record(1, identity={"agent_id": "ceo"}))._replace(outside=("identity.agent_id",))
    for _ in range(2):
        [result] = submit(log, [item])
        assert result.seq == 1
    told = parse_entry(log.entry(2)).members
    assert told["type"] == "log.claim_outside"
    assert told["ext"] == {"log.outside": [[1, "identity.agent_id"]]}
    assert (log.head().size, parse_entry(log.entry(1)).members.get("ext")) == (3, None)
    log.close()
    assert verify_folder(data).findings == ()


def test_nothing_is_said_of_a_submission_that_was_taken_back(log: Log):
    outside = prepared(log, record(1))._replace(outside=("source.id",))
    conflicting = prepared(log, record(2))
    submit(log, [conflicting])
    other = prepared(log, record(2, tool={"name": "other"}))
    results = submit(log, [outside, other], atomic=True)
    assert [result.code for result in results] == [Code.NOT_WRITTEN, Code.ID_CONFLICT]
    submit(log, [prepared(log, record(3))])
    types = [parse_entry(log.entry(seq)).members["type"] for seq in range(log.head().size)]
    assert "log.claim_outside" not in types


def test_a_grant_is_one_entry_that_anybody_can_read(log: Log):
    given = grant(log, "gw", "a" * 64)
    entry = json.loads(log.entry(given.seq))
    assert entry["submitter"] == "log"
    assert entry["record"]["ext"] == ext("gw", "a" * 64)
