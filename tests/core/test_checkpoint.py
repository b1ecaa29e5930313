"""Checkpoints: who must sign them, and threat 45's spellings of their numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.checkpoint import (
    Checkpoint,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.note import Cosigner, NoteSigner, VerifierKey, sign_note

ORIGIN = "ledger.example/demo"
OLD = NoteSigner(ORIGIN, SigningKey(b"\x01" * 32))
NEW = NoteSigner(ORIGIN, SigningKey(b"\x02" * 32))
OTHER = NoteSigner("ledger.example/other", SigningKey(b"\x03" * 32))
WITNESS = Cosigner("witness.example", SigningKey(b"\x04" * 32), 1_700_000_000)
CHECKPOINT = Checkpoint(ORIGIN, 5, b"\x05" * 32)
ROOT = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU="


def code_of(note: bytes, *keys: VerifierKey, origin: str | None = None) -> Code:
    with pytest.raises(LedgerError) as refusal:
        open_checkpoint(note, keys, origin)
    return refusal.value.code


def test_a_signed_checkpoint_opens_under_the_logs_key():
    note = sign_checkpoint(CHECKPOINT, OLD)
    assert note.startswith(f"{ORIGIN}\n5\n{ROOT}\n\n— {ORIGIN} ".encode())
    assert open_checkpoint(note, [OLD.key], ORIGIN) == CHECKPOINT


def test_during_a_rotation_either_key_opens_it():
    note = sign_checkpoint(CHECKPOINT, OLD, NEW)
    assert open_checkpoint(note, [OLD.key]) == open_checkpoint(note, [NEW.key]) == CHECKPOINT


def test_another_logs_checkpoint_is_refused():
    assert (
        code_of(sign_checkpoint(CHECKPOINT, OLD), OLD.key, origin="ledger.example/x") == Code.ORIGIN_MISMATCH
    )


def test_a_known_key_of_another_name_does_not_sign_for_the_log():
    note = sign_checkpoint(CHECKPOINT, OTHER)
    assert code_of(note, OTHER.key, OLD.key) == Code.UNKNOWN_SIGNER


def test_a_witness_alone_does_not_sign_for_the_log_even_under_its_name():
    text = format_checkpoint(CHECKPOINT)
    namesake = Cosigner(ORIGIN, SigningKey(b"\x05" * 32), 1)
    assert code_of(sign_note(text, WITNESS), WITNESS.key, OLD.key) == Code.UNKNOWN_SIGNER
    assert code_of(sign_note(text, namesake), namesake.key, OLD.key) == Code.UNKNOWN_SIGNER
    assert open_checkpoint(sign_note(text, OLD, WITNESS), [WITNESS.key, OLD.key]) == CHECKPOINT


def test_a_witness_whose_line_fails_spoils_the_checkpoint_for_those_who_know_it():
    note = sign_checkpoint(CHECKPOINT, OLD) + WITNESS.line("other\n").encode()
    assert open_checkpoint(note, [OLD.key]) == CHECKPOINT
    assert code_of(note, OLD.key, WITNESS.key) == Code.INVALID_SIGNATURE


def test_a_signed_note_that_is_no_checkpoint_is_refused():
    assert code_of(sign_note("ledger.example/demo\nfive\n", OLD), OLD.key) == Code.MALFORMED_CHECKPOINT


@pytest.mark.parametrize(
    "size",
    [
        "",
        " 12 ",
        "1_2",
        "\u0661\u0662",
        "+1",
        "-1",
        "01",
        "00",
        "0x1",
        "1e1",
        "1.0",
        "²",
        "9" * 19,
        "9" * 5000,
        str(2**63),
    ],
)
def test_a_size_in_any_other_spelling_is_refused(size):
    with pytest.raises(FormatError) as refusal:
        parse_checkpoint(f"{ORIGIN}\n{size}\n{ROOT}\n")
    assert refusal.value.code == Code.MALFORMED_CHECKPOINT


@pytest.mark.parametrize(
    "root",
    [
        ROOT[:-1],
        ROOT + "=",
        ROOT + "AAAA",
        ROOT[:-2] + "V=",  # trailing bits
        ROOT.replace("B", "~", 1),
        " " + ROOT,
        "~" + ROOT,
        "BQ==",
        "é" + ROOT[1:],
    ],
)
def test_a_root_in_any_other_spelling_or_length_is_refused(root):
    with pytest.raises(FormatError) as refusal:
        parse_checkpoint(f"{ORIGIN}\n5\n{root}\n")
    assert refusal.value.code == Code.MALFORMED_CHECKPOINT


@pytest.mark.parametrize("separator", ["\u2028", "\x0b", "\x0c", "\r", "\x1c", "\x85", "\r\n"])
def test_only_newlines_separate_lines(separator):
    with pytest.raises(FormatError):
        parse_checkpoint(f"{ORIGIN}{separator}5{separator}{ROOT}\n")


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("", 5, bytes(32)),
        Checkpoint("two\nlines", 5, bytes(32)),
        Checkpoint(ORIGIN, -1, bytes(32)),
        Checkpoint(ORIGIN, 5, bytes(31)),
        Checkpoint(ORIGIN, 5, bytes(32), ("",)),
        Checkpoint(ORIGIN, 5, bytes(32), ("a\nb",)),
    ],
)
def test_a_checkpoint_that_would_not_read_back_is_not_signed(checkpoint):
    with pytest.raises(FormatError):
        sign_checkpoint(checkpoint, OLD)


lines = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n"), min_size=1, max_size=20)


@given(lines, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(lines, max_size=3))
def test_every_checkpoint_reads_back(origin, size, root, extensions):
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint
