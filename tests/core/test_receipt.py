"""Receipts: they prove one entry at one place, offline, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import merkle
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, FormatError, LedgerError, VerificationError
from ledger.core.note import NoteSigner
from ledger.core.receipt import Receipt, format_receipt, parse_receipt, verify_receipt, verify_receipt_leaf
from ledger.core.tiles import TileHashes

SIZE = 11
ENTRIES = [b'{"n":%d}' % index for index in range(SIZE)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
HASHES = TileHashes(lambda _level, _n, _width: b"".join(LEAVES), SIZE)
LOG = NoteSigner("ledger.example/demo", SigningKey(b"\x01" * 32))
CHECKPOINT = Checkpoint(LOG.key.name, SIZE, merkle.root_of(LEAVES))
NOTE = sign_checkpoint(CHECKPOINT, LOG)


def receipt(index: int, extra: bytes | None = None) -> Receipt:
    return Receipt(index, tuple(merkle.inclusion_proof(index, SIZE, HASHES)), NOTE, extra)


def test_a_receipt_holds_for_its_entry_alone():
    for index in range(SIZE):
        data = format_receipt(receipt(index))
        for other in range(SIZE):
            if other == index:
                assert verify_receipt(data, ENTRIES[other], [LOG.key], LOG.key.name) == CHECKPOINT
                assert verify_receipt_leaf(data, LEAVES[other], [LOG.key]) == CHECKPOINT
            else:
                with pytest.raises(VerificationError):
                    verify_receipt(data, ENTRIES[other], [LOG.key])


def test_a_receipt_with_any_byte_changed_is_refused():
    data = format_receipt(receipt(6))
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises((FormatError, VerificationError)):
            verify_receipt(bytes(changed), ENTRIES[6], [LOG.key])


def test_a_receipt_cut_off_anywhere_is_refused():
    data = format_receipt(receipt(6))
    for length in range(len(data)):
        with pytest.raises((FormatError, VerificationError)):
            verify_receipt(data[:length], ENTRIES[6], [LOG.key])


def test_a_receipt_of_another_log_or_key_is_refused():
    data = format_receipt(receipt(6))
    stranger = NoteSigner(LOG.key.name, SigningKey(b"\x02" * 32))
    for keys, origin, code in (
        ([LOG.key], "ledger.example/other", Code.ORIGIN_MISMATCH),
        ([stranger.key], None, Code.UNKNOWN_SIGNER),
        ([], None, Code.UNKNOWN_SIGNER),
    ):
        with pytest.raises(LedgerError) as refusal:
            verify_receipt(data, ENTRIES[6], keys, origin)
        assert refusal.value.code == code


def test_the_extra_line_is_read_and_changes_nothing():
    """Threat 54: it is signed by nobody."""
    data = format_receipt(receipt(6, b"price: 1"))
    assert parse_receipt(data).extra == b"price: 1"
    for extra in (b"price: 1", b"price: 2", b"", None):
        assert verify_receipt(format_receipt(receipt(6, extra)), ENTRIES[6], [LOG.key]) == CHECKPOINT


ZEROS = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
MALFORMED = {
    "empty": "",
    "another version": "c2sp.org/tlog-proof@v2\nindex 0\n\ncheckpoint\n",
    "no checkpoint": "c2sp.org/tlog-proof@v1\nindex 0\n\n",
    "no empty line": "c2sp.org/tlog-proof@v1\nindex 0\ncheckpoint\n",
    "index before extra": "c2sp.org/tlog-proof@v1\nindex 0\nextra AA==\n\ncheckpoint\n",
    "two indexes": "c2sp.org/tlog-proof@v1\nindex 0\nindex 0\n\ncheckpoint\n",
    "an index with a space": "c2sp.org/tlog-proof@v1\nindex  1\n\ncheckpoint\n",
    "an index with an underscore": "c2sp.org/tlog-proof@v1\nindex 1_0\n\ncheckpoint\n",
    "an index in Arabic digits": "c2sp.org/tlog-proof@v1\nindex \u0661\n\ncheckpoint\n",
    "an index beyond 2^63": f"c2sp.org/tlog-proof@v1\nindex {2**63}\n\ncheckpoint\n",
    "CRLF": "c2sp.org/tlog-proof@v1\r\nindex 0\r\n\r\ncheckpoint\r\n",
    "a short hash": "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\ncheckpoint\n",
    "a hash with trailing bits": f"c2sp.org/tlog-proof@v1\nindex 0\n{ZEROS[:-2]}B=\n\ncheckpoint\n",
    "a vertical tab for a newline": f"c2sp.org/tlog-proof@v1\nindex 0\x0b{ZEROS}\n\ncheckpoint\n",
    "64 hashes": "c2sp.org/tlog-proof@v1\nindex 0\n" + f"{ZEROS}\n" * 64 + "\ncheckpoint\n",
    "an extra line that is not base64": "c2sp.org/tlog-proof@v1\nextra ~\nindex 0\n\ncheckpoint\n",
    "two megabytes": "c2sp.org/tlog-proof@v1\nindex 0\n\n" + "x" * 2_000_001,
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_receipt_is_refused(what):
    with pytest.raises(FormatError) as refusal:
        parse_receipt(MALFORMED[what].encode())
    assert refusal.value.code == Code.MALFORMED_RECEIPT


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(min_size=1),
    st.none() | st.binary(max_size=40),
)
def test_every_receipt_reads_back(index, proof, note, extra):
    written = Receipt(index, tuple(proof), note, extra)
    assert parse_receipt(format_receipt(written)) == written
