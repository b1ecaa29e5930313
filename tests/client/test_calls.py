"""Two organisations, two real ledgers: what each side records of a call, and what it believes of the other's."""

import contextlib
import json
import logging
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest
import typer

from ledger.cli.calls import check, take
from ledger.cli.exits import CommandError
from ledger.client import Ledger, LedgerAway, Spool
from ledger.client.calls import HEADER, Calls
from ledger.core.crossing import Doubt, Told, format_told, open_said, parse_told
from ledger.core.ed25519 import SigningKey
from ledger.core.entry import commitment
from ledger.core.errors import Code, LedgerError
from ledger.core.note import NoteSigner, format_vkey, parse_vkey
from ledger.core.receipt import parse_receipt
from tests.client.conftest import entries
from tests.faults.server import Server

MESSAGE = b'{"text":"what is in the third quarter?"}'


class Side(SimpleNamespace):
    """One organisation: its server, and a recorder whose token may only write."""

    def recorder(self, **more):
        return Ledger(self.server.url, self.secret, source=self.name, **more)

    def calls(self, *others, ledger=None):
        return Calls(ledger or self.recorder(), self.log, [other.vkey for other in others])

    def told(self, call):
        """What its log says of a call, type by type."""
        return [each for each in entries(self.server) if each.get("ext", {}).get("call.id") == call]


def side(folder, name):
    server = Server(folder / name, origin=f"{name}.example/log")
    secret = server.grant(name, "writer")
    vkey = httpx.get(f"{server.url}/v1/log", headers=server.headers, trust_env=False).json()["verifier_key"]
    return Side(name=name, server=server, secret=secret, vkey=vkey, log=f"{name}.example/log")


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    made = [side(tmp_path_factory.mktemp("sides"), name) for name in ("alice", "bob")]
    yield made
    for each in made:
        each.server.stop()


@pytest.fixture
def both(sides):
    alice, bob = sides
    made = SimpleNamespace(alice=alice, bob=bob, calls=alice.calls(bob), answers=bob.calls(alice))
    yield made
    for each in (made.calls, made.answers):
        each.close()
        each.ledger.close()


def test_a_call_is_recorded_on_both_sides_and_each_entry_is_named_by_the_others_receipt(both):
    sent = both.calls.send(both.bob.log, MESSAGE, action_id="act-1")
    received = both.answers.receive(sent.told, MESSAGE, action_id="act-2")
    verdict = sent.answered(received.told)
    both.calls.ledger.flush()
    assert (received.verdict.receipt, verdict.receipt, received.call) == ("verified", "verified", sent.call)
    out, back = both.alice.told(sent.call)
    [came] = both.bob.told(sent.call)
    assert [out["type"], came["type"], back["type"]] == ["call.sent", "call.received", "call.confirmed"]
    assert [out["action_id"], came["action_id"], back["action_id"]] == ["act-1", "act-2", "act-1"]
    assert (out["ext"]["call.peer"], came["ext"]["call.peer"]) == (both.bob.log, both.alice.log)
    # Offline: the peer's key and what is kept here.
    hers = open_said(came["source"]["original"]["receipt"].encode(), [parse_vkey(both.alice.vkey)])
    his = open_said(back["source"]["original"]["receipt"].encode(), [parse_vkey(both.bob.vkey)])
    assert tuple(hers.entry) == (came["ext"]["call.entry_seq"], came["ext"]["call.entry_leaf"]) == his.names
    assert tuple(his.entry) == (back["ext"]["call.entry_seq"], back["ext"]["call.entry_leaf"])
    with both.alice.server.client() as client:
        stored = client.get(f"/v1/entries/{hers.entry.seq}").json()
    assert (stored["leaf_hash"], stored["id"]) == (hers.entry.leaf, out["id"])
    salt = bytes.fromhex(out["source"]["original"]["salt"])
    assert commitment(salt, MESSAGE).hex() == hers.message == his.message


def test_what_the_other_side_gets_is_the_entry_of_the_call_and_nothing_of_the_action(both):
    with both.calls.ledger.context(
        request={"user": "alice@example.com"}, identity={"agent_id": "secret-agent"}
    ):
        sent = both.calls.send(both.bob.log, MESSAGE)
    shown = parse_receipt(parse_told(sent.told[HEADER]).receipt).extra
    assert b"call.sent" in shown
    for kept in (b"secret-agent", b"alice@example.com", b"third quarter"):
        assert kept not in shown
    assert not any(character.isspace() for character in sent.told[HEADER])


def test_a_writer_gets_the_receipt_of_what_it_wrote_with_the_entry_and_of_nobody_elses(both):
    sent = both.calls.send(both.bob.log, MESSAGE)
    own = open_said(parse_told(sent.told[HEADER]).receipt, [parse_vkey(both.alice.vkey)]).entry.seq
    with httpx.Client(base_url=both.alice.server.url, trust_env=False) as client:
        mine = {"Authorization": f"Bearer {both.alice.secret}"}
        assert client.get(f"/v1/entries/{own}/receipt?entry=true", headers=mine).status_code == 200
        assert client.get("/v1/entries/0/receipt", headers=mine).status_code == 200
        assert client.get("/v1/entries/0/receipt?entry=true", headers=mine).status_code == 403
        assert (
            client.get("/v1/entries/0/receipt?entry=true", headers=both.alice.server.headers).status_code
            == 200
        )


def test_a_caller_that_shows_nothing_is_recorded_as_one_that_showed_nothing(both):
    received = both.answers.receive({}, MESSAGE, caller=both.alice.log)
    assert received.verdict.receipt == "none"
    [came] = both.bob.told(received.call)
    assert came["ext"] == {"call.id": received.call, "call.peer": both.alice.log, "call.receipt": "none"}


def test_a_peer_that_answers_nothing_leaves_the_call_unconfirmed(both):
    sent = both.calls.send(both.bob.log, MESSAGE)
    assert sent.answered({}).receipt == "none"
    both.calls.ledger.flush()
    assert [each["type"] for each in both.alice.told(sent.call)] == ["call.sent"]


def test_a_reference_that_came_before_is_told_from_the_call_it_is_of(both):
    sent = both.calls.send(both.bob.log, MESSAGE)
    assert both.answers.receive(sent.told, MESSAGE).verdict.receipt == "verified"
    again = both.answers.receive(sent.told, MESSAGE)
    assert again.verdict == ("refused", Doubt.REPLAYED, None)
    first, second = both.bob.told(sent.call)
    assert (first["ext"]["call.receipt"], second["ext"]["call.problem"]) == ("verified", "replayed")


def test_a_reference_under_another_message_or_from_another_caller_is_refused(both):
    sent = both.calls.send(both.bob.log, MESSAGE)
    other = both.bob.calls(both.alice, ledger=both.answers.ledger)
    assert other.receive(sent.told, b"pay everything").verdict.problem is Doubt.ANOTHER_MESSAGE
    sent = both.calls.send(both.bob.log, MESSAGE)
    assert other.receive(sent.told, MESSAGE, caller="carol.example/log").verdict.problem is Doubt.ANOTHER_LOG


def test_a_reference_that_was_meant_for_somebody_else_is_refused(both):
    ext = {"call.id": "0" * 32, "call.peer": "carol.example/log", "call.message": "0" * 64}
    meant = both.calls
    receipt = meant._receipt(meant.ledger.wait(meant.ledger.begin({"type": "call.sent", "ext": ext})))
    told = {HEADER: format_told(Told("0" * 32, both.alice.log, b"0" * 16, receipt))}
    assert both.answers.receive(told, MESSAGE).verdict.problem is Doubt.ANOTHER_PEER


def test_a_peer_that_answers_with_another_calls_receipt_is_caught(both):
    earlier = both.calls.send(both.bob.log, MESSAGE)
    kept = both.answers.receive(earlier.told, MESSAGE)
    sent = both.calls.send(both.bob.log, MESSAGE)
    lie = sent.answered(kept.told)
    assert (lie.receipt, lie.problem) == ("refused", Doubt.ANOTHER_CALL)
    assert sent.answered(sent.told).problem == Code.UNKNOWN_SIGNER  # our own, thrown back: of no peer
    both.calls.ledger.flush()
    told = both.alice.told(sent.call)
    assert [each["ext"].get("call.problem") for each in told] == [None, "another-call", "unknown-signer"]
    assert "call.entry_seq" not in told[1]["ext"]  # nothing of a lie is told as a fact
    assert told[1]["source"]["original"]["receipt"]  # the lie is kept


def test_a_peer_that_writes_what_did_not_come_signs_its_own_lie(both):
    sent = both.calls.send(both.bob.log, MESSAGE)
    ext = {"call.id": sent.call, "call.peer": both.alice.log, "call.message": "00" * 32}
    liar = both.answers
    placed = liar.ledger.wait(liar.ledger.begin({"type": "call.received", "ext": ext}))
    receipt = liar._receipt(placed)
    lie = sent.answered({HEADER: format_told(Told(sent.call, both.bob.log, receipt=receipt))})
    assert (lie.receipt, lie.problem) == ("refused", Doubt.ANOTHER_MESSAGE)


@pytest.mark.parametrize("text", ["", "x", "é", "A" * 30_000, "e30=", "W10=", "a,b"], ids=len)
def test_whatever_comes_with_a_call_or_an_answer_raises_nothing(both, text):
    sent = both.calls.send(both.bob.log, MESSAGE)
    expected = "refused" if text else "none"
    assert sent.answered({HEADER: text}).receipt == expected
    assert both.answers.receive({HEADER.title(): text}, MESSAGE).verdict.receipt == expected


def test_nobody_who_is_no_peer_is_called_or_believed(both):
    with pytest.raises(ValueError, match="no peer"):
        both.calls.send("carol.example/log", MESSAGE)
    strangers = Calls(both.answers.ledger, both.bob.log, [])
    sent = both.calls.send(both.bob.log, MESSAGE)
    received = strangers.receive(sent.told, MESSAGE)
    assert (received.verdict.receipt, received.verdict.problem) == ("refused", Code.UNKNOWN_SIGNER)


def test_a_ledger_that_is_away_holds_up_no_call_that_a_spool_keeps(both, tmp_path, caplog):
    away = Ledger("http://127.0.0.1:9", both.alice.secret, away=Spool(tmp_path / "spool"), timeout_s=0.4)
    calls = both.alice.calls(both.bob, ledger=away)
    sent = calls.send(both.bob.log, MESSAGE)
    assert parse_told(sent.told[HEADER]).receipt is None
    received = both.answers.receive(sent.told, MESSAGE)
    assert received.verdict.receipt == "none"
    [came] = both.bob.told(sent.call)
    assert came["ext"]["call.peer"] == both.alice.log  # its claim
    verdict = sent.answered(received.told)
    assert (verdict.receipt, verdict.said.names) == ("verified", None)
    with contextlib.suppress(Exception):
        away.close()
    blocked = both.alice.calls(both.bob, ledger=Ledger("http://127.0.0.1:9", "t", timeout_s=0.4))
    with caplog.at_level(logging.CRITICAL), pytest.raises(LedgerAway):
        blocked.send(both.bob.log, MESSAGE)


def test_a_recorder_that_is_told_another_log_than_its_ledgers_says_so(both):
    mistaken = Calls(both.calls.ledger, "another.example/log", [both.bob.vkey])
    with pytest.raises(ValueError, match=r"alice\.example/log"):
        mistaken.send(both.bob.log, MESSAGE)


def test_what_a_call_leaves_is_json_that_a_question_reads(both):
    sent = both.calls.send(both.bob.log, MESSAGE)
    sql = f"""SELECT ext->>'$."call.peer"' AS peer FROM records WHERE ext->>'$."call.id"' = '{sent.call}'"""
    with both.alice.server.client() as client:
        assert json.loads(client.post("/v1/query", json={"sql": sql}).content)["rows"] == [[both.bob.log]]


# ---- what the other side gives later, and what is kept: `agent-ledger calls`


def evidence_of(side, path, **asked):
    with side.server.client() as client:
        path.write_bytes(client.post("/v1/evidence", json=asked).raise_for_status().content)
    return path


def command(side, function, *arguments, **options):
    function(
        *arguments,
        **{"url": side.server.url, "token_file": side.server.data / "cli.token", "as_json": True, **options},
    )


def one_sided(side, call):
    with side.server.client() as client:
        answer = client.post("/v1/queries/one-sided-calls", json={"parameters": {"in_flight_s": 0}}).json()
    names = [column["name"] for column in answer["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in answer["rows"]]
    return [
        (row["direction"], row["recorded_by"], row["state"], row["problem"])
        for row in rows
        if row["call"] == call
    ]


def test_what_was_not_shown_in_time_is_taken_from_the_others_evidence_once(both, tmp_path, capsys):
    since = datetime.now(UTC).isoformat()
    sent = both.calls.send(both.bob.log, MESSAGE)
    both.answers.receive(sent.told, MESSAGE)  # and the answer was lost
    unheard = both.answers.receive({}, MESSAGE, caller=both.alice.log)
    assert one_sided(both.alice, sent.call) == [("sent", "us", "missing", None)]
    asked = {"parameters": {"peer": both.alice.log, "since": since}, "disclose": []}
    given = evidence_of(both.bob, tmp_path / "for-alice.zip", query="calls-with-a-peer", **asked)
    options = {"peer": [both.bob.vkey]}
    command(both.alice, take, given, **options)
    first = json.loads(capsys.readouterr().out)
    assert first == {
        "peer": both.bob.log,
        "entries": 2,
        "known": 0,
        "confirmed": 1,
        "only_theirs": 1,
        "refused": 0,
    }
    assert one_sided(both.alice, sent.call) == []
    assert one_sided(both.alice, unheard.call) == [("sent", "them", "missing", None)]
    command(both.alice, take, given, **options)
    again = json.loads(capsys.readouterr().out)
    assert (again["known"], again["confirmed"], again["only_theirs"]) == (again["entries"], 0, 0)


def test_evidence_of_nobody_who_is_a_peer_and_evidence_that_was_changed_are_not_taken(both, tmp_path):
    given = evidence_of(both.bob, tmp_path / "for-alice.zip", seqs=[0])
    with pytest.raises(LedgerError, match="no peer"):
        command(both.alice, take, given, peer=[both.alice.vkey])
    impostor = format_vkey(NoteSigner(both.bob.log, SigningKey(b"i" * 32)).key)
    with pytest.raises(CommandError, match="does not hold"):
        command(both.alice, take, given, peer=[impostor])
    given.write_bytes(given.read_bytes()[:-1])
    with pytest.raises(CommandError, match="does not hold"):
        command(both.alice, take, given, peer=[both.bob.vkey])


def test_an_entry_that_is_given_later_and_says_something_else_of_our_call_is_refused_and_recorded(
    both, tmp_path, capsys
):
    sent = both.calls.send(both.bob.log, MESSAGE)
    ext = {"call.id": sent.call, "call.peer": both.alice.log, "call.message": "00" * 32}
    placed = both.answers.ledger.wait(both.answers.ledger.begin({"type": "call.received", "ext": ext}))
    given = evidence_of(both.bob, tmp_path / "lie.zip", seqs=[placed.seq])
    with pytest.raises(typer.Exit):
        command(both.alice, take, given, peer=[both.bob.vkey])
    assert json.loads(capsys.readouterr().out)["refused"] == 1
    assert one_sided(both.alice, sent.call) == [("sent", "us", "refused", "another-message")]


def test_a_recorder_that_calls_verified_what_is_not_is_found_by_reading_its_receipts_again(both, capsys):
    sent = both.calls.send(both.bob.log, MESSAGE)
    received = both.answers.receive(sent.told, MESSAGE)
    sent.answered(received.told)
    both.calls.ledger.flush()
    command(both.alice, check, peer=[both.bob.vkey])
    assert json.loads(capsys.readouterr().out)["held"] >= 1
    liar = both.calls.send(both.bob.log, MESSAGE)
    told = {
        "call.id": liar.call,
        "call.peer": both.bob.log,
        "call.receipt": "verified",
        "call.entry_type": "call.received",
    }
    kept = {"receipt": parse_told(received.told[HEADER]).receipt.decode()}
    forged = {"type": "call.confirmed", "ext": told, "source": {"original": kept}}
    both.calls.ledger.record(forged, wait=True)
    assert one_sided(both.alice, liar.call) == []  # the recorder's word
    with pytest.raises(typer.Exit):
        command(both.alice, check, peer=[both.bob.vkey])
    [finding] = json.loads(capsys.readouterr().out)["findings"]
    assert "another-call" in finding["detail"]
