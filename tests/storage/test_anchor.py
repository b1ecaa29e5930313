"""The head anchor keeps the newest checkpoint through cut-off writes, damage and removal."""

import errno

import pytest

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.ed25519 import generate
from ledger.core.errors import Code, LedgerError
from ledger.core.note import NoteSigner
from ledger.storage.anchor import SLOT_BYTES, HeadAnchor

SIGNER = NoteSigner("ledger.example/a", generate())


def note(size):
    return sign_checkpoint(Checkpoint("ledger.example/a", size, bytes([size]) * 32), SIGNER)


@pytest.fixture
def anchor(tmp_path):
    anchor = HeadAnchor(tmp_path / "a.head")
    yield anchor
    anchor.close()


def test_there_is_none_at_first_and_then_the_newest(anchor):
    assert anchor.read() is None
    for size in (1, 2, 3, 9):
        anchor.advance(note(size), size)
        assert HeadAnchor(anchor.path).read() == note(size)
    assert anchor.size == 9
    assert anchor.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kept", [0, 1, 64, 65, 100, 200])
def test_a_write_that_is_cut_off_leaves_the_checkpoint_before(anchor, kept):
    anchor.advance(note(1), 1)
    anchor.advance(note(2), 2)  # the second slot
    whole = anchor.path.read_bytes()
    anchor.advance(note(3), 3)  # over the first
    cut = anchor.path.read_bytes()[:kept] + whole[kept:]
    anchor.path.write_bytes(cut)
    assert HeadAnchor(anchor.path).read() == note(2)


def test_after_a_restart_the_newest_slot_is_not_the_one_written_over(anchor):
    for size in (1, 2, 3):
        anchor.advance(note(size), size)
    again = HeadAnchor(anchor.path)
    again.advance(note(4), 4)
    again.close()
    slots = anchor.path.read_bytes()
    assert note(3) in slots
    assert note(4) in slots
    assert len(slots) == 2 * SLOT_BYTES


def test_an_anchor_that_was_taken_away_is_made_anew(anchor):
    anchor.advance(note(1), 1)
    anchor.path.unlink()
    anchor.advance(note(2), 2)
    assert HeadAnchor(anchor.path).read() == note(2)


def test_damage_to_both_slots_is_said(anchor):
    anchor.path.write_bytes(b"x" * 10)
    with pytest.raises(LedgerError) as refused:
        anchor.read()
    assert refused.value.code == Code.STORAGE_FAILED


def test_a_note_that_does_not_fit_is_not_written(anchor):
    anchor.advance(note(1), 1)
    with pytest.raises(OSError, match="does not fit") as refused:
        anchor.advance(note(2) + b"x" * SLOT_BYTES, 2)
    assert refused.value.errno == errno.EFBIG
    assert anchor.read() == note(1)


def test_a_second_writer_of_an_anchor_stops_the_first(anchor):
    anchor.advance(note(1), 1)
    anchor.advance(note(2), 2)
    other = HeadAnchor(anchor.path)
    other.advance(note(3), 3)
    with pytest.raises(OSError, match="writes this log"):
        anchor.advance(note(4), 4)
    assert HeadAnchor(anchor.path).read() == note(3)
    other.close()


def test_an_anchor_that_was_replaced_by_that_of_another_writer_stops_the_first(anchor, tmp_path):
    anchor.advance(note(1), 1)
    other = HeadAnchor(tmp_path / "other.head")
    other.advance(note(2), 2)
    other.close()
    other.path.rename(anchor.path)
    with pytest.raises(OSError, match="writes this log"):
        anchor.advance(note(3), 3)
    assert HeadAnchor(anchor.path).read() == note(2)
