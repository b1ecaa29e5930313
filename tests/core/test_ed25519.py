"""Threat 19: one rule of verification, and no key that two libraries judge differently."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import ed25519
from ledger.core.errors import Code, FormatError, LedgerError, VerificationError

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
KEY = ed25519.SigningKey(bytes(range(32)))


def test_a_signature_holds_for_its_message_alone():
    signature = KEY.sign(b"message")
    ed25519.verify(KEY.public, b"message", signature)
    for message, key in (
        (b"messagf", KEY.public),
        (b"message", ed25519.generate().public),
        (b"", KEY.public),
    ):
        with pytest.raises(VerificationError) as refusal:
            ed25519.verify(key, message, signature)
        assert refusal.value.code == Code.INVALID_SIGNATURE


def test_a_signature_with_any_bit_changed_is_refused():
    signature = KEY.sign(b"message")
    for bit in range(len(signature) * 8):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VerificationError):
            ed25519.verify(KEY.public, b"message", bytes(changed))


def test_s_beyond_the_group_order_is_refused():
    signature = KEY.sign(b"message")
    malleated = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    with pytest.raises(VerificationError):
        ed25519.verify(KEY.public, b"message", signature[:32] + malleated.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_keys_signatures_and_seeds_of_the_wrong_length_are_refused_by_name(length):
    with pytest.raises(VerificationError):
        ed25519.verify(KEY.public, b"", bytes(length))
    with pytest.raises(VerificationError):
        ed25519.verify(bytes(length), b"", bytes(64))
    with pytest.raises(FormatError):
        ed25519.check_public_key(bytes(length))
    with pytest.raises(LedgerError):
        ed25519.SigningKey(bytes(length))


FIELD = 2**255 - 19
NOT_FOR_REGISTRATION = {
    "mixed order: a good key plus a point of order 2": None,
    "y not below the field's prime": (FIELD + 3).to_bytes(32, "little"),
    "the neutral element, with y = p + 1": (FIELD + 1).to_bytes(32, "little"),
    "the neutral element, sign bit set": (1 | 1 << 255).to_bytes(32, "little"),
    "y = 0, small order": bytes(32),
    "not on the curve": (2).to_bytes(32, "little"),
}


def negated_plus_order_two(public: bytes) -> bytes:
    """(x, y) + (0, -1) = (-x, -y): the one addition that needs no curve arithmetic."""
    y = int.from_bytes(public, "little") & (1 << 255) - 1
    sign = public[31] >> 7
    return ((FIELD - y) | (1 - sign) << 255).to_bytes(32, "little")


@pytest.mark.parametrize("name", NOT_FOR_REGISTRATION)
def test_a_public_key_outside_the_main_subgroup_is_refused_at_registration(name):
    public = NOT_FOR_REGISTRATION[name] or negated_plus_order_two(KEY.public)
    with pytest.raises(FormatError) as refusal:
        ed25519.check_public_key(public)
    assert refusal.value.code == Code.INVALID_PUBLIC_KEY


def test_the_key_is_never_printed():
    assert KEY.seed.hex() not in repr(KEY)
    assert KEY.public.hex() in repr(KEY)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 511))
def test_openssl_agrees_on_keys_that_may_be_registered(seed, message, bit):
    key = ed25519.SigningKey(seed)
    ed25519.check_public_key(key.public)
    signature = bytearray(key.sign(message))
    assert bytes(signature) == Ed25519PrivateKey.from_private_bytes(seed).sign(message)
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(key.public).verify(bytes(signature), message)
    with pytest.raises(VerificationError):
        ed25519.verify(key.public, message, bytes(signature))
