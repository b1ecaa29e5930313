"""Ed25519 (RFC 8032) by libsodium: the only module that touches PyNaCl.

One rule of verification: libsodium's (S canonical, R neither of small order nor in a non-canonical encoding), under public keys of the main subgroup
alone. Other libraries are laxer (OpenSSL and Go verify forgeries under small-order keys), so public keys are also checked when they are registered, and no
such key ever enters a log.
"""

import secrets
from functools import lru_cache
from typing import Protocol

import nacl.bindings
import nacl.exceptions

from ledger.core.errors import Code, FormatError, LedgerError, VerificationError

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEYS_REMEMBERED = 4_096
_NOT_OF_IT = "it is not a point of the main subgroup in canonical encoding"
RETRY_AFTER_S = 2  # until somebody has looked after a signer


class KeyHolder(Protocol):
    """Whoever holds a private key and signs with it: a `SigningKey`, or another process that never shows it."""

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key. Known without asking: it is pinned, not what the holder says at the moment."""

    def sign(self, message: bytes) -> bytes:
        """What the holder says is its 64-byte signature of a message; `sign_verified` believes none but its own process.

        Raises:
            LedgerError: `signer-failed`: it is away, refuses, takes too long or answers nonsense. Nothing was signed that could be used.
        """


class SigningKey:
    """A private key. Its seed is its whole secret: it is never printed."""

    __slots__ = ("_secret", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        """Derive the key pair.

        Args:
            seed: 32 secret random bytes.

        Raises:
            FormatError: the seed is not 32 bytes.
        """
        if len(seed) != SEED_BYTES:
            raise FormatError(
                Code.INVALID_PUBLIC_KEY, f"an Ed25519 seed is {SEED_BYTES} bytes, not {len(seed)}"
            )
        self.seed = seed
        self.public: bytes
        self.public, self._secret = nacl.bindings.crypto_sign_seed_keypair(seed)

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()})"

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of a message."""
        signed: bytes = nacl.bindings.crypto_sign(message, self._secret)
        return signed[:SIGNATURE_BYTES]


def generate() -> SigningKey:
    """A new key from the operating system's randomness."""
    return SigningKey(secrets.token_bytes(SEED_BYTES))


def sign_verified(holder: KeyHolder, message: bytes) -> bytes:
    """The 64-byte signature of a message; one from outside this process is checked under the pinned public key first.

    Raises:
        LedgerError: `signer-failed`: the holder gave none, or one that does not hold.
    """
    signature = holder.sign(message)
    if not isinstance(holder, SigningKey):
        try:
            verify(holder.public, message, signature)
        except VerificationError:
            raise LedgerError(
                Code.SIGNER_FAILED,
                f"the signer answered with a signature that does not hold under the public key {holder.public.hex()}: "
                "nothing of it is used; see whether it holds another key now",
                retry_after=RETRY_AFTER_S,
            ) from None
    return signature


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Check a signature.

    Raises:
        VerificationError: it does not hold, or key or signature have the wrong length.
    """
    if len(public) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise VerificationError(
            Code.INVALID_SIGNATURE,
            f"an Ed25519 signature is {SIGNATURE_BYTES} bytes under a key of {PUBLIC_KEY_BYTES}, "
            f"not {len(signature)} under {len(public)}",
        )
    if not _is_of_the_group(public):
        raise VerificationError(
            Code.INVALID_SIGNATURE, f"no signature holds under {public.hex()}: {_NOT_OF_IT}"
        )
    try:
        nacl.bindings.crypto_sign_open(signature + message, public)
    except nacl.exceptions.BadSignatureError:
        raise VerificationError(
            Code.INVALID_SIGNATURE, f"the signature does not hold under the public key {public.hex()}"
        ) from None


def check_public_key(public: bytes) -> None:
    """Refuse what must not be registered: small or mixed order, not canonical, not on the curve.

    Raises:
        FormatError: the bytes are no public key that every library would judge alike.
    """
    if len(public) != PUBLIC_KEY_BYTES:
        raise FormatError(
            Code.INVALID_PUBLIC_KEY, f"an Ed25519 public key is {PUBLIC_KEY_BYTES} bytes, not {len(public)}"
        )
    if not _is_of_the_group(public):
        raise FormatError(
            Code.INVALID_PUBLIC_KEY,
            f"{public.hex()} must not be used: {_NOT_OF_IT}; use a key made by an Ed25519 key generator",
        )


@lru_cache(maxsize=KEYS_REMEMBERED)
def _is_of_the_group(public: bytes) -> bool:
    return bool(nacl.bindings.crypto_core_ed25519_is_valid_point(public))
