"""Which keys sign and what was erased, as the log's own entries say: judged at the place where a record is appended."""

import base64
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.ed25519 import SigningKey, generate
from ledger.core.entry import commitment, parse_entry, record_signing_input
from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from ledger.log.plan import Appended
from ledger.log.standing import Standing
from ledger.records.prepare import own_record, prepare
from ledger.records.prepared import Prepared
from tests.log.conftest import ORIGIN, WITHOUT_ARGUMENTS, post, prepared, record, submit


def grant(log: Log, key_id: str, key: SigningKey) -> Appended:
    public = base64.b64encode(key.public).decode()
    return log.append_own("log.access_granted", {"log.key_id": key_id, "log.public_key": public})


def sealed(log: Log, key: SigningKey | None, key_id: str = "agent-7", **members: object) -> Prepared:
    told = {"id": "sealed-1", "type": "note", "time": "2026-11-21T09:30:00Z", **members}
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    body: dict = {"record": told}
    if key is not None:
        signature = base64.b64encode(key.sign(record_signing_input(ORIGIN, canonical))).decode()
        body["signature"] = {"key": key_id, "sig": signature}
    return prepare(
        json.dumps(body).encode(),
        submitter="token:test",
        persons=log.persons,
        origin=log.origin,
        agent_key=log.agent_key,
    )


def together(log: Log, *groups: list[Prepared]) -> list[list[Appended | LedgerError]]:
    """Submissions that end in one group commit: they queue up while the writer is held at another one."""
    append, held, go = log._store.append, threading.Event(), threading.Event()

    def wait(*given: object) -> None:
        log._store.append = append
        held.set()
        go.wait(30)
        append(*given)

    log._store.append = wait
    log.submit([prepared(log, record(9_999))], atomic=False, done=lambda _: None)
    held.wait(30)
    answers: list[list[Appended | LedgerError]] = []
    settled = threading.Semaphore(0)

    def done(outcome: list[Appended | LedgerError]) -> None:
        answers.append(outcome)
        settled.release()

    for group in groups:
        log.submit(group, atomic=True, done=done)
    go.set()
    for _ in groups:
        settled.acquire(timeout=30)
    return answers


def test_a_record_behind_the_revocation_of_its_key_is_refused_also_in_the_same_commit(
    data: Path,
):  # threat 18
    log, key = Log.open(data), generate()
    grant(log, "agent-7", key)
    signed = sealed(log, key)
    revocation = own_record("log.access_revoked", {"log.key_id": "agent-7"})
    [revoked], [late] = together(log, [revocation], [signed])
    log.close()
    assert isinstance(revoked, Appended)
    assert isinstance(late, LedgerError)
    assert late.code == Code.UNKNOWN_KEY
    assert verify_folder(data).findings == ()


def test_a_record_signed_before_the_revocation_is_refused_when_it_comes_after_it(log: Log):  # threat 18
    key = generate()
    grant(log, "agent-7", key)
    signed = sealed(log, key, time="2001-01-01T00:00:00Z")
    log.append_own("log.access_revoked", {"log.key_id": "agent-7"})
    [late] = submit(log, [signed])
    assert isinstance(late, LedgerError)
    assert late.code == Code.UNKNOWN_KEY


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("revoked", [False, True])
def test_an_agent_key_id_is_given_once(data: Path, revoked: bool, restarted: bool):  # threats 17, 18
    log = Log.open(data)
    grant(log, "agent-7", generate())
    if revoked:
        log.append_own("log.access_revoked", {"log.key_id": "agent-7"})
    if restarted:
        log.close()
        log = Log.open(data)
    size = log.head().size
    with pytest.raises(LedgerError) as caught:
        grant(log, "agent-7", generate())
    assert caught.value.code == Code.KEY_EXISTS
    assert log.head().size == size
    log.close()


def test_an_agent_key_id_is_given_once_within_one_commit(log: Log):
    def granting() -> Prepared:
        public = base64.b64encode(generate().public).decode()
        return own_record("log.access_granted", {"log.key_id": "agent-7", "log.public_key": public})

    [first], [second] = together(log, [granting()], [granting()])
    assert isinstance(first, Appended)
    assert isinstance(second, LedgerError)
    assert second.code == Code.KEY_EXISTS


def test_a_grant_that_was_rolled_back_is_none(log: Log):
    public = base64.b64encode(generate().public).decode()
    granting = own_record("log.access_granted", {"log.key_id": "agent-7", "log.public_key": public})
    post(log, record(1))
    refused = submit(log, [granting, prepared(log, record(1, type="note"))], atomic=True)
    assert all(isinstance(outcome, LedgerError) for outcome in refused)
    assert log.agent_key("agent-7") is None
    grant(log, "agent-7", generate())


def test_no_key_is_called_like_the_log_itself(log: Log):
    with pytest.raises(LedgerError) as caught:
        grant(log, "log", generate())
    assert caught.value.code == Code.RESERVED_NAME


def test_a_signature_is_part_of_what_a_submission_says(log: Log):
    key = generate()
    grant(log, "agent-7", key)
    [unsigned] = submit(log, [sealed(log, None)])
    [signed] = submit(log, [sealed(log, key)])
    assert isinstance(unsigned, Appended)
    assert isinstance(signed, LedgerError)
    assert signed.code == Code.ID_CONFLICT
    assert parse_entry(log.stored(unsigned.seq).entry).signature is None


def test_a_signed_record_that_is_sent_again_gets_the_first_answer(log: Log):  # threat 9
    key = generate()
    grant(log, "agent-7", key)
    first, second = submit(log, [sealed(log, key), sealed(log, key)])
    [third] = submit(log, [sealed(log, key)])
    assert (first.seq, second.existing, third.existing) == (second.seq, True, True)
    assert third.leaf_hash == first.leaf_hash


def test_of_two_submitters_in_one_commit_the_second_is_told_nothing_but_what_an_agent_signed_is_its_own(
    log: Log,
):
    key = generate()
    grant(log, "agent-7", key)
    plain, signed = prepared(log, record(1)), sealed(log, key)
    first, second, third, fourth = submit(
        log,
        [plain, plain._replace(submitter="token:other"), signed, signed._replace(submitter="token:other")],
    )
    assert (first.existing, second.code) == (False, Code.ID_CONFLICT)
    assert (third.existing, fourth.existing, fourth.seq) == (False, True, third.seq)
    [later] = submit(log, [signed._replace(submitter="token:relay")])
    [unsigned] = submit(log, [sealed(log, None)._replace(submitter="token:relay")])
    assert (later.existing, unsigned.code) == (True, Code.ID_CONFLICT)


def test_what_was_erased_is_not_compared_and_everything_else_is(data: Path):
    log = Log.open(data)
    post(log, record(1))
    log._store._writing._writer.execute(WITHOUT_ARGUMENTS.format(1))
    [unexplained] = post(log, record(1))
    log.append_own("log.content_erased", {"log.erased": [[1, "tool.arguments"]], "log.ground": "GDPR 17"})
    [again] = post(log, record(1))
    [other] = post(log, record(1, outcome={"status": "failure"}))
    log.close()
    log = Log.open(data)
    [later] = post(log, record(1))
    [different] = post(log, record(1, outcome={"status": "failure"}))
    log.close()
    assert [answer.code for answer in (unexplained, other, different)] == [Code.ID_CONFLICT] * 3
    assert (again.seq, again.existing, later.seq, later.existing) == (1, True, 1, True)


def test_verification_finds_a_key_id_that_was_given_twice(
    data: Path, monkeypatch: pytest.MonkeyPatch
):  # threat 17
    monkeypatch.setattr(
        Standing,
        "_granted",
        lambda self, key_id, text: replace(self, agent_keys={key_id: base64.b64decode(text)}),
    )
    log = Log.open(data)
    grant(log, "agent-7", generate())
    grant(log, "agent-7", generate())
    log.close()
    assert [(str(finding.kind), finding.seq) for finding in verify_folder(data).findings] == [("altered", 2)]


def test_known_records_are_read_together(log: Log, monkeypatch: pytest.MonkeyPatch):
    items = [prepared(log, record(number)) for number in range(1, 601)]
    submit(log, items)
    reads: list[int] = []
    known = log._store.known
    monkeypatch.setattr(log._store, "known", lambda seqs: reads.append(len(seqs)) or known(seqs))
    again = submit(log, [prepared(log, record(number)) for number in range(600, 0, -1)])
    assert [(answer.seq, answer.existing) for answer in again] == [(seq, True) for seq in range(600, 0, -1)]
    assert reads == [256, 256, 88]


@pytest.mark.parametrize(
    "text", ["", "nonsense", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(32)).decode()]
)
def test_a_key_that_must_not_be_used_is_not_granted_by_whoever_asks(log: Log, text: str):  # threat 19
    with pytest.raises(LedgerError) as caught:
        log.append_own("log.access_granted", {"log.key_id": "agent-7", "log.public_key": text})
    assert caught.value.code == Code.INVALID_PUBLIC_KEY
    assert log.status()["stopped"] is None
    grant(log, "agent-7", generate())


def disclosing(log: Log, *members: str) -> Prepared:
    """A sealed record that commits to a content and a person, and discloses some of them."""
    values = {"request.text": b'"please"', "request.user": b'"alice@example.com"'}
    salts = {"request.text": b"\x01" * 16, "request.user": b"\x02" * 16}
    committed = {m: commitment(salts[m], values[m]).hex() for m in values}
    told = {
        "id": "sealed-2",
        "type": "note",
        "time": "2026-11-21T09:30:00Z",
        "request": {m.removeprefix("request."): digest for m, digest in committed.items()},
    }
    disclosures = [{"member": m, "salt": salts[m].hex(), "value": json.loads(values[m])} for m in members]
    return prepare(
        json.dumps({"record": told, "disclosures": disclosures}).encode(),
        submitter="token:test",
        persons=log.persons,
        origin=log.origin,
        agent_key=log.agent_key,
    )


@pytest.mark.parametrize("more", [("request.text",), ("request.user",), ("request.text", "request.user")])
@pytest.mark.parametrize("at_once", [False, True])
def test_what_was_withheld_first_is_not_said_to_be_there_when_it_is_disclosed_later(
    log: Log, more: tuple[str, ...], at_once: bool
):
    items = [disclosing(log), disclosing(log, *more)]
    first, second = submit(log, items) if at_once else [submit(log, [item])[0] for item in items]
    assert isinstance(first, Appended)
    assert isinstance(second, LedgerError)
    assert (second.code, second.members["seq"]) == (Code.ID_CONFLICT, first.seq)
    stored = log.stored(first.seq)
    assert (stored.contents, stored.persons) == ((), ())


@pytest.mark.parametrize("at_once", [False, True])
def test_what_was_disclosed_need_not_be_disclosed_again(log: Log, at_once: bool):
    items = [
        disclosing(log, "request.text", "request.user"),
        disclosing(log, "request.user"),
        disclosing(log),
    ]
    answers = submit(log, items) if at_once else [submit(log, [item])[0] for item in items]
    assert [(answer.seq, answer.existing) for answer in answers] == [(1, False), (1, True), (1, True)]
    assert len(log.stored(1).contents) == 1
    assert len(log.stored(1).persons) == 1


def test_a_start_does_not_pass_over_an_own_entry_that_cannot_be_read(data: Path):  # threat 18
    log = Log.open(data)
    grant(log, "agent-7", generate())
    log.append_own("log.access_revoked", {"log.key_id": "agent-7"})
    post(log, record(1))
    log._store._writing._writer.execute(
        "UPDATE entries SET entry = replace(entry, '\"seq\":2', '\"seq\": 2') WHERE seq = 2"
    )
    log.close()
    with pytest.raises(LedgerError):
        Log.open(data)
