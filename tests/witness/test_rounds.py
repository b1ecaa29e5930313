"""A log that asks witnesses: what it keeps of their answers, what it does without them, what stops it. Threats 4, 5, 6, 39, 40, 41, 42."""

import json
import shutil
import time
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.fork import parse_fork, verify_fork
from ledger.core.note import COSIGNATURE_V1, VerifierKey, open_note, parse_note, parse_vkey
from ledger.core.receipt import parse_receipt, verify_receipt
from ledger.core.witnessing import KEYS_PATH
from ledger.log.log import Log
from ledger.witness.cosigning import Cosigning
from ledger.witness.rounds import Witnesses
from ledger.witness.settings import check_own, read_settings
from tests.alerts.receivers import until
from tests.witness.asked import Actor, Asking, answer, honest, size_of
from tests.witness.conftest import WitnessServer, make_witness

ORIGIN = "ledger.example/asking"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A real witness of many logs, in a process of its own."""
    folder = tmp_path_factory.mktemp("witness") / "w"
    make_witness(folder)
    server = WitnessServer(folder)
    yield server
    server.stop()


@pytest.fixture
def asking(tmp_path, request, real):
    """Makes a log that asks; each test's log has a name of its own, so the real witness tells them apart."""
    made = []
    origin = f"{ORIGIN}/{sha256(request.node.name.encode()).hexdigest()}"

    def make(*actors, quorum, with_real=True, folder=tmp_path, start=True, **options):
        witnesses = [(f"a{n}", actor.key, actor.url) for n, actor in enumerate(actors)]
        if with_real:
            witnesses.append(("real", real.key, real.url))
        made.append(Asking(folder, origin, witnesses, quorum, **options))
        Cosigning(real.folder).watch(parse_vkey(made[-1].log.vkey))
        return made[-1].start() if start else made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def actor():
    made = []

    def make(act, **options):
        made.append(Actor(act, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_log_is_witnessed_as_it_grows_and_says_so_to_whoever_asks(asking, real):
    log = asking(quorum="quorum real")
    assert log.until_witnessed().size == 1
    log.post(5)
    head = log.until_witnessed()
    own = parse_vkey(log.log.vkey)
    assert open_note(head.note, [own, real.key]).verified_keys == (own, real.key)
    assert log.log.head_covering(6).note == head.note
    receipt = parse_receipt(log.log.receipt(3))
    assert receipt.checkpoint_note == head.note
    verify_receipt(log.log.receipt(3), log.log.entry(3), [own, real.key])
    status = log.witnesses.status()
    assert (status["witnessed_size"], status["lag_entries"], status["lag_seconds"]) == (6, 0, 0.0)
    assert log.published[-1] == 6


def says(status, body, media_type="text/plain", **headers):
    """A behaviour: always the same answer."""

    def act(_actor, handler, _request):
        answer(handler, status, media_type, body, **headers)

    return act


def signs(make):
    """A behaviour: 200, with the line that is made."""

    def act(actor, handler, request):
        answer(handler, 200, "text/plain", make(actor, request).encode())

    return act


def hangs(_actor, _handler, _request):
    time.sleep(20)


def never_the_size(_actor, handler, request):
    answer(handler, 409, "text/x.tlog.size", b"0\n" if request.old else b"1\n")


def endless(_actor, handler, _request):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(b"x" * 100_000)


HOSTILE = {
    "garbage": says(200, b"\x00\xff" * 1000),
    "nothing": says(200, b""),
    "another's line": signs(lambda actor, request: Actor.line(_other(actor), request)),
    "signed by another key": signs(
        lambda actor, request: actor.line(request, signing_key=SigningKey(b"\x55" * 32))
    ),
    "over another text": signs(lambda actor, request: actor.line(request, text="another\n1\nAAAA\n")),
    "of long ago": signs(lambda actor, request: actor.line(request, seconds=1_700_000_000)),
    "of the future": signs(lambda actor, request: actor.line(request, seconds=int(time.time()) + 10_000)),
    "a gigabyte": endless,
    "a redirect": says(307, b"", Location="http://169.254.169.254/latest"),
    "409 and words": says(409, b"many\n", "text/x.tlog.size"),
    "409 of another type": says(409, b"99999\n", "text/html"),
    "another 409 each time": never_the_size,
    "503": says(503, b"later"),
}


def _other(_actor):
    other = Actor.__new__(Actor)
    other.name, other.signing_key = "other.example/w", SigningKey(b"\x44" * 32)
    return other


@pytest.mark.parametrize("behaviour", sorted(HOSTILE))
def test_of_what_a_witness_answers_nothing_is_kept_but_lines_that_verify(asking, actor, real, behaviour):
    hostile = actor(HOSTILE[behaviour])
    log = asking(hostile, quorum="group g any a0 real\nquorum g")
    log.post(3)
    head = log.until_witnessed()
    assert [line.name for line in parse_note(head.note).signatures] == [log.log.origin, real.key.name]
    assert until(lambda: log.problem("a0"), 30)
    assert log.log.status()["stopped"] is None


def test_a_witness_that_hangs_keeps_nobody_waiting_but_itself(asking, actor):
    hanging = actor(hangs)
    log = asking(hanging, quorum="quorum real")
    started = time.monotonic()
    for _ in range(3):
        log.post(2)
        log.until_witnessed()
    assert time.monotonic() - started < 4
    assert log.witnesses.status()["lag_entries"] == 0


def test_a_witness_that_is_away_stalls_its_quorum_and_not_the_log_and_one_proof_makes_up_for_it(
    asking, actor
):
    """Threat 41."""
    states = {"away": True}

    def act(actor, handler, request):
        if states["away"]:
            answer(handler, 503, "text/plain", b"")
        else:
            honest(actor, handler, request)

    late = actor(act)
    log = asking(late, quorum="quorum a0")
    for _ in range(5):
        assert not [each for each in log.post(20) if isinstance(each, LedgerError)]
    until(lambda: log.problem("a0"), 30)
    status = log.witnesses.status()
    assert (status["witnessed_size"], status["lag_entries"]) == (0, 101)
    assert log.witnesses.lag_s() > 0
    assert log.log.cosigned() is None
    states["away"] = False
    assert log.until_witnessed().size == 101
    assert log.witnesses.lag_s() == 0
    taken = len(late.got)
    log.post(50)
    log.until_witnessed()
    assert next(body.partition(b"\n")[0] for _, body in late.got[taken:]) == b"old 101"


def test_a_quorum_of_groups_is_met_by_enough_of_each(asking, actor, real):
    first, silent = actor(honest), actor(HOSTILE["503"], seed=b"\x22", name="b.example/w")
    quorum = "group us any a0 a1\ngroup them all real\ngroup both all us them\nquorum both"
    log = asking(first, silent, quorum=quorum)
    log.post(4)
    head = log.until_witnessed()
    assert {line.name for line in parse_note(head.note).signatures} == {
        log.log.origin,
        first.name,
        real.key.name,
    }


def test_a_witness_that_saw_more_than_there_is_stops_the_log(asking, tmp_path):
    """Threat 4: the whole machine was put back to an older state, head anchor and all; nothing but the witness remembers."""
    log = asking(quorum="quorum real")
    log.post(4)
    log.until_witnessed()
    log.close()
    for old in tmp_path.iterdir():
        if old.name.startswith("data"):
            (shutil.copytree if old.is_dir() else shutil.copy2)(old, tmp_path / f"kept-{old.name}")
    again = asking(quorum="quorum real")
    again.post(3)
    again.until_witnessed()
    again.close()
    for new in tmp_path.glob("data*"):
        (shutil.rmtree if new.is_dir() else Path.unlink)(new)
    for old in tmp_path.glob("kept-*"):
        old.rename(tmp_path / old.name.removeprefix("kept-"))
    restored = asking(quorum="quorum real")
    stopped = until(lambda: restored.log.status()["stopped"], 30)
    assert "has cosigned 8 entries of this log, which has 5" in stopped
    with pytest.raises(LedgerError) as refused:
        restored.post()
    assert refused.value.code == Code.LOG_STOPPED
    [kept] = (restored.data / "contradictions").iterdir()
    assert size_of((kept / "seen.checkpoint").read_bytes()) == 8
    assert json.loads((kept / "about.json").read_bytes())["witness"]
    assert not (
        kept / "fork.proof"
    ).exists()  # a smaller log proves no fork to others: both may be of one history


def test_a_log_that_was_rewritten_with_its_own_key_is_stopped_and_the_proof_convinces_anybody(
    asking, tmp_path
):
    """Threats 5 and 6: another tree, larger than what was witnessed, under the same key and name."""
    log = asking(quorum="quorum real")
    log.post(4)
    log.until_witnessed()
    log.close()
    other = tmp_path / "other"
    rewritten = other / "data"
    rewritten.mkdir(parents=True)
    shutil.copy2(log.data / "log.key", rewritten / "log.key")  # the thief has it
    Log.create(rewritten, log.log.origin)
    again = asking(quorum="quorum real", folder=other, data=rewritten, start=False)
    again.post(9)
    again.start()
    assert "refused the proof" in until(lambda: again.log.status()["stopped"], 30)
    [kept] = (again.data / "contradictions").iterdir()
    fork = parse_fork((kept / "fork.proof").read_bytes())
    forked = verify_fork(fork, parse_vkey(log.log.vkey))
    assert (forked.older.size, forked.older.root) == (5, log.until_witnessed().root)
    assert fork.root == again.log.root_at(5) != forked.older.root


def test_what_was_witnessed_before_a_start_must_still_be_the_beginning(asking, tmp_path):
    log = asking(quorum="quorum real")
    log.post(4)
    kept = log.until_witnessed()
    log.close()
    again = asking(quorum="quorum real", start=False)
    assert again.witnesses.newest() == kept._replace(recorded_at="")
    assert again.start().log.cosigned().size == 5
    assert again.log.status()["stopped"] is None


def test_a_lost_answer_is_made_up_for_by_the_size_that_the_witness_names(asking, actor, real):
    """The witness has moved on, the log does not know: 409, and the right proof."""
    log = asking(quorum="quorum real")
    log.post(4)
    log.until_witnessed()
    for worker in log.witnesses._workers:
        worker.known = 2
    log.post(4)
    assert log.until_witnessed().size == 9


@pytest.mark.parametrize(
    ("url", "private", "why"),
    [
        ("http://w.example/", False, "http:// is taken only together with --witness-private"),
        ("file:///etc/passwd", True, "no http or https URL"),
        ("https://user:hunter2@w.example/", True, "neither a user nor a fragment"),
        ("https://w.example/#x", True, "neither a user nor a fragment"),
        ("https://w.example/?to=1", True, "it is a prefix"),
        ("gopher://w.example/", True, "no http or https URL"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_asked(tmp_path, url, private, why):
    key = VerifierKey.derive("w.example/w", COSIGNATURE_V1, SigningKey(b"\x03" * 32).public)
    (tmp_path / "p").write_text(f"witness w {key} {url}\nquorum w\n")
    with pytest.raises(LedgerError, match=why) as refused:
        read_settings(tmp_path / "p", allow_private=private)
    assert "hunter2" not in refused.value.detail


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1"]
)
def test_an_address_inside_is_not_connected_to(tmp_path, host):
    """Threat 39: by default private addresses are not witnesses, whatever name leads there."""
    log = _asks(tmp_path, f"https://{host}:9/")
    try:
        problem = until(lambda: log.witnesses.status()["witnesses"][0]["problem"], 30)
        assert "nothing is sent to" in problem
    finally:
        log.witnesses.close()
        log.log.close()


class _Plain:
    def __init__(self, log, witnesses):
        self.log, self.witnesses = log, witnesses


def _asks(folder, url):
    key = VerifierKey.derive("w.example/w", COSIGNATURE_V1, SigningKey(b"\x03" * 32).public)
    (folder / "p").write_text(f"witness w {key} {url}\nquorum w\n")
    Log.create(folder / "data", ORIGIN)
    log = Log.open(folder / "data")
    witnesses = Witnesses(log, read_settings(folder / "p"), folder / "data")
    witnesses.start()
    return _Plain(log, witnesses)


def test_nobody_is_a_witness_to_himself(tmp_path):
    """Threat 42."""
    Log.create(tmp_path / "data", ORIGIN)
    log = Log.open(tmp_path / "data")
    try:
        own = VerifierKey.derive("me.example/w", COSIGNATURE_V1, log.signer.key.public)
        (tmp_path / "p").write_text(f"witness w {own} https://w.example/\nquorum w\n")
        with pytest.raises(LedgerError, match="nobody is a witness to himself"):
            check_own(read_settings(tmp_path / "p"), log.keys)
        stranger = VerifierKey.derive("other.example/log", 1, SigningKey(b"\x04" * 32).public)
        (tmp_path / "p").write_text(f"log {stranger}\nquorum none\n")
        with pytest.raises(LedgerError, match="another log's policy"):
            check_own(read_settings(tmp_path / "p"), log.keys)
    finally:
        log.close()


def test_a_quorum_that_nobody_can_be_asked_for_is_refused(tmp_path):
    key = VerifierKey.derive("w.example/w", COSIGNATURE_V1, SigningKey(b"\x03" * 32).public)
    (tmp_path / "p").write_text(f"witness w {key}\nquorum w\n")
    with pytest.raises(LedgerError, match="cannot be met"):
        read_settings(tmp_path / "p")


def test_an_idle_log_is_cosigned_anew_so_that_its_age_can_be_told(asking, actor, monkeypatch):
    monkeypatch.setattr("ledger.witness.rounds.REFRESH_S", 0.2)
    honest_one = actor(honest)
    log = asking(honest_one, quorum="quorum a0")
    log.until_witnessed()
    until(lambda: len(honest_one.got) >= 3, 30)
    assert [body.partition(b"\n")[0] for _, body in honest_one.got[-2:]] == [b"old 1", b"old 1"]
    assert parse_checkpoint(parse_note(log.witnesses.newest().note).text).size == 1


# ---- the log's key is rotated


def handed(actor):
    return [body for path, body in actor.got if path.endswith(KEYS_PATH)]


def test_a_log_that_rotates_its_key_hands_its_witness_the_proof_and_is_cosigned_on(asking, real):
    log = asking(quorum="quorum real")
    log.until_witnessed()
    for _ in range(2):
        log.log.rotate_key(by="token:admin")
        log.post()
        head = log.until_witnessed()
        open_note(head.note, [log.log.keys.current, real.key])
        assert log.problem("real") is None


def test_a_witness_of_another_make_is_handed_a_proof_once_and_goes_on_once_it_was_told(asking, actor):
    knows = False

    def act(actor, handler, request):
        if knows:
            honest(actor, handler, request)
        else:
            answer(handler, 403, "text/plain", b"invalid signature\n")

    other = actor(act)
    log = asking(other, quorum="quorum a0", with_real=False, start=False)
    log.log.rotate_key(by="token:admin")
    log.start()
    assert until(lambda: log.problem("a0"), 30).startswith("it answered 403: it does not know the key")
    knows = True
    log.until_witnessed()
    before = len(handed(other))
    assert set(handed(other)) == {log.log.key_proof()}
    log.post()
    log.until_witnessed()
    assert len(handed(other)) == before
    log.log.revoke_key(log.log.keys.first, 1, by="token:admin")
    log.until_witnessed()
    until(lambda: handed(other)[before:] == [log.log.key_proof()], 30)


def test_a_witness_that_follows_other_keys_is_named_and_stops_the_log_where_it_saw_another(asking, actor):
    saw = 0

    def act(_actor, handler, _request):
        if saw:
            answer(handler, 409, "text/x.tlog.size", f"{saw}\n".encode())
        else:
            answer(handler, 403, "text/plain", b"invalid signature\n")

    other = actor(act)
    other.keys_status = 409
    log = asking(other, quorum="quorum a0", with_real=False, start=False)
    log.log.rotate_key(by="token:admin")
    log.start()
    assert "refuses the proof of this log's keys (409)" in until(lambda: log.problem("a0"), 30)
    saw = 99
    assert "it has cosigned 99 entries" in until(lambda: log.witnesses.status()["contradiction"], 30)
