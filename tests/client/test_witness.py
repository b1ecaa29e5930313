"""A log that was rolled back or rewritten is found out by every recorder that saw it before, and keeps its signed lie as evidence."""

import json
import shutil
import time
from pathlib import Path

import pytest

from ledger.client import ForkError, Ledger, LedgerAway, Spool
from ledger.client.pins import pins_folder, read_pin
from ledger.core.checkpoint import open_checkpoint, parse_checkpoint
from ledger.core.errors import VerificationError
from ledger.core.fork import parse_fork, verify_fork
from ledger.core.merkle import verify_consistency
from ledger.core.note import parse_note, parse_vkey
from ledger.core.text import parse_base64
from tests.client.conftest import entries, token
from tests.faults.server import Server
from tests.project.tree import free_port

ORIGIN = "test.example/witness"


class Place:
    """A log that can be served, stopped, copied and put back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.server: Server | None = None

    def serve(self, origin: str = ORIGIN) -> Server:
        options = ("--port", str(self.port))
        self.server = Server(self.folder / "log" / "data", origin=origin, options=options)
        return self.server

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()

    def copy(self) -> None:
        shutil.copytree(self.folder / "log", self.folder / "copy")

    def put_back(self) -> None:
        shutil.rmtree(self.folder / "log")
        shutil.move(self.folder / "copy", self.folder / "log")


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.serve()
    yield made
    made.stop()


def note(ledger: Ledger, text: str) -> None:
    ledger.record({"type": "note", "ext": {"test.text": text}}, wait=True)


def seen_up_to(size: int) -> None:
    """Wait until the recorder saw what it wrote: it does within a second or so."""
    deadline_s = time.monotonic() + 20
    while parse_checkpoint(parse_note(read_pin(ORIGIN).checkpoint).text).size < size:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def evidence(error: ForkError) -> tuple[dict, bytes, bytes]:
    folder = error.evidence
    about = json.loads((folder / "about.json").read_text())
    seen, shown = ((folder / f"{name}.checkpoint").read_bytes() for name in ("seen", "shown"))
    assert folder.stat().st_mode & 0o777 == 0o700
    return about, seen, shown


def test_a_log_that_was_rolled_back_under_a_living_recorder_is_found_out(place, caplog):
    with Ledger(place.server.url, token(place.server), timeout_s=20) as ledger:
        note(ledger, "a")
        place.stop()
        place.copy()
        place.serve()
        note(ledger, "b")
        note(ledger, "c")
        seen_up_to(4)
        place.stop()
        place.put_back()
        size = len(entries(place.serve()))
        with pytest.raises(ForkError, match="rolled back") as found:
            note(ledger, "d")
        with pytest.raises(ForkError):
            ledger.action("x").start()
        assert len(entries(place.server)) == size  # nothing was sent
    about, seen, shown = evidence(found.value)
    key = parse_vkey(about["verifier_key"])
    assert open_checkpoint(seen, [key]).size > open_checkpoint(shown, [key]).size
    assert "contradicts" in caplog.text


def test_a_log_that_is_rolled_back_before_a_recorder_closes_is_found_out_and_raised(place, caplog):
    ledger = Ledger(place.server.url, token(place.server), timeout_s=20)
    note(ledger, "a")
    place.stop()
    place.copy()
    place.serve()
    note(ledger, "b")
    note(ledger, "c")
    seen_up_to(4)
    place.stop()
    place.put_back()
    place.serve()
    with pytest.raises(ForkError, match="rolled back"):
        ledger.close()
    assert "contradicts" in caplog.text


def test_a_log_that_was_rolled_back_before_its_newest_checkpoint_was_seen_is_held_to_its_own_answers(place):
    with Ledger(place.server.url, token(place.server), timeout_s=20) as ledger:
        note(ledger, "a")
        place.stop()
        place.copy()
        place.serve()
        for text in "bcdef":
            note(ledger, text)
        place.stop()
        place.put_back()
        place.serve()
        with pytest.raises(ForkError):
            note(ledger, "g")


def test_a_log_that_was_rolled_back_and_has_grown_again_is_found_out(place):
    with Ledger(place.server.url, token(place.server), timeout_s=20) as ledger:
        note(ledger, "a")
        place.stop()
        place.copy()
        place.serve()
        note(ledger, "b")
        seen_up_to(3)
        place.stop()
        place.put_back()
        place.serve()
        for _ in range(5):
            place.server.post({"type": "note", "time": "2026-01-01T00:00:00Z"})
        with pytest.raises(ForkError, match="are not what they were"):
            note(ledger, "c")


def test_a_log_that_was_rewritten_is_found_out_by_the_next_process_of_the_same_user(place):
    with Ledger(place.server.url, token(place.server)) as ledger:
        note(ledger, "a")
    place.stop()
    place.copy()
    place.serve()
    with Ledger(place.server.url, token(place.server)) as ledger:
        note(ledger, "b")
    place.stop()
    place.put_back()
    place.serve()
    for text in ("other", "words", "in the same places"):
        place.server.post({"type": "note", "time": "2026-01-01T00:00:00Z", "ext": {"test.text": text}})
    with (
        pytest.raises(ForkError, match="are not what they were") as found,
        Ledger(place.server.url, token(place.server)) as ledger,
    ):
        note(ledger, "c")
    about, seen, shown = evidence(found.value)
    key = parse_vkey(about["verifier_key"])
    old, new = open_checkpoint(seen, [key]), open_checkpoint(shown, [key])
    with pytest.raises(VerificationError):  # as anybody finds who is given the folder
        verify_consistency(
            old.size, new.size, [parse_base64(text) for text in about["proof"]["hashes"]], old.root, new.root
        )
    assert verify_fork(parse_fork((found.value.evidence / "fork.proof").read_bytes()), key) == (old, new)


def test_two_roots_for_one_size_are_found_out(place):
    place.stop()
    place.copy()
    place.serve()
    with Ledger(place.server.url, token(place.server)) as ledger:
        note(ledger, "a")
    place.stop()
    place.put_back()
    place.serve()
    place.server.post({"type": "note", "time": "2026-01-01T00:00:00Z"})
    with (
        pytest.raises(ForkError, match="two roots") as found,
        Ledger(place.server.url, token(place.server)) as ledger,
    ):
        note(ledger, "b")
    verify_fork(parse_fork((found.value.evidence / "fork.proof").read_bytes()))


def test_another_key_under_the_same_name_is_found_out(place):
    with Ledger(place.server.url, token(place.server)) as ledger:
        note(ledger, "a")
    place.stop()
    shutil.rmtree(place.folder / "log")
    place.serve()
    with pytest.raises(ForkError), Ledger(place.server.url, token(place.server)) as ledger:
        note(ledger, "b")


def test_another_log_at_the_same_address_is_found_out_while_the_recorder_lives(place):
    with Ledger(place.server.url, token(place.server), timeout_s=20) as ledger:
        note(ledger, "a")
        place.stop()
        shutil.rmtree(place.folder / "log")
        made = place.serve("test.example/another")
        ledger._sender._exchange._client._http.headers["Authorization"] = made.headers["Authorization"]
        with pytest.raises(ForkError):
            note(ledger, "b")


def test_a_verifier_key_that_is_not_the_logs_is_found_out_before_anything_is_sent(place):
    other = "test.example/witness+75567eac+AePgONEEU3NaqYlbeTLvBc2q7c3tm8WCtB2Ol8FfDL+A"
    known = place.server.client().get("/v1/log").json()["verifier_key"]
    before = len(entries(place.server))
    with Ledger(place.server.url, token(place.server), verifier_key=known) as ledger:
        note(ledger, "a")
    wrong = known[: known.index("+")] + other[other.index("+") :]
    assert wrong != known
    with pytest.raises(Exception, match="key"):
        Ledger(place.server.url, token(place.server), verifier_key=wrong + "A")
    assert len(entries(place.server)) == before + 1


def test_what_the_sdk_saw_the_command_line_remembers_and_the_other_way_round(place):
    with Ledger(place.server.url, token(place.server)) as ledger:
        note(ledger, "a")
        note(ledger, "b")
    pin = read_pin(ORIGIN)
    head = place.server.client().get("/checkpoint").content
    assert pin.checkpoint == head
    assert pins_folder().stat().st_mode & 0o777 == 0o700


def test_records_of_a_recorder_that_found_a_fork_stay_in_its_spool(place, tmp_path):
    spool = tmp_path / "spool"
    with Ledger(place.server.url, token(place.server), away=Spool(spool), timeout_s=20) as ledger:
        act = ledger.action("x").start()
        place.stop()
        shutil.rmtree(place.folder / "log")
        made = place.serve()
        ledger._sender._exchange._client._http.headers["Authorization"] = made.headers["Authorization"]
        act.succeed()
        with pytest.raises(ForkError):
            ledger.flush(20)
    assert any(act.id.encode() in file.read_bytes() for file in spool.glob("*.spool"))


def test_a_recorder_that_cannot_remember_says_so_and_records(place, monkeypatch, caplog, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with Ledger(place.server.url, token(place.server)) as ledger:
        note(ledger, "a")
    assert caplog.text.count("remembered by this process alone") + caplog.text.count("cannot be read") == 1


def test_a_memory_of_the_log_that_was_spoilt_stops_tools_and_is_named(place):
    with Ledger(place.server.url, token(place.server)) as ledger:
        note(ledger, "a")
    (pin,) = pins_folder().glob("*.checkpoint")
    pin.write_bytes(b"nothing")
    before = len(entries(place.server))
    with (
        pytest.raises(LedgerAway, match="what was seen of the log before cannot be read"),
        Ledger(place.server.url, token(place.server), timeout_s=0.5) as ledger,
    ):
        ledger.action("x").start()
    assert len(entries(place.server)) == before
