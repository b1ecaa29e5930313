"""Signed notes and cosignatures: threats 20, 21 and 44."""

import base64
import dataclasses
from collections.abc import Callable

import pytest

from ledger.core.ed25519 import SigningKey
from ledger.core.entry import record_signing_input
from ledger.core.errors import Code, FormatError, LedgerError, VerificationError
from ledger.core.note import (
    COSIGNATURE_V1,
    ED25519,
    Cosigner,
    NoteSigner,
    VerifierKey,
    format_vkey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
)

TEXT = "ledger.example/demo\n5\nh9UMXqS06cZqY1DcnPgMhWQabcLU6G++7tynUvpM20w=\n"
LOG = NoteSigner("ledger.example/demo", SigningKey(b"\x01" * 32))
OTHER = NoteSigner("ledger.example/other", SigningKey(b"\x02" * 32))
WITNESS = Cosigner("witness.example/w1", SigningKey(b"\x03" * 32), 1_700_000_000)
NOTE = sign_note(TEXT, LOG)


def code_of(data: bytes, *keys: VerifierKey) -> Code:
    with pytest.raises(LedgerError) as refusal:
        open_note(data, keys)
    return refusal.value.code


def line(name: str, data: bytes) -> bytes:
    return f"— {name} {base64.b64encode(data).decode()}\n".encode()


def test_a_signed_note_opens_under_its_key_and_says_who_signed():
    note = open_note(sign_note(TEXT, LOG, OTHER, WITNESS), [WITNESS.key, LOG.key])
    assert note.text == TEXT
    assert note.verified == ("ledger.example/demo", "witness.example/w1")
    assert note.cosigned_at == (("witness.example/w1", 1_700_000_000),)
    assert [signature.name for signature in note.signatures] == [
        LOG.key.name,
        OTHER.key.name,
        WITNESS.key.name,
    ]


def test_a_note_with_any_byte_changed_does_not_open():
    for position in range(len(NOTE)):
        for flip in (1, 0x20, 0x80):
            changed = bytearray(NOTE)
            changed[position] ^= flip
            with pytest.raises((FormatError, VerificationError)):
                open_note(bytes(changed), [LOG.key])


def test_a_note_cut_off_anywhere_does_not_open():
    for length in range(len(NOTE)):
        with pytest.raises((FormatError, VerificationError)):
            open_note(NOTE[:length], [LOG.key])


# ---- keys that another process holds


class Elsewhere:
    """A key's holder outside this process, which answers what it is told to."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.public, self.sign = SigningKey(b"\x01" * 32).public, answer


def test_a_holder_outside_this_process_signs_what_the_key_itself_would():
    assert sign_note(TEXT, NoteSigner(LOG.key.name, Elsewhere(SigningKey(b"\x01" * 32).sign))) == NOTE


@pytest.mark.parametrize(
    "answer",
    {
        "another key": SigningKey(b"\x02" * 32).sign,
        "another message": lambda message: SigningKey(b"\x01" * 32).sign(message + b"x"),
        "too short": lambda message: SigningKey(b"\x01" * 32).sign(message)[:63],
        "too long": lambda message: SigningKey(b"\x01" * 32).sign(message) + b"\0",
        "nothing": lambda _: b"",
    }.items(),
    ids=lambda item: item[0],
)
def test_no_signature_from_outside_is_used_that_does_not_hold_under_the_pinned_key(answer):
    holder = Elsewhere(answer[1])
    for signer in (NoteSigner(LOG.key.name, holder), Cosigner(LOG.key.name, holder, 7)):
        with pytest.raises(LedgerError) as refusal:
            sign_note(TEXT, signer)
        assert refusal.value.code is Code.SIGNER_FAILED


# ---- threat 20: names, ids and keys that collide


def test_a_signature_under_another_key_of_the_same_name_and_id_is_refused():
    attacker = NoteSigner(LOG.key.name, SigningKey(b"\x66" * 32))
    attacker.key = dataclasses.replace(attacker.key, key_id=LOG.key.key_id)  # as if 2^32 keys had been tried
    assert code_of(sign_note(TEXT, attacker), LOG.key) == Code.INVALID_SIGNATURE
    assert code_of(sign_note(TEXT, LOG, attacker), LOG.key) == Code.INVALID_SIGNATURE


def test_two_known_keys_of_the_same_name_and_id_are_refused():
    double = dataclasses.replace(LOG.key, public=OTHER.key.public)
    assert code_of(NOTE, LOG.key, double) == Code.AMBIGUOUS_KEY


def test_a_known_name_with_another_id_or_a_known_id_with_another_name_is_ignored():
    same_name = NoteSigner(LOG.key.name, SigningKey(b"\x67" * 32))
    assert code_of(sign_note(TEXT, same_name), LOG.key) == Code.UNKNOWN_SIGNER
    same_id = line("ledger.example/othre", LOG.key.key_id + LOG.line(TEXT).encode()[:64])
    assert code_of(TEXT.encode() + b"\n" + same_id, LOG.key) == Code.UNKNOWN_SIGNER
    assert open_note(NOTE + same_id, [LOG.key]).verified == (LOG.key.name,)


def test_one_wrong_signature_of_a_known_key_spoils_the_note():
    spoiled = NOTE + OTHER.line(TEXT + "x\n").encode()
    assert open_note(spoiled, [LOG.key]).verified == (LOG.key.name,)
    assert code_of(spoiled, LOG.key, OTHER.key) == Code.INVALID_SIGNATURE


def test_a_line_that_is_there_twice_counts_once():
    assert open_note(NOTE + LOG.line(TEXT).encode(), [LOG.key]).verified == (LOG.key.name,)
    wrong = LOG.line("other\n").encode()
    assert code_of(NOTE + wrong, LOG.key) == Code.INVALID_SIGNATURE


# ---- threat 21: a signature of one kind never passes for another


def test_a_cosignature_is_no_note_signature_and_the_other_way_round():
    key = SigningKey(b"\x04" * 32)  # one key for both, which nobody should have
    log, witness = NoteSigner("same.example", key), Cosigner("same.example", key, 7)
    for signer, as_key in ((witness, log.key), (log, witness.key)):
        moved = signer.line(TEXT).split(" ")
        data = as_key.key_id + base64.b64decode(moved[2])[4:]
        for cut in (data, data[:68], data[:4] + data[12:], data[:4] + bytes(8) + data[4:68]):
            assert (
                code_of(TEXT.encode() + b"\n" + line("same.example", cut), as_key) == Code.INVALID_SIGNATURE
            )
        assert code_of(sign_note(TEXT, signer), as_key) == Code.UNKNOWN_SIGNER


def test_no_note_can_be_signed_that_would_pass_for_a_record_or_a_cosignature():
    for text in (
        record_signing_input("ledger.example/demo", b"{}\n").decode(),
        "cosignature/v1\ntime 1\n" + TEXT,
    ):
        with pytest.raises(LedgerError):
            sign_note(text, LOG)


def test_a_records_signature_is_worth_nothing_in_a_note():
    record = b'{"type":"note"}'
    signature = SigningKey(b"\x01" * 32).sign(record_signing_input(LOG.key.name, record))
    for text in (record.decode() + "\n", record_signing_input(LOG.key.name, record).decode() + "\n"):
        forged = text.encode() + b"\n" + line(LOG.key.name, LOG.key.key_id + signature)
        assert code_of(forged, LOG.key) == Code.INVALID_SIGNATURE


def test_a_cosignature_is_bound_to_its_time_and_states_a_possible_one():
    data = base64.b64decode(WITNESS.line(TEXT).split(" ")[2])
    for seconds in (1_700_000_001, 0, 2**63, 2**64 - 1):
        moved = data[:4] + seconds.to_bytes(8, "big") + data[12:]
        changed = TEXT.encode() + b"\n" + line(WITNESS.key.name, moved)
        assert code_of(changed, WITNESS.key) == Code.INVALID_SIGNATURE


# ---- threat 44: malformed notes

SIGNATURE = LOG.line(TEXT)
MALFORMED = {
    "no signature": TEXT + "\n",
    "no empty line": TEXT + SIGNATURE,
    "no newline at the end": (TEXT + "\n" + SIGNATURE)[:-1],
    "CRLF": (TEXT + "\n" + SIGNATURE).replace("\n", "\r\n"),
    "a tab": TEXT + "\n" + SIGNATURE.replace(" ", "\t"),
    "a control character in the text": "\x07" + TEXT + "\n" + SIGNATURE,
    "NUL": "\x00" + TEXT + "\n" + SIGNATURE,
    "two spaces": TEXT + "\n" + SIGNATURE.replace("— ", "—  "),
    "a space at the end": TEXT + "\n" + SIGNATURE[:-1] + " \n",
    "a hyphen for the em dash": TEXT + "\n" + SIGNATURE.replace("—", "-"),
    "an en dash for the em dash": TEXT + "\n" + SIGNATURE.replace("—", "–"),  # noqa: RUF001
    "an empty name": TEXT + "\n" + SIGNATURE.replace(LOG.key.name, ""),
    "a plus in the name": TEXT + "\n" + SIGNATURE.replace("ledger", "led+ger"),
    "a no-break space in the name": TEXT + "\n" + SIGNATURE.replace("ledger", "led\u00a0ger"),
    "an ideographic space in the name": TEXT + "\n" + SIGNATURE.replace("ledger", "led\u3000ger"),
    "a line separator in the name": TEXT + "\n" + SIGNATURE.replace("ledger", "led\u2028ger"),
    "a next-line in the name": TEXT + "\n" + SIGNATURE.replace("ledger", "led\u0085ger"),
    "no base64": TEXT + "\n— " + LOG.key.name + " !!!!\n",
    "URL-safe base64": TEXT + "\n— " + LOG.key.name + " __-_AAAA\n",
    "base64 with junk in it": TEXT + "\n" + SIGNATURE[:40] + "~" + SIGNATURE[40:],
    "base64 without padding": TEXT + "\n" + SIGNATURE.replace("=", ""),
    "base64 with trailing bits": TEXT + "\n— " + LOG.key.name + " AAAAAAB=\n",
    "a key id and no signature": TEXT + "\n— " + LOG.key.name + " AAAAAA==\n",
    "text after the signatures": TEXT + "\n" + SIGNATURE + "more\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_note_is_refused(what):
    with pytest.raises(FormatError) as refusal:
        parse_note(MALFORMED[what].encode())
    assert refusal.value.code in (Code.MALFORMED_NOTE, Code.INVALID_SIGNATURE)


def test_notes_that_are_not_utf_8_or_too_long_are_refused():
    for data in (b"\xff" + NOTE, b"\xed\xa0\x80" + NOTE, b"x" * 1_000_000 + NOTE):
        assert code_of(data, LOG.key) == Code.MALFORMED_NOTE


def test_a_hundred_signatures_are_read_and_one_more_refused():
    lines = line("unknown.example", bytes(68))
    assert open_note(NOTE + lines * 99, [LOG.key]).verified == (LOG.key.name,)
    assert code_of(NOTE + lines * 100, LOG.key) == Code.MALFORMED_NOTE


def test_sixteen_signatures_of_the_size_of_ml_dsa_are_accepted_and_ignored():
    ml_dsa = b"".join(
        line(f"witness{index}.example", bytes([index]) * 4 + bytes(8 + 2420)) for index in range(15)
    )
    assert open_note(TEXT.encode() + b"\n" + ml_dsa + SIGNATURE.encode(), [LOG.key]).verified == (
        LOG.key.name,
    )


def test_text_with_empty_lines_ends_at_the_last_of_them():
    text = "a\n\nb\n\n\nc\n"
    assert open_note(sign_note(text, LOG), [LOG.key]).text == text


@pytest.mark.parametrize("text", ["no newline", "", "tab\t\n"])
def test_a_text_that_no_note_can_carry_is_not_signed(text):
    with pytest.raises(FormatError):
        sign_note(text, LOG)


def test_separators_that_only_python_takes_for_line_ends_are_part_of_the_text():
    """Threat 45: a note is split on newlines alone."""
    text = "a\u2028b\u2029c\u0085d\n"
    assert open_note(sign_note(text, LOG), [LOG.key]).text == text


# ---- verifier keys


def test_a_verifier_key_reads_back():
    for key in (LOG.key, WITNESS.key):
        assert parse_vkey(format_vkey(key)) == key
        assert str(key) == format_vkey(key)
    assert (LOG.key.algorithm, WITNESS.key.algorithm) == (ED25519, COSIGNATURE_V1)


def test_a_name_that_is_not_utf_8_is_no_key_name():
    name = b"ledger\xe8.example/demo".decode("utf-8", "surrogateescape")  # as the command line hands it over
    text = format_vkey(LOG.key).replace("ledger.example/demo", name)
    with pytest.raises(FormatError) as refusal:
        parse_vkey(text)
    assert refusal.value.code == Code.MALFORMED_VERIFIER_KEY
    refusal.value.detail.encode()


def test_a_verifier_key_with_any_character_changed_is_refused():
    text = format_vkey(LOG.key)
    for position in range(len(text)):
        changed = text[:position] + ("B" if text[position] != "B" else "C") + text[position + 1 :]
        with pytest.raises(FormatError):
            parse_vkey(changed)


@pytest.mark.parametrize(
    "text", ["", "+", "++", "name", "name+00000000", "name+00000000+", "a b+00000000+AQ==", "é+zz+AQ=="]
)
def test_text_that_is_no_verifier_key_is_refused(text):
    with pytest.raises(FormatError):
        parse_vkey(text)


def test_an_upper_case_key_id_is_refused():
    name, key_id, key = format_vkey(LOG.key).split("+", 2)
    with pytest.raises(FormatError) as refusal:
        parse_vkey(f"{name}+{key_id.upper()}+{key}")
    assert refusal.value.code == Code.MALFORMED_VERIFIER_KEY


@pytest.mark.parametrize("algorithm", [0x00, 0x02, 0x03, 0x05, 0x06, 0xFF])
def test_a_verifier_key_of_an_algorithm_that_cannot_be_checked_is_refused_by_name(algorithm):
    key = dataclasses.replace(LOG.key, algorithm=algorithm)
    with pytest.raises(FormatError) as refusal:
        parse_vkey(format_vkey(key))
    assert refusal.value.code == Code.UNSUPPORTED_ALGORITHM


def test_a_small_order_key_cannot_be_a_verifier_key():
    with pytest.raises(FormatError) as refusal:
        VerifierKey.derive("weak.example", ED25519, bytes(32))
    assert refusal.value.code == Code.INVALID_PUBLIC_KEY
