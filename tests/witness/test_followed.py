"""A log rotates its key, and who witnesses it follows: by the proof that the log hands, from the key that was known, and by nothing else."""

import contextlib
import shutil

import pytest

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.ed25519 import generate
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import parse_history
from ledger.core.note import NoteSigner, open_note
from ledger.core.peerkeys import ADDED, FOLLOWED, MAX_PROOF_BYTES
from ledger.core.witnessing import KEYS_PATH, AddCheckpoint, format_add_checkpoint
from ledger.log.keys import load_key
from ledger.log.log import Log
from ledger.storage.layout import KEY
from ledger.witness.cosigning import Cosigning
from ledger.witness.followed import Followed
from ledger.witness.following import Following
from tests.log.conftest import post, record
from tests.witness.conftest import make_witness

ORIGIN = "alice.example/log"


class Other:
    """Another owner's log, at some time."""

    def __init__(self, data, copy_of=None):
        self.data = data
        if copy_of is None:
            Log.create(data, ORIGIN)
        else:
            shutil.copytree(copy_of, data)
        self.log = Log.open(data, accept_missing_anchor=True)

    def grow(self, number=0):
        post(self.log, record(self.log.head().size + number))

    def rotate(self):
        self.log.rotate_key(by="token:admin")

    def request(self, old, *signers):
        head = self.log.head()
        note = (
            head.note if not signers else sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root), *signers)
        )
        return format_add_checkpoint(
            AddCheckpoint(old, self.log.consistency(old, head.size) if old else [], note)
        )


@pytest.fixture
def other(tmp_path):
    made = Other(tmp_path / "alice")
    made.grow()
    yield made
    made.log.close()


@pytest.fixture
def witness(tmp_path, other):
    return make_witness(tmp_path / "w", other.log.keys.first)


def code_of(do, *arguments):
    with pytest.raises(LedgerError) as caught:
        do(*arguments)
    return caught.value.code


def size_of(witness):
    [seen] = witness.logs()
    return seen.size


# ---- the witness


def test_a_witness_follows_a_log_from_the_key_it_knows_and_cosigns_on(other, witness, tmp_path):
    witness.add(other.request(0))
    old, first = size_of(witness), load_key(other.data / KEY)
    other.rotate()
    other.grow()
    assert code_of(witness.add, other.request(old)) is Code.UNKNOWN_SIGNER
    assert witness.follow(other.log.key_proof()) == other.log.keys
    line = witness.add(other.request(old))
    assert open_note(other.log.head().note + line.encode(), [witness.key]).cosigned_at
    other.rotate()
    other.grow()
    again = Cosigning(tmp_path / "w")  # as after a start
    assert again.follow(other.log.key_proof()) == other.log.keys
    assert again.follow(other.log.key_proof()) == other.log.keys
    again.add(other.request(size_of(again)))
    other.grow()
    size = size_of(again)
    assert code_of(again.add, other.request(size, first)) is Code.UNKNOWN_SIGNER
    assert size_of(again) == size


def test_the_rotations_own_checkpoint_may_have_been_cosigned_before_its_proof_came(other, witness):
    other.rotate()
    witness.add(other.request(0))  # it has the line of the first key too
    other.grow()
    assert code_of(witness.add, other.request(size_of(witness))) is Code.UNKNOWN_SIGNER
    witness.follow(other.log.key_proof())
    witness.add(other.request(size_of(witness)))


def test_a_key_that_was_revoked_counts_for_nothing_from_its_index(other, witness, tmp_path):
    stolen = load_key(other.data / KEY)
    other.grow()
    other.rotate()
    other.log.revoke_key(stolen.key, 1, by="token:admin")
    thief = Other(tmp_path / "thief", other.data)  # at a size that the key was in force for
    thief.log.close()
    note = sign_checkpoint(Checkpoint(ORIGIN, 2, other.log.root_at(2)), stolen)
    request = format_add_checkpoint(AddCheckpoint(0, [], note))
    witness.follow(other.log.key_proof())
    assert code_of(witness.add, request) is Code.UNKNOWN_SIGNER
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, other.log.root_at(1)), stolen)
    witness.add(format_add_checkpoint(AddCheckpoint(0, [], note)))


def test_what_somebody_wrote_down_counts_beside_what_was_followed(other, witness):
    prepared = other.log.next_key().key
    witness.watch(prepared)
    witness.add(other.request(0))
    other.rotate()
    witness.follow(other.log.key_proof())
    other.rotate()
    other.grow()
    witness.watch(other.log.keys.current)  # of this one it is told by hand alone
    witness.add(other.request(size_of(witness)))


def forgeries(other, tmp_path):
    """Proofs that are not this log's newest one, each with how it is refused."""
    forked = Other(tmp_path / "forked", other.data)
    other.rotate()
    forked.rotate()
    forked.grow()
    stranger = Other(tmp_path / "stranger")
    stranger.rotate()
    older = other.log.key_proof()
    other.rotate()
    proofs = {
        "forked": (forked.log.key_proof(), Code.FORKED),
        "of another log with its name": (stranger.log.key_proof(), Code.UNKNOWN_SIGNER),
        "older": (older, Code.ROLLED_BACK),
        "altered": (other.log.key_proof().replace(b"index 2", b"index 3"), Code.MALFORMED_EVIDENCE),
        "no proof": (b"no proof", Code.MALFORMED_JSON),
        "empty": (b"", Code.MALFORMED_JSON),
    }
    for each in (forked, stranger):
        each.log.close()
    return proofs


def test_what_is_not_that_logs_proof_or_is_older_or_another_history_changes_nothing(other, witness, tmp_path):
    witness.add(other.request(0))
    forged = forgeries(other, tmp_path)
    witness.follow(other.log.key_proof())
    for name, (proof, code) in forged.items():
        assert code_of(witness.follow, proof) is code, name
    assert Followed(tmp_path / "w").proof(ORIGIN) == other.log.key_proof()
    other.grow()
    witness.add(other.request(size_of(witness)))


def test_a_log_that_nobody_witnesses_here_is_not_followed(other, witness, tmp_path):
    witness.unwatch(ORIGIN)
    other.rotate()
    assert code_of(witness.follow, other.log.key_proof()) is Code.NOT_FOUND
    assert Followed(tmp_path / "w").proof(ORIGIN) is None


def test_a_history_that_what_was_cosigned_contradicts_is_not_followed(other, witness, tmp_path):
    """Whoever has the key before hands its rotation of long ago, which the log went on without."""
    thief = Other(tmp_path / "thief", other.data)
    thief.rotate()
    proof = thief.log.key_proof()
    thief.log.close()
    other.grow()
    other.grow()
    witness.add(other.request(0))  # of a size that in the thief's history another key signs for
    assert code_of(witness.follow, proof) is Code.FORKED
    other.grow()
    witness.add(other.request(size_of(witness)))


def test_a_history_with_another_root_at_the_size_that_was_cosigned_is_not_followed(other, witness, tmp_path):
    thief = Other(tmp_path / "thief", other.data)
    thief.rotate()
    other.grow()
    witness.add(other.request(0))
    assert thief.log.head().size == size_of(witness)
    assert code_of(witness.follow, thief.log.key_proof()) is Code.FORKED
    thief.log.close()


def test_over_http_a_proof_needs_no_token_and_outlives_a_kill(other, witness, serve, tmp_path):
    server = serve(tmp_path / "w")
    assert server.post(other.request(0)).status_code == 200
    forged = forgeries(other, tmp_path)
    size = size_of(witness)
    proof = other.log.key_proof()
    answer = server.http.post(KEYS_PATH, content=proof)
    assert (answer.status_code, answer.text.strip()) == (200, str(other.log.keys.current))
    server.kill()
    server = serve(tmp_path / "w")
    statuses = {
        name: server.http.post(KEYS_PATH, content=bad).status_code for name, (bad, _) in forged.items()
    }
    assert statuses == {
        "forked": 409,
        "of another log with its name": 403,
        "older": 409,
        "altered": 400,
        "no proof": 400,
        "empty": 400,
    }
    assert server.http.post(KEYS_PATH, content=b" " * (MAX_PROOF_BYTES + 1)).status_code == 413
    other.grow()
    assert server.post(other.request(size)).status_code == 200
    assert server.http.get(KEYS_PATH).status_code == 405


# ---- the ledger beside it


@pytest.fixture
def own(tmp_path, other):
    """A log that has accepted the other one's first key."""
    Log.create(tmp_path / "bob", "bob.example/log")
    with contextlib.closing(Log.open(tmp_path / "bob")) as log:
        log.append_own(ADDED, {"log.peer": "alice", "log.peer_log": str(other.log.keys.first)})
        yield log


def said(log):
    return [
        (ext["log.peer"], ext["log.peer_key"], ext["log.peer_from"], ext["log.peer_change"])
        for seq in range(log.head().size)
        if (found := log.stored(seq).entry) and FOLLOWED.encode() in found
        for ext in [_ext(found)]
    ]


def _ext(entry):
    return parse_entry(entry).members["ext"]


def test_each_step_that_a_peer_was_followed_by_is_an_entry_of_the_log_and_in_force_after_a_start(
    own, other, witness, tmp_path
):
    following = Following(own, tmp_path / "w")
    assert following.look() == 0
    first = other.log.keys.first
    other.rotate()
    other.rotate()
    other.log.revoke_key(first, 1, by="token:admin")
    witness.follow(other.log.key_proof())
    assert following.look() == 3
    assert following.look() == 0
    terms = other.log.keys.terms
    assert said(own) == [
        ("alice", str(terms[1].key), terms[1].start, "rotated"),
        ("alice", str(terms[2].key), terms[2].start, "rotated"),
        ("alice", str(first), 1, "revoked"),
    ]
    assert own.standing.peers.keys() == [other.log.keys]
    own.seal()
    copy = tmp_path / "again"
    shutil.copytree(tmp_path / "bob", copy)
    with contextlib.closing(Log.open(copy, accept_missing_anchor=True)) as again:
        assert again.standing.peers.keys() == [other.log.keys]
        (peer,) = again.standing.peers.peers.values()
        assert parse_history(peer.proof, first) == other.log.keys
        assert Following(again, tmp_path / "w").look() == 0


def test_a_kill_between_two_steps_leaves_the_rest_to_the_next_start(own, other, witness, tmp_path):
    other.rotate()
    other.rotate()
    witness.follow(other.log.key_proof())

    class Killed(Exception):  # noqa: N818
        pass

    class Dying:
        standing = property(lambda _: own.standing)

        def append_own(self, kind, ext):
            own.append_own(kind, ext)
            raise Killed

    with pytest.raises(Killed):
        Following(Dying(), tmp_path / "w").look()
    assert len(said(own)) == 1
    assert Following(own, tmp_path / "w").look() == 1
    assert [key for _, key, _, _ in said(own)] == [str(term.key) for term in other.log.keys.terms[1:]]


def test_the_log_itself_checks_what_lies_in_the_witness_folder(own, other, witness, tmp_path):
    forged = forgeries(other, tmp_path)
    witness.follow(other.log.key_proof())
    following = Following(own, tmp_path / "w")
    assert following.look() == 2
    before = own.head().size
    for name, (proof, _) in forged.items():
        Followed(tmp_path / "w").keep(ORIGIN, proof)
        assert (Following(own, tmp_path / "w").look(), own.head().size) == (0, before), name
    with pytest.raises(LedgerError):
        own.append_own(FOLLOWED, {"log.peer_log": str(other.log.keys.first)})
    stolen = NoteSigner(ORIGIN, generate())
    with pytest.raises(LedgerError):
        own.append_own(FOLLOWED, {"log.peer_log": str(stolen.key), "log.peer_first": str(stolen.key)})
    assert own.standing.peers.keys() == [other.log.keys]
