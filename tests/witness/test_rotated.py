"""A log whose key is rotated keeps its policy, and what its witnesses cosigned; a witness that was told the next key cosigns on."""

import pytest

from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.note import Cosigner, open_note, parse_note
from ledger.core.witnessing import AddCheckpoint, format_add_checkpoint
from ledger.log.log import Log
from ledger.witness.collected import keep, read_kept
from ledger.witness.cosigning import Cosigning
from ledger.witness.keyfile import create_witness_key
from ledger.witness.settings import check_own, read_settings
from tests.log.conftest import ORIGIN, post, record


@pytest.fixture
def log(tmp_path):
    Log.create(tmp_path / "data", ORIGIN)
    opened = Log.open(tmp_path / "data")
    post(opened, record(0))
    yield opened
    opened.close()


def test_a_policy_that_names_the_first_key_and_what_was_cosigned_under_it_stay_good(log, tmp_path):
    witness = Cosigner("witness.example/w", SigningKey(bytes(range(40, 72))), 1_800_000_000)
    path = tmp_path / "policy"
    path.write_text(f"log {log.vkey}\nwitness w {witness.key} https://w.example/\nquorum w\n")
    settings = read_settings(path)
    before = log.head()
    line = witness.line(parse_note(before.note).text).encode()
    keep(tmp_path, before._replace(note=before.note + line))
    log.rotate_key(by="token:admin")
    check_own(settings, log.keys)
    kept = read_kept(tmp_path, log.keys, settings.policy)
    assert (kept.size, kept.root) == (before.size, before.root)


def test_a_witness_that_was_told_the_next_key_beforehand_cosigns_on(log, tmp_path):
    folder = tmp_path / "witness"
    folder.mkdir(mode=0o700)
    create_witness_key(folder / "witness.key", "witness.example/w")
    cosigning = Cosigning(folder)
    cosigning.watch(log.keys.first)

    def submit(old: int) -> None:
        head = log.head()
        proof = tuple(log.consistency(old, head.size)) if old else ()
        line = cosigning.add(format_add_checkpoint(AddCheckpoint(old, proof, head.note)))
        open_note(head.note + line.encode(), [cosigning.key])

    submit(0)
    cosigning.watch(log.next_key().key)
    old = log.head().size
    log.rotate_key(by="token:admin")
    post(log, record(1))
    submit(old)
    log.rotate_key(by="token:admin")  # of this one nobody told it
    post(log, record(2))
    with pytest.raises(LedgerError) as caught:
        submit(old + 2)
    assert caught.value.code is Code.UNKNOWN_SIGNER
