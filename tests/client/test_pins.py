"""What a user remembers of a log is only ever what that log's key signed."""

import pytest

from ledger.client.pins import Pin, pins_folder, read_pin, remember
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.errors import LedgerError
from ledger.core.note import NoteSigner

ORIGIN = "log.example/a"


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def signer(seed: int = 1, origin: str = ORIGIN) -> NoteSigner:
    return NoteSigner(origin, SigningKey(bytes([seed]) * 32))


def pin(size: int, seed: int = 1) -> Pin:
    return Pin(signer(seed).key, sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), signer(seed)))


def test_what_was_seen_is_read_back_and_replaced():
    assert read_pin(ORIGIN) is None
    for size in (3, 9):
        remember(ORIGIN, pin(size))
        assert read_pin(ORIGIN) == pin(size)


def test_a_checkpoint_of_another_key_or_log_is_never_remembered():
    for wrong, origin in ((Pin(signer(2).key, pin(3).checkpoint), ORIGIN), (pin(3), "other.example")):
        with pytest.raises(LedgerError):
            remember(origin, wrong)
    assert not pins_folder().exists()


def test_a_memory_that_was_changed_is_an_error_and_not_a_memory():
    path = remember(ORIGIN, pin(3))
    path.write_bytes(pin(3, seed=2).checkpoint)
    with pytest.raises(LedgerError):
        read_pin(ORIGIN)


@pytest.mark.parametrize("origin", ["../../etc", "a/b", "..", "ä/é", "ä" * 300])
def test_an_origin_never_leaves_the_folder(origin):
    made = NoteSigner(origin, SigningKey(bytes(32)))
    path = remember(origin, Pin(made.key, sign_checkpoint(Checkpoint(origin, 1, bytes(32)), made)))
    assert path.parent == pins_folder()
    assert read_pin(origin) is not None
