"""Messages of the ssh-agent protocol (draft-ietf-sshm-ssh-agent), as far as they are about Ed25519 keys (`ssh-ed25519`, RFC 8709).

message    uint32 length ‖ byte kind ‖ contents
string     uint32 length ‖ bytes
key        string "ssh-ed25519" ‖ string <32 bytes>
signature  string "ssh-ed25519" ‖ string <64 bytes>: Ed25519 over the very bytes that were sent, which is what a signed note needs
"""

import base64
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple

from ledger.core.ed25519 import PUBLIC_KEY_BYTES, SIGNATURE_BYTES

FAILURE: Final = 5
REQUEST_IDENTITIES: Final = 11
IDENTITIES_ANSWER: Final = 12
SIGN_REQUEST: Final = 13
SIGN_RESPONSE: Final = 14

KEY_TYPE: Final = b"ssh-ed25519"
LENGTH_BYTES: Final = 4


class Identity(NamedTuple):
    """An Ed25519 key that an agent holds: its 32 public bytes, and what somebody wrote beside it."""

    public: bytes
    comment: str

    @property
    def fingerprint(self) -> str:
        """As `ssh-add -l` shows it."""
        digest = sha256(format_key(self.public)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


class SignRequest(NamedTuple):
    """What an agent is asked to sign: with which key (None where it is of another kind), and the bytes."""

    public: bytes | None
    data: bytes


def format_message(kind: int, *strings: bytes) -> bytes:
    """A whole message, of nothing but strings after its kind."""
    return _framed(bytes([kind]) + b"".join(map(_string, strings)))


def format_key(public: bytes) -> bytes:
    """A public key as the protocol names it."""
    return _string(KEY_TYPE) + _string(public)


def format_identities(identities: Iterable[Identity]) -> bytes:
    """The whole answer to REQUEST_IDENTITIES."""
    each = [_string(format_key(i.public)) + _string(i.comment.encode()) for i in identities]
    return _framed(bytes([IDENTITIES_ANSWER]) + _uint32(len(each)) + b"".join(each))


def format_sign_request(public: bytes, data: bytes) -> bytes:
    """The whole SIGN_REQUEST, without flags: those choose RSA's hash."""
    contents = _string(format_key(public)) + _string(data) + _uint32(0)
    return _framed(bytes([SIGN_REQUEST]) + contents)


def format_signature(signature: bytes) -> bytes:
    """The whole SIGN_RESPONSE."""
    return format_message(SIGN_RESPONSE, _string(KEY_TYPE) + _string(signature))


def parse_identities(contents: bytes) -> list[Identity]:
    """The Ed25519 keys of an IDENTITIES_ANSWER; keys of other kinds are left out.

    Raises:
        ValueError: it is none.
    """
    count, rest = _take_uint32(contents)
    found = []
    for _ in range(count):  # a count that is a lie ends where the bytes do
        blob, rest = _take_string(rest)
        comment, rest = _take_string(rest)
        if (public := _public(blob)) is not None:
            found.append(Identity(public, comment.decode(errors="replace")))
    _refuse_more(rest)
    return found


def parse_sign_request(contents: bytes) -> SignRequest:
    """What stands in a SIGN_REQUEST.

    Raises:
        ValueError: it is none.
    """
    blob, rest = _take_string(contents)
    data, rest = _take_string(rest)
    _flags, rest = _take_uint32(rest)
    _refuse_more(rest)
    return SignRequest(_public(blob), data)


def parse_signature(contents: bytes) -> bytes:
    """The 64 bytes of a SIGN_RESPONSE.

    Raises:
        ValueError: it is none, or no Ed25519 signature.
    """
    blob, rest = _take_string(contents)
    _refuse_more(rest)
    kind, rest = _take_string(blob)
    signature, rest = _take_string(rest)
    _refuse_more(rest)
    if kind != KEY_TYPE or len(signature) != SIGNATURE_BYTES:
        raise ValueError(
            f"a signature of {len(signature)} bytes of the kind {kind[:40]!r}, not of ssh-ed25519"
        )
    return signature


def _public(blob: bytes) -> bytes | None:
    kind, rest = _take_string(blob)
    if kind != KEY_TYPE:
        return None
    public, rest = _take_string(rest)
    _refuse_more(rest)
    if len(public) != PUBLIC_KEY_BYTES:
        raise ValueError(f"an ssh-ed25519 key of {len(public)} bytes")
    return public


def _framed(contents: bytes) -> bytes:
    return _string(contents)


def _string(data: bytes) -> bytes:
    return _uint32(len(data)) + data


def _uint32(number: int) -> bytes:
    return number.to_bytes(LENGTH_BYTES, "big")


def _take_uint32(data: bytes) -> tuple[int, bytes]:
    if len(data) < LENGTH_BYTES:
        raise ValueError("it ends in the middle of a number")
    return int.from_bytes(data[:LENGTH_BYTES], "big"), data[LENGTH_BYTES:]


def _take_string(data: bytes) -> tuple[bytes, bytes]:
    length, rest = _take_uint32(data)
    if len(rest) < length:
        raise ValueError(f"it ends in the middle of a string of {length} bytes")
    return rest[:length], rest[length:]


def _refuse_more(rest: bytes) -> None:
    if rest:
        raise ValueError(f"{len(rest)} bytes follow its end")
