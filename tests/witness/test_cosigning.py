"""A witness never cosigns two histories: not to many at once, not after a kill. Threats 5, 6, 16 and 43."""

import json
import os
import random
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx
import pytest

from ledger.core.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.note import Cosigner, NoteSigner, VerifierKey, open_note, parse_note
from ledger.core.witnessing import MAX_BODY_BYTES, PATH, origin_hash
from ledger.witness.cosigning import KEY, ConflictError, Cosigning
from tests.alerts.receivers import until
from tests.faults.injector import Board, Mode
from tests.witness.conftest import NAME, ORIGIN, ROOT, Tree, WitnessServer, make_witness

ON, OFF = Tree(), Tree(branch="another")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One witness for all that ask it well or badly, each about a log of its own."""
    folder = tmp_path_factory.mktemp("running") / "w"
    make_witness(folder, name="example.com/witness")
    server = WitnessServer(folder)
    yield server
    server.stop()


def two_branches(running, name):
    """A log, witnessed there, and another history of it."""
    trees = Tree(f"ledger.example/{name}"), Tree(f"ledger.example/{name}", branch="another")
    Cosigning(running.folder).watch(trees[0].key)
    return trees


def code_of(cosigning, body):
    with pytest.raises(LedgerError) as refused:
        cosigning.add(body)
    return refused.value.code


def cosigned(note, line, key):
    """The size that a cosignature is over, once it is verified."""
    opened = open_note(note + line.encode(), [key])
    return parse_checkpoint(opened.text)


def test_the_published_dialogue_comes_out_as_it_says(shared, running):
    vectors = json.loads((shared / "vectors/witness/add_checkpoint_sequence.json").read_text())
    public = bytes.fromhex(vectors["meta"]["log_ed25519_pub_hex"])
    log = VerifierKey.derive(vectors["meta"]["log_origin"], 1, public)
    Cosigning(running.folder).watch(log)
    for step in vectors["steps"]:
        answer = running.post(step["body"].encode())
        assert (answer.status_code, step["body_contains"] in answer.text) == (step["code"], True), step[
            "name"
        ]
        if step["code"] == 409:
            assert answer.headers["content-type"] == "text/x.tlog.size"
            assert answer.text == step["body_contains"]


def test_what_is_not_as_the_protocol_says_gets_the_status_that_it_says(running):
    on, off = two_branches(running, "statuses")
    assert running.post(on.request(0, 5)).status_code == 200
    stranger = Tree("ledger.example/stranger")
    forged = sign_checkpoint(
        Checkpoint(on.origin, 9, bytes(32)), NoteSigner(on.origin, SigningKey(b"\x09" * 32))
    )
    empty = sign_checkpoint(Checkpoint(on.origin, 0, bytes(32)), on.signer)
    cases = {
        "old above the checkpoint": (on.request(6, 5, proof=[]), 400),
        "a line that is no hash": (on.request(5, 9).replace(b"\n\n", b"\nAAAA\n\n", 1), 400),
        "64 hashes": (on.request(5, 9, proof=[bytes(32)] * 64), 400),
        "63 hashes": (on.request(5, 9, proof=[bytes(32)] * 63), 422),
        "old with a sign": (on.request(5, 9).replace(b"old 5", b"old +5"), 400),
        "old with a leading zero": (on.request(5, 9).replace(b"old 5", b"old 05"), 400),
        "old beyond 2^63": (on.request(5, 9).replace(b"old 5", b"old 9223372036854775808"), 400),
        "carriage returns": (on.request(5, 9).replace(b"\n", b"\r\n"), 400),
        "no body": (b"", 400),
        "101 signatures": (on.request(5, 9) + on.note(9).split(b"\n\n")[1] * 100, 400),
        "another log": (stranger.request(0, 5), 404),
        "another's key under its name": (on.request(5, 9, note=forged), 403),
        "its own word as a witness": (on.request(5, 9, note=on.note(9, stranger.signer)), 403),
        "a smaller tree": (on.request(0, 3), 409),
        "a proof with nothing to prove": (on.request(5, 5, proof=[bytes(32)]), 422),
        "another root of the same size": (off.request(5, 5), 422),
        "another branch": (off.request(5, 9), 422),
        "a root of nothing that is something": (on.request(0, 0, note=empty), 409),
    }
    found = {name: running.post(body).status_code for name, (body, _) in cases.items()}
    assert found == {name: status for name, (_, status) in cases.items()}
    assert running.post(bytes(MAX_BODY_BYTES + 1)).status_code == 413
    assert running.get("/add-checkpoint").status_code == 405
    assert running.post(on.request(5, 9)).status_code == 200


def test_sixteen_long_lines_of_unknown_keys_do_not_matter(cosigning):
    unknown = "".join(f"— other.example/{n} {'A' * 3232}\n" for n in range(16)).encode()
    assert cosigning.add(ON.request(0, 5, note=ON.note(5) + unknown))
    assert unknown not in cosigning.seen(ORIGIN)


def test_a_root_of_size_0_that_is_not_the_empty_trees_is_refused(cosigning):
    note = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), ON.signer)
    assert code_of(cosigning, ON.request(0, 0, note=note)) == Code.INVALID_PROOF
    assert cosigning.add(ON.request(0, 0))
    assert cosigning.add(ON.request(0, 4))


def test_200_requests_at_once_on_two_branches_never_get_two_cosignatures_that_disagree(tmp_path, serve):
    """Over HTTP, each on a connection of its own; the witness is killed -9 in between, and started again on what it left."""
    make_witness(tmp_path / "w", ON)
    witness = serve(tmp_path / "w")
    url, key = f"{witness.url}{PATH}", witness.key
    work = [(tree, old, old + step) for tree in (ON, OFF) for old in range(25) for step in (1, 2, 5, 9)]
    assert len(work) == 200
    random.Random(43).shuffle(work)
    given, cut_off = [], []

    def ask(asked):
        tree, old, new = asked
        while True:
            try:
                answer = http.post(url, content=tree.request(old, new))
            except httpx.TransportError:
                cut_off.append(asked)
                time.sleep(0.05)
                continue
            assert answer.status_code in {200, 409, 422}, answer.text
            if answer.status_code == 200:
                given.append(cosigned(tree.note(new), answer.text, key))
            return

    known = []
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with (
        httpx.Client(timeout=60, trust_env=False, limits=limits) as http,
        ThreadPoolExecutor(len(work)) as pool,
    ):
        for _ in range(2):  # what came too early has its turn
            asked = [pool.submit(ask, each) for each in work]
            until(lambda asked=asked: sum(each.done() for each in asked) > 70, 60)
            witness.kill()
            known.append(max(each.size for each in given))
            witness = serve(tmp_path / "w", port=int(witness.url.rpartition(":")[2]))
            for each in asked:
                each.result()
    roots = {
        tree: {size: parse_checkpoint(parse_note(tree.note(size)).text).root for size in range(40)}
        for tree in (ON, OFF)
    }
    assert len(given) > 3
    assert cut_off
    assert any(all(roots[tree][one.size] == one.root for one in given) for tree in (ON, OFF))
    assert next(Cosigning(tmp_path / "w").logs()).size == max(each.size for each in given)
    assert known == sorted(known)


COSIGN = (
    "import sys; from pathlib import Path; from ledger.witness.cosigning import Cosigning; "
    "print(Cosigning(Path(sys.argv[1])).add(sys.stdin.buffer.read()), end='')"
)


def test_killed_at_any_call_that_touches_the_disk_it_forgets_no_cosignature_that_got_out(tmp_path, library):
    make_witness(tmp_path / "w", ON)
    (tmp_path / "board").mkdir()
    board = Board(tmp_path / "board", tmp_path / "w", trace=True)

    def cosign(body):
        return subprocess.run(
            [sys.executable, "-c", COSIGN, str(tmp_path / "w")],
            input=body,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **board.environment(library)},
            check=False,
        )

    cosign(ON.request(0, 1))
    before = len(board.trace())
    assert cosign(ON.request(1, 1)).returncode == 0
    calls = board.trace()[before:]
    assert {"write", "sync", "rename"} <= {each.call for each in calls}
    known = 1
    for call in calls:
        for mode in (Mode.KILL_BEFORE, Mode.KILL_AFTER):
            board.fail(call.call, call.kind, mode)
            died = cosign(ON.request(known, known + 1))
            board.heal()
            assert (died.returncode, died.stdout) == (-9, b""), call
            witness = Cosigning(tmp_path / "w")
            size = next(witness.logs()).size
            assert size in {known, known + 1}  # the one it had, or the one it was about to cosign
            with pytest.raises(ConflictError):
                witness.add(ON.request(known - 1, known + 5))
            witness.add(ON.request(size, known + 1))
            known += 1


def test_a_server_that_is_killed_between_the_disk_and_the_answer_knows_what_it_was_about_to_say(
    tmp_path, serve, library
):
    make_witness(tmp_path / "w", ON)
    (tmp_path / "board").mkdir()
    board = Board(tmp_path / "board", tmp_path / "w")
    server = serve(tmp_path / "w", environment=board.environment(library))
    board.fail("rename", "", Mode.KILL_AFTER)
    with pytest.raises(httpx.TransportError):
        server.post(ON.request(0, 5))
    assert server.process.wait(30) == -9
    again = serve(tmp_path / "w")
    assert (again.post(OFF.request(0, 9)).status_code, again.post(OFF.request(0, 9)).text) == (409, "5\n")
    assert again.post(OFF.request(5, 9)).status_code == 422
    assert again.post(ON.request(5, 9)).status_code == 200


def test_a_disk_that_fails_gives_no_cosignature_and_the_witness_goes_on(tmp_path, serve, library):
    make_witness(tmp_path / "w", ON)
    (tmp_path / "board").mkdir()
    board = Board(tmp_path / "board", tmp_path / "w")
    server = serve(tmp_path / "w", environment=board.environment(library))
    assert server.post(ON.request(0, 2)).status_code == 200
    board.fail("sync", "", Mode.FAILED)
    assert server.post(ON.request(2, 5)).status_code == 500
    board.heal()
    assert server.post(ON.request(2, 5)).status_code == 200


def test_the_clock_of_a_cosignature_never_runs_back(cosigning, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    cosigning.add(ON.request(0, 5))
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    cosigning.add(ON.request(5, 9))
    assert next(cosigning.logs()).cosigned_at == 2_000_000_000


def test_a_checkpoint_that_is_sent_again_is_cosigned_at_its_new_time(cosigning, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_900_000_000.0)
    first = cosigning.add(ON.request(0, 5))
    monkeypatch.setattr("time.time", lambda: 1_900_000_060.0)
    assert cosigning.add(ON.request(5, 5)) != first
    assert next(cosigning.logs()).cosigned_at == 1_900_000_060


def test_a_log_that_was_removed_and_comes_back_cannot_have_another_history_cosigned(cosigning):
    cosigning.add(ON.request(0, 5))
    cosigning.unwatch(ORIGIN)
    assert code_of(cosigning, ON.request(5, 9)) == Code.NOT_FOUND
    assert [(log.size, log.keys) for log in cosigning.logs()] == [(5, ())]
    cosigning.watch(ON.key)
    with pytest.raises(ConflictError) as conflict:
        cosigning.add(OFF.request(0, 9))
    assert conflict.value.size == 5
    assert code_of(cosigning, OFF.request(5, 9)) == Code.INVALID_PROOF


def test_a_stolen_key_gets_no_second_tree_cosigned(cosigning):
    """Threat 16: another server with the log's own key and name."""
    cosigning.add(ON.request(0, 9))
    with pytest.raises(ConflictError):
        cosigning.add(OFF.request(0, 9))
    assert code_of(cosigning, OFF.request(9, 9)) == Code.INVALID_PROOF
    assert code_of(cosigning, OFF.request(9, 12)) == Code.INVALID_PROOF


def test_a_memory_that_was_edited_or_swapped_is_no_memory_and_no_beginning(cosigning, tmp_path):
    other = Tree("ledger.example/other")
    cosigning.watch(other.key)
    cosigning.add(ON.request(0, 5))
    cosigning.add(other.request(0, 7))
    seen = tmp_path / "witness/logs" / f"{origin_hash(ORIGIN)}.seen"
    whole = seen.read_bytes()
    for edited in (
        b"",
        whole.replace(b"\n5\n", b"\n3\n"),
        whole[: whole.rindex("—".encode())],  # its own line is gone
        cosigning.seen(other.origin),
    ):
        seen.write_bytes(edited)
        assert code_of(cosigning, ON.request(0, 5)) == Code.STORAGE_FAILED
        assert code_of(cosigning, ON.request(5, 9)) == Code.STORAGE_FAILED


def test_what_was_cosigned_last_can_be_read_by_anybody_with_both_signatures(running):
    on, _ = two_branches(running, "read")
    where = f"/{origin_hash(on.origin)}/checkpoint"
    assert running.get(where).status_code == 404
    running.post(on.request(0, 5))
    running.post(on.request(5, 9))
    note = running.get(where)
    assert parse_checkpoint(open_note(note.content, [on.key]).text).size == 9
    assert open_note(note.content, [running.key]).verified_keys == (running.key,)
    for wrong in (
        "/x/checkpoint",
        f"/{'0' * 64}/checkpoint",
        f"/{'0' * 63}%2f/checkpoint",
        "/%2e%2e/checkpoint",
    ):
        assert running.get(wrong).status_code == 404


def test_a_second_witness_of_the_same_folder_does_not_start(running):
    with pytest.raises(AssertionError, match="is in use by process"):
        WitnessServer(running.folder)


def test_its_key_is_its_own(tmp_path):
    """Threat 21: a log's key cosigns nothing, a witness's key is in nobody else's hands and signs no note."""
    made = make_witness(tmp_path / "w")
    assert stat.S_IMODE((tmp_path / "w" / KEY).stat().st_mode) == 0o600
    with pytest.raises(LedgerError) as refused:
        made.watch(made.key)
    assert refused.value.code == Code.UNSUPPORTED_ALGORITHM
    with pytest.raises(LedgerError) as refused:
        make_witness(tmp_path / "w")
    assert refused.value.code == Code.KEY_EXISTS
    (tmp_path / "w" / KEY).chmod(0o640)
    with pytest.raises(LedgerError) as refused:
        Cosigning(tmp_path / "w")
    assert refused.value.code == Code.KEY_FILE


def test_sizes_only_grow(cosigning):
    sizes = [0, 1, 2, 3, 7, 8, 9, 30]
    for old, new in pairwise(sizes):
        line = cosigning.add(ON.request(old, new))
        assert cosigned(ON.note(new), line, cosigning.key).size == new
        assert isinstance(cosigning.key, VerifierKey)
    assert Cosigner(NAME, SigningKey(b"\x01" * 32), 1).key != cosigning.key
