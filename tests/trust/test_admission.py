"""Threat 52: who has no credential, or a withdrawn one, gets nowhere; what is stored does not let anyone in. Threats 17, 18 and 35."""

import json
import time

import pytest

from ledger.core.entry import format_time, parse_time
from ledger.core.errors import Code, LedgerError
from ledger.log.access import Bearer, Grant, Quota
from ledger.log.log import Log
from ledger.trust import admission as module
from ledger.trust import granting, local
from ledger.trust.admission import Admission
from ledger.trust.earlier import EARLIER, TAKEN_OVER, take_over
from ledger.trust.local import LocalToken, digest, make_local_token, new_secret
from ledger.trust.roles import PERMISSIONS, Operation, Role

HOUR_S = 3_600


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    Log.create(folder, "ledger.example/trust")
    return folder


@pytest.fixture
def log(data):
    opened = Log.open(data)
    yield opened
    opened.close()


@pytest.fixture
def admission(log, data):
    return Admission(log, LocalToken(data))


def create(log, name, *roles, **more):
    secret = new_secret()
    given = Grant(name, tuple(roles or ("writer",)), Bearer(digest(secret).hex()), "token:cli", **more)
    return secret, granting.grant(log, given)


def rotated(log, name, overlap_s):
    secret = new_secret()
    granting.rotate(log, name, Bearer(digest(secret).hex()), overlap_s, by="token:cli")
    return secret


def refused(call, *arguments, **more):
    with pytest.raises(LedgerError) as caught:
        call(*arguments, **more)
    return caught.value.code


class Clock:
    """Stands for the clock of admission and granting, which a test cannot wait for."""

    def __init__(self):
        self.ahead_ns = 0

    def __getattr__(self, name):
        return getattr(time, name)

    def time_ns(self):
        return time.time_ns() + self.ahead_ns

    def pass_s(self, seconds):
        self.ahead_ns += int(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    for each in (module, granting):
        monkeypatch.setattr(each, "time", made)
    return made


# -- tokens that the log grants ----------------------------------------------------------------------------------------


def test_a_token_that_was_granted_names_its_holder_and_what_it_may_do(log, admission):
    secret, shown = create(log, "gw-eu-1", "writer", quota=Quota(records_per_s=5))
    holder = admission.bearer(secret)
    assert secret.startswith(local.PREFIX)
    assert len(secret) >= len(local.PREFIX) + 43
    assert (holder.name, holder.roles, holder.submitter) == ("gw-eu-1", (Role.WRITER,), "token:gw-eu-1")
    assert (holder.granted_by, holder.quota) == (shown["seq"], Quota(records_per_s=5))
    assert holder.may(Operation.POST)
    assert not holder.may(Operation.READ)


@pytest.mark.parametrize(
    "guess", ["", local.PREFIX, "alt_" + "A" * 43, "Bearer x", "\ud800", "é", "x" * 100_000]
)
def test_a_token_that_was_never_granted_lets_nobody_in(log, admission, guess):
    create(log, "a", "admin")
    assert admission.bearer(guess) is None


def test_without_any_grant_nobody_gets_in(admission):
    assert admission.bearer("") is None
    assert admission.outside_the_log() == []


def test_part_of_a_token_its_hash_and_its_other_spellings_let_nobody_in(log, admission):
    secret, _ = create(log, "a", "admin")
    for guess in (
        secret[:-1],
        secret + " ",
        secret.upper(),
        secret.removeprefix("alt_"),
        digest(secret).hex(),
    ):
        assert admission.bearer(guess) is None


def test_the_folder_holds_no_token_and_a_readers_view_of_the_grant_does_not_either(log, data):
    secret, shown = create(log, "a", "admin")
    assert secret not in json.dumps(shown)
    for file in data.rglob("*"):
        assert not file.is_file() or secret.removeprefix("alt_").encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("role", "operations"),
    [
        (Role.WRITER, {"post", "log-proofs"}),
        (Role.READER, {"read", "query", "log-proofs"}),
        (Role.CONTENT_READER, {"read", "contents", "query", "log-proofs"}),
        (Role.AUDITOR, {"read", "query", "log-proofs", "verify"}),
        (Role.ADMIN, {"post", "read", "contents", "query", "verify", "log-proofs", "upkeep", "access"}),
    ],
)
def test_a_role_permits_what_the_table_says_and_no_more(log, admission, role, operations):
    holder = admission.bearer(create(log, "a", role.value)[0])
    assert {str(operation) for operation in Operation if holder.may(operation)} == operations


def test_every_role_stands_in_the_table_and_only_admin_may_do_everything():
    assert set(PERMISSIONS) == set(Role)
    assert [role for role in Role if PERMISSIONS[role] == set(Operation)] == [Role.ADMIN]


def test_two_roles_permit_what_either_permits(log, admission):
    holder = admission.bearer(create(log, "a", "writer", "auditor")[0])
    assert holder.roles == (Role.WRITER, Role.AUDITOR)
    assert holder.operations == PERMISSIONS[Role.WRITER] | PERMISSIONS[Role.AUDITOR]


def test_a_role_that_is_none_is_not_granted_and_one_of_a_later_release_permits_nothing(log, admission):
    assert refused(create, log, "a", "root") is Code.INVALID_PARAMETER
    secret = new_secret()
    credential = {"type": "bearer", "sha256": digest(secret).hex()}
    ext = {"log.name": "a", "log.roles": ["warden"], "log.credential": credential, "log.by": "x"}
    log.append_own("log.access_granted", ext)
    assert admission.bearer(secret).operations == frozenset()


def test_a_revoked_token_is_worthless_at_once_and_the_others_are_not(log, admission):
    (secret, _), (kept, _) = create(log, "a"), create(log, "b")
    assert admission.bearer(secret).name == "a"
    granting.revoke(log, "a", by="token:cli")
    assert admission.bearer(secret) is None
    assert admission.bearer(kept).name == "b"
    assert refused(granting.revoke, log, "a", by="x") is Code.NOT_FOUND


def test_a_token_is_in_force_again_after_a_restart_and_a_revoked_one_is_not(data):
    log = Log.open(data)
    (kept, _), (secret, _) = create(log, "a"), create(log, "b")
    granting.revoke(log, "b", by="token:cli")
    log.close()
    log = Log.open(data)
    try:
        admission = Admission(log)
        assert admission.bearer(kept).name == "a"
        assert admission.bearer(secret) is None
    finally:
        log.close()


# -- until when --------------------------------------------------------------------------------------------------------


def later(seconds):
    return format_time(time.time_ns() // 1_000 + int(seconds * 1e6))


def test_a_token_ends_when_it_was_to_end(log, admission, clock):
    secret, shown = create(log, "a", expires_at=later(HOUR_S))
    assert shown["until"] == log.standing.access.admitted[shown["seq"]].until
    clock.pass_s(HOUR_S - 5)
    assert admission.bearer(secret).name == "a"
    clock.pass_s(10)
    assert admission.bearer(secret) is None
    assert granting.credentials(log) == []


def test_a_clock_that_steps_back_brings_no_token_back(log, admission, clock):
    secret, _ = create(log, "a", expires_at=later(2))
    time.sleep(2.05)
    log.append_own("log.query_run", {"log.n": 1})  # the newest entry is later than the token's end
    clock.pass_s(-HOUR_S)
    assert admission.bearer(secret) is None


def test_one_that_would_have_expired_already_is_not_granted(log):
    assert refused(create, log, "a", expires_at=later(-1)) is Code.INVALID_PARAMETER


def test_both_tokens_hold_during_the_overlap_of_a_rotation_and_then_the_new_one_alone(log, admission, clock):
    old, granted = create(log, "a", "writer", "reader", quota=Quota(records_per_s=5))
    new = rotated(log, "a", HOUR_S)
    assert {admission.bearer(each).submitter for each in (old, new)} == {"token:a"}
    assert admission.bearer(new).operations == admission.bearer(old).operations
    assert admission.bearer(new).quota == Quota(records_per_s=5)
    assert granting.credentials(log)[0]["seq"] == granted["seq"]
    clock.pass_s(HOUR_S + 5)
    assert admission.bearer(old) is None
    assert admission.bearer(new).name == "a"


def test_a_rotation_without_overlap_ends_the_one_before_at_once_and_a_revocation_ends_both(log, admission):
    old, _ = create(log, "a")
    new = rotated(log, "a", 0)
    assert admission.bearer(old) is None
    newer = rotated(log, "a", HOUR_S)
    granting.revoke(log, "a", by="token:cli")
    assert [admission.bearer(each) for each in (new, newer)] == [None, None]


def test_what_is_not_there_or_has_no_secret_cannot_be_rotated(log):
    assert refused(rotated, log, "a", 1) is Code.NOT_FOUND
    create(log, "a")
    assert refused(rotated, log, "a", -1) is Code.INVALID_PARAMETER
    assert refused(rotated, log, "a", granting.MAX_OVERLAP_S + 1) is Code.INVALID_PARAMETER
    credential = {"type": "spiffe", "id": "spiffe://example.org/a"}
    ext = {"log.name": "b", "log.roles": ["writer"], "log.credential": credential, "log.by": "x"}
    log.append_own("log.access_granted", ext)
    assert refused(rotated, log, "b", 1) is Code.INVALID_PARAMETER


# -- the token of this machine -----------------------------------------------------------------------------------------


def age(token):
    """As if the last look at the file were more than a second ago."""
    token._fresh_until = 0.0


def test_who_has_the_file_is_the_administrator_cli(log, data):
    secret = make_local_token(data).read_text().strip()
    assert (data / "cli.token").stat().st_mode & 0o777 == 0o600
    admission = Admission(log, LocalToken(data))
    holder = admission.bearer(secret)
    assert (holder.name, holder.submitter, holder.granted_by) == ("cli", "token:cli", None)
    assert holder.operations == frozenset(Operation)
    assert log.head().size == 1, "nothing in the log says so"
    assert admission.bearer(secret[:-1]) is None


def test_the_file_that_is_removed_or_replaced_admits_nobody_within_a_second(data):
    secret = make_local_token(data).read_text().strip()
    token = LocalToken(data)
    assert token.check(digest(secret)) is not None
    make_local_token(data)
    age(token)
    assert token.check(digest(secret)) is None
    token.remove()
    assert token.shown() == []
    assert refused(token.remove) is Code.NOT_FOUND


def test_the_file_is_looked_at_no_more_than_once_a_second(data, monkeypatch):
    secret = make_local_token(data).read_text().strip()
    token = LocalToken(data)
    age(token)
    looks = []
    monkeypatch.setattr(
        LocalToken, "_look", lambda self, real=LocalToken._look: looks.append(1) or real(self)
    )
    for _ in range(1_000):
        token.check(digest(secret))
    assert len(looks) == 1


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
def test_a_file_that_others_may_read_or_write_admits_nobody_and_says_so(log, data, mode):
    path = make_local_token(data)
    secret = path.read_text().strip()
    token = LocalToken(data)
    path.chmod(mode)
    path.write_text(f"{secret}\n")
    age(token)
    assert refused(token.check, digest(secret)) is Code.TOKEN_FILE
    assert refused(LocalToken, data) is Code.TOKEN_FILE
    granted, _ = create(log, "a")
    assert Admission(log, token).bearer(granted).name == "a", "whom the log grants access needs no file"


@pytest.mark.parametrize("text", ["", "\n", "alt_", "x" * 31])
def test_a_file_that_holds_no_token_admits_nobody(data, text):
    path = make_local_token(data)
    path.write_text(text)
    assert refused(LocalToken, data) is Code.TOKEN_FILE


# -- what an earlier release left --------------------------------------------------------------------------------------


def earlier(data, *tokens, mode=0o600):
    stored = [
        {
            "name": name,
            "roles": [role],
            "sha256": digest(secret).hex(),
            "created_at": "2026-11-21T09:30:00Z",
            **more,
        }
        for name, role, secret, more in tokens
    ]
    (data / EARLIER).write_text(json.dumps({"format": 1, "tokens": stored}))
    (data / EARLIER).chmod(mode)


def test_tokens_of_an_earlier_release_are_granted_once_and_their_file_is_put_aside(log, data):
    cli = make_local_token(data).read_text().strip()
    writer, reader = new_secret(), new_secret()
    earlier(
        data,
        ("cli", "admin", cli, {}),
        ("gw", "writer", writer, {"quota": {"records_per_s": 3}}),
        ("kpmg", "auditor", reader, {}),
    )
    assert take_over(data, log).startswith("2 tokens")
    assert take_over(data, log) is None
    admission = Admission(log, LocalToken(data))
    assert admission.bearer(writer).quota == Quota(records_per_s=3)
    assert admission.bearer(reader).roles == (Role.AUDITOR,)
    assert admission.bearer(cli).name == "cli"
    assert not (data / EARLIER).exists()
    assert (data / TAKEN_OVER).exists()


def test_what_was_killed_half_way_is_finished_by_the_next_start(log, data):
    first, second = new_secret(), new_secret()
    earlier(data, ("a", "writer", first, {}), ("b", "writer", second, {}))
    given = Grant("a", ("writer",), Bearer(digest(first).hex()), "folder")
    granting.grant(log, given)
    assert take_over(data, log).startswith("1 tokens")
    assert [each["name"] for each in granting.credentials(log)] == ["a", "b"]


def test_a_token_of_this_machine_that_was_revoked_is_not_revived(log, data):
    revoked = make_local_token(data).read_text().strip()
    earlier(data, ("gw", "writer", new_secret(), {}))
    take_over(data, log)
    admission = Admission(log, LocalToken(data))
    assert admission.bearer(revoked) is None
    assert admission.bearer((data / "cli.token").read_text().strip()).name == "cli"


def test_an_administrators_token_of_an_earlier_release_that_is_not_in_the_file_is_not_taken_over(log, data):
    elsewhere = new_secret()
    earlier(data, ("cli", "admin", elsewhere, {}))
    take_over(data, log)
    assert Admission(log, LocalToken(data)).bearer(elsewhere) is None


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b'{"format":2,"tokens":[]}',
        b'{"format":1,"tokens":[],"more":1}',
        b'{"format":1,"tokens":[{"name":"a","roles":["root"],"sha256":"%s","created_at":""}]}' % (b"0" * 64),
        b'{"format":1,"tokens":[{"name":"a","roles":["admin"],"sha256":"00","created_at":""}]}',
        b"\xff",
    ],
)
def test_a_file_of_an_earlier_release_that_does_not_hold_is_refused_and_stays(log, data, damage):
    (data / EARLIER).write_bytes(damage)
    (data / EARLIER).chmod(0o600)
    assert refused(take_over, data, log) is Code.TOKEN_FILE
    assert (data / EARLIER).read_bytes() == damage
    assert log.head().size == 1


def test_one_that_others_may_have_written_is_refused(log, data):
    earlier(data, ("a", "admin", new_secret(), {}), mode=0o666)
    assert refused(take_over, data, log) is Code.TOKEN_FILE


def test_a_check_costs_a_post_next_to_nothing(log, admission):
    for number in range(100):
        create(log, f"t-{number}")
    secret, _ = create(log, "a")
    rounds = 2_000
    best_us = min(_timed(admission, secret, rounds) for _ in range(10)) * 1e6 / rounds
    assert best_us < 3, "0.7 on an idle machine"


def _timed(admission, secret, rounds):
    started = time.perf_counter()
    for _ in range(rounds):
        admission.bearer(secret)
    return time.perf_counter() - started


def test_the_time_that_is_judged_by_never_runs_back(log, clock):
    clock.pass_s(-HOUR_S)
    assert parse_time(granting.now(log)) >= parse_time(log.head().recorded_at)
