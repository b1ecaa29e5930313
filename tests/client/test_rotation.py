"""Who pinned a key of the log follows its rotations by their proof, and is led nowhere else."""

import shutil

import pytest

from ledger.client import ForkError
from ledger.client.export import export_log
from ledger.client.http import LedgerClient
from ledger.client.pins import pin_files, read_pin
from ledger.client.sources import FolderSource, HttpSource
from ledger.client.verify import verify_source
from ledger.client.witness import Witness
from ledger.core.fork import parse_fork, verify_fork
from ledger.core.keyhistory import parse_history
from ledger.core.note import parse_vkey
from ledger.log.log import Log
from tests.faults.server import Server
from tests.project.tree import free_port

ORIGIN = "test.example/rotating"


class Place:
    """A log at an address: served, stopped, rotated, copied."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.data = folder / "log" / "data"
        self.server = None
        self.serve()

    def serve(self):
        self.server = Server(self.data, origin=ORIGIN, options=("--port", str(self.port)))

    def stop(self):
        assert self.server.stop() == 0

    def client(self):
        return LedgerClient(self.server.url, self.server.headers["Authorization"].split()[1])

    def post(self, *names):
        records = [{"id": name, "type": "action", "time": "2026-11-21T09:30:00Z"} for name in names]
        assert self.server.post(*records).status_code == 201

    def rotate(self):
        with self.server.client() as client:
            client.post("/v1/keys/rotate").raise_for_status()

    def keys(self):
        with self.client() as client:
            log = client.log()
            return parse_history(client.key_proof(), parse_vkey(log["verifier_key"]))

    def check(self, witness):
        with self.client() as client:
            return witness.check(client)


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.post("a", "b")
    yield made
    made.server.stop()


def test_a_client_that_pinned_the_first_key_follows_in_the_same_process_and_in_the_next(place):
    first = place.keys().first
    running = Witness(first)
    assert place.check(running).size == 3
    for turn in range(2):
        place.rotate()
        place.post(f"c-{turn}")
        assert place.check(running).size == 5 + 2 * turn
    keys = place.keys()
    pin = read_pin(ORIGIN)
    assert (pin.key, pin.keys) == (keys.current, keys)
    for known in (first, None, keys.current, keys.keys[1]):
        assert place.check(Witness(known)).size == 7


def test_a_client_that_saw_the_log_first_after_a_rotation_believes_the_key_in_force(place):
    place.rotate()
    assert place.check(Witness()).size == 4
    assert read_pin(ORIGIN).key == place.keys().current
    place.rotate()
    assert place.check(Witness()).size == 5


def test_a_client_is_not_led_by_a_key_that_nobody_handed_over_to(place, tmp_path):
    """Another log under the same name and address: its own proof is whole, and leads from none of the keys that were seen."""
    place.check(Witness())
    place.stop()
    shutil.move(place.folder / "log", tmp_path / "gone")
    place.serve()
    place.rotate()
    place.post("a", "b", "c")
    with pytest.raises(ForkError, match="its proof of its keys does not hold"):
        place.check(Witness(read_pin(ORIGIN).key))


def test_a_log_that_was_rewritten_and_rotated_is_a_fork_that_anybody_can_check(place, tmp_path):
    """An insider takes an old copy, writes another history, and rotates its key: what the client saw contradicts it."""
    place.stop()
    shutil.copytree(place.folder / "log", tmp_path / "copy")
    place.serve()
    place.rotate()
    place.post("c", "d")
    place.stop()
    key, proof = (place.data / "log.key").read_bytes(), None
    place.serve()
    witness = Witness(place.keys().first)
    place.check(witness)
    place.stop()
    shutil.rmtree(place.folder / "log")
    shutil.move(tmp_path / "copy", place.folder / "log")
    log = Log.open(place.data)
    log.close()
    place.serve()
    place.post("x", "y", "z")
    (place.data / "log.key.next").write_bytes(key)
    (place.data / "log.key.next").chmod(0o600)
    place.rotate()
    place.post("w")
    with pytest.raises(ForkError) as caught:
        place.check(Witness(place.keys().first))
    proof = (caught.value.evidence / "fork.proof").read_bytes()
    forked = verify_fork(parse_fork(proof), place.keys().first)
    assert forked.older.size == 6


def test_an_export_carries_the_proof_and_is_verified_by_any_key(place, tmp_path):
    first = place.keys().first
    place.rotate()
    place.post("c")
    place.rotate()
    place.post("d")
    keys = place.keys()
    with place.client() as client:
        export_log(HttpSource(client), tmp_path / "export", vkey=first)
        for known in keys.keys:
            assert verify_source(HttpSource(client), vkey=known).findings == ()
    for known in keys.keys:
        assert verify_source(FolderSource(tmp_path / "export"), vkey=known).findings == ()
    (tmp_path / "export" / "keys.json").write_bytes(b"{}")
    assert verify_source(FolderSource(tmp_path / "export"), vkey=first).findings != ()
    assert verify_source(FolderSource(tmp_path / "export"), vkey=keys.current).findings != ()


def test_a_ledger_that_shows_no_proof_is_believed_as_before(place, monkeypatch):
    monkeypatch.setattr(LedgerClient, "key_proof", lambda _: None)
    assert place.check(Witness(place_key(place))).size == 3
    assert all(path.exists() for path in pin_files(ORIGIN))


def place_key(place):
    with place.server.client() as client:
        return parse_vkey(client.get("/v1/log").json()["verifier_key"])
