"""Ed25519 (RFC 8032) by libsodium: the only module that touches PyNaCl.

One rule of verification, libsodium's: S canonical, and neither the public key nor R of small order or in a
non-canonical encoding. Other libraries are laxer (OpenSSL verifies forgeries under small-order keys), so public
keys are checked when they are registered and no such key ever enters a log.
"""

import secrets

import nacl.bindings
import nacl.exceptions

from ledger.core.errors import Code, FormatError, VerificationError

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64


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
    if not nacl.bindings.crypto_core_ed25519_is_valid_point(public):
        raise FormatError(
            Code.INVALID_PUBLIC_KEY,
            f"{public.hex()} is not a point of the main subgroup in canonical encoding: "
            "use a key made by an Ed25519 key generator",
        )
