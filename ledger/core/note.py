r"""Signed notes (c2sp.org/signed-note), their verifier keys, and cosignatures (c2sp.org/tlog-cosignature).

    <text, ending in a newline>
    <empty line>
    — <key name> <base64 of key id ‖ signature>

The key id is the first 4 bytes of SHA-256(name ‖ "\n" ‖ algorithm byte ‖ public key). It is short: it finds a key, it
proves nothing. Two algorithms can be checked here, 0x01 (Ed25519 over the text) and 0x04 (a witness's timestamped
cosignature, Ed25519); lines of keys that are not known are ignored whatever their algorithm and length.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol

from ledger.core import ed25519
from ledger.core.errors import Code, FormatError, LedgerError, VerificationError
from ledger.core.text import format_base64, parse_base64

ED25519 = 0x01
COSIGNATURE_V1 = 0x04

MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100
KEY_ID_BYTES = 4
TIMESTAMP_BYTES = 8
MAX_TIMESTAMP = 2**63 - 1
RECORD_PREFIX = "agent-ledger record v1\n"
COSIGNATURE_PREFIX = "cosignature/v1\n"

_KEY_ID = re.compile(r"[0-9a-f]{8}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_LINE_START = "\u2014 "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name: what a verifier pins.

    Attributes:
        name: the key's name; for a log its origin.
        key_id: 4 bytes.
        algorithm: 0x01 for a signer of notes, 0x04 for a witness.
        public: 32 bytes of Ed25519.
    """

    name: str
    key_id: bytes
    algorithm: int
    public: bytes

    @classmethod
    def derive(cls, name: str, algorithm: int, public: bytes) -> "VerifierKey":
        """The key with the id that belongs to it.

        Raises:
            FormatError: the name, the algorithm or the public key cannot be used.
        """
        if not is_key_name(name):
            raise _bad_key(f"{name!r} is no key name: it must not be empty nor contain white space or '+'")
        if algorithm not in (ED25519, COSIGNATURE_V1):
            raise FormatError(
                Code.UNSUPPORTED_ALGORITHM,
                f"algorithm 0x{algorithm:02x} of the key {name} cannot be checked by this release",
            )
        ed25519.check_public_key(public)
        return cls(name, _key_id(name, algorithm, public), algorithm, public)

    def __str__(self) -> str:
        return format_vkey(self)


class Signature(NamedTuple):
    """One signature line: whose it claims to be, and the bytes after the key id."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note that parses.

    Attributes:
        text: what is signed, with its last newline.
        signatures: all lines in order, checked or not.
        verified_keys: the known keys whose lines were all checked and hold; empty until `open_note`.
        cosigned_at: for each witness among them, the time its cosignature states, in seconds since 1970.
    """

    text: str
    signatures: tuple[Signature, ...]
    verified_keys: tuple[VerifierKey, ...] = ()
    cosigned_at: tuple[tuple[str, int], ...] = ()

    @property
    def verified(self) -> tuple[str, ...]:
        """The names of the keys that hold."""
        return tuple(key.name for key in self.verified_keys)


def is_key_name(name: str) -> bool:
    """Whether a name can stand in a signature line: not empty, UTF-8, no Unicode space, no plus, no control character."""
    return (
        bool(name)
        and "+" not in name
        and not any(c.isspace() or c < " " or "\ud800" <= c <= "\udfff" for c in name)
    )


# ---- verifier keys


def parse_vkey(text: str) -> VerifierKey:
    """Read `<name>+<8 hex of key id>+<base64 of algorithm byte ‖ public key>`.

    Raises:
        FormatError: it does not parse, the id is not the key's, or the key must not be used.
    """
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        data = parse_base64(encoded)
    except ValueError as error:
        raise _bad_key(f"the key of {name!r} is {error}") from None
    if not data or not _KEY_ID.fullmatch(key_id):
        raise _bad_key(f"the key id of {name!r} is not 8 lower-case hex digits, or its key is empty")
    key = VerifierKey.derive(name, data[0], data[1:])
    if key.key_id.hex() != key_id:
        raise _bad_key(
            f"the key id of {name!r} is {key.key_id.hex()}, not {key_id}: the key was changed or mistyped"
        )
    return key


def format_vkey(key: VerifierKey) -> str:
    """The text that `parse_vkey` reads."""
    return f"{key.name}+{key.key_id.hex()}+{format_base64(bytes([key.algorithm]) + key.public)}"


def fingerprint(key: VerifierKey) -> str:
    """SHA-256 of the text of `format_vkey` in hex, in eight groups: for reading out over a telephone."""
    digest = sha256(format_vkey(key).encode()).hexdigest()
    return " ".join(digest[at : at + 8] for at in range(0, len(digest), 8))


def _key_id(name: str, algorithm: int, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([algorithm]) + public).digest()[:KEY_ID_BYTES]


def _bad_key(detail: str) -> FormatError:
    return FormatError(Code.MALFORMED_VERIFIER_KEY, detail)


# ---- reading


def parse_note(data: bytes) -> Note:
    """Take a note apart, without checking any signature.

    Raises:
        FormatError: it is not a signed note.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise _malformed(f"a note has at most {MAX_NOTE_BYTES} bytes, this one {len(data)}")
    try:
        note = data.decode()
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} of the note is not UTF-8") from None
    if bad := _CONTROL.search(note):
        raise _malformed(f"the note has the control character {bad.group()!r} at {bad.start()}")
    end = note.rfind("\n\n")
    if end < 0 or not note.endswith("\n"):
        raise _malformed("the note has no empty line before its signatures, or no newline at its end")
    lines = note[end + 2 : -1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _malformed(f"a note has at most {MAX_SIGNATURES} signatures, this one {len(lines)}")
    return Note(note[: end + 1], tuple(map(parse_signature_line, lines)))


def parse_signature_line(line: str) -> Signature:
    """Read one `— <name> <base64>`, without its newline.

    Raises:
        FormatError: it is not a signature line.
    """
    name, _, encoded = line.removeprefix(_LINE_START).partition(" ")
    if not line.startswith(_LINE_START) or not is_key_name(name):
        raise _malformed(f"not a signature line (— <name> <base64>): {line[:80]!r}")
    try:
        data = parse_base64(encoded)
    except ValueError as error:
        raise FormatError(Code.INVALID_SIGNATURE, f"the signature of {name} is {error}") from None
    if len(data) <= KEY_ID_BYTES:
        raise _malformed(f"the signature of {name} is empty")
    return Signature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def open_note(data: bytes, keys: Iterable[VerifierKey]) -> Note:
    """Read a note and check every line of a known key. Lines of other keys are ignored.

    Raises:
        FormatError: it is not a signed note.
        VerificationError: a known key's signature does not hold, no known key signed, or two known keys have the
            same name and id.
    """
    known = _by_name_and_id(keys)
    note = parse_note(data)
    verified: list[VerifierKey] = []
    cosigned: list[tuple[str, int]] = []
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        seconds = verify_line(note.text, line, key)
        if seconds is not None:
            cosigned.append((key.name, seconds))
        if key not in verified:
            verified.append(key)
    if not verified:
        raise VerificationError(
            Code.UNKNOWN_SIGNER,
            f"the note is signed by none of the known keys ({', '.join(key.name for key in known.values())}), "
            f"but by {', '.join(line.name for line in note.signatures)}",
        )
    return Note(note.text, note.signatures, tuple(verified), tuple(cosigned))


def verify_line(text: str, line: Signature, key: VerifierKey) -> int | None:
    """Check one line under the key it names. For a cosignature: the time it states, in seconds since 1970.

    Raises:
        VerificationError: it does not hold.
    """
    if key.algorithm == ED25519:
        ed25519.verify(key.public, text.encode(), line.signature)
        return None
    if key.algorithm != COSIGNATURE_V1:
        raise VerificationError(
            Code.UNSUPPORTED_ALGORITHM, f"algorithm 0x{key.algorithm:02x} cannot be checked"
        )
    if len(line.signature) != TIMESTAMP_BYTES + ed25519.SIGNATURE_BYTES:
        raise VerificationError(Code.INVALID_SIGNATURE, f"the cosignature of {key.name} has the wrong length")
    seconds = int.from_bytes(line.signature[:TIMESTAMP_BYTES], "big")
    if seconds > MAX_TIMESTAMP:
        raise VerificationError(
            Code.INVALID_SIGNATURE, f"the cosignature of {key.name} states no possible time"
        )
    ed25519.verify(key.public, _cosigned(text, seconds), line.signature[TIMESTAMP_BYTES:])
    return seconds


def _by_name_and_id(keys: Iterable[VerifierKey]) -> dict[tuple[str, bytes], VerifierKey]:
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if (key.name, key.key_id) in known:
            raise VerificationError(
                Code.AMBIGUOUS_KEY,
                f"two known keys are named {key.name} with the id {key.key_id.hex()}: remove one",
            )
        known[key.name, key.key_id] = key
    return known


def _malformed(detail: str) -> FormatError:
    return FormatError(Code.MALFORMED_NOTE, detail)


# ---- signing


class Signer(Protocol):
    """Whatever makes a signature line for a note's text."""

    def line(self, text: str) -> str:
        """The line, with its newline."""


class NoteSigner:
    """Signs notes with Ed25519 (0x01): a log under its origin's name."""

    __slots__ = ("_holder", "key")

    def __init__(self, name: str, holder: ed25519.KeyHolder) -> None:
        self.key = VerifierKey.derive(name, ED25519, holder.public)
        self._holder = holder

    def line(self, text: str) -> str:
        """The signature line for a note's text.

        Raises:
            LedgerError: the text begins like a message of another kind, so that its signature could pass for one; `signer-failed`.
        """
        if text.startswith((RECORD_PREFIX, COSIGNATURE_PREFIX)):
            raise LedgerError(
                Code.INVALID_MEMBER, "a note must not begin like a record's signature or a cosignature"
            )
        return _format_line(self.key, ed25519.sign_verified(self._holder, text.encode()))


class Cosigner:
    """Makes a witness's cosignatures (0x04) at a given time."""

    __slots__ = ("_holder", "key", "seconds")

    def __init__(self, name: str, holder: ed25519.KeyHolder, seconds: int) -> None:
        """A cosigner whose statements are of one moment, in seconds since 1970."""
        self.key = VerifierKey.derive(name, COSIGNATURE_V1, holder.public)
        self.seconds = seconds
        self._holder = holder

    def line(self, text: str) -> str:
        """The cosignature line for a checkpoint's text.

        Raises:
            LedgerError: `signer-failed`.
        """
        signature = ed25519.sign_verified(self._holder, _cosigned(text, self.seconds))
        return _format_line(self.key, self.seconds.to_bytes(TIMESTAMP_BYTES, "big") + signature)


def sign_note(text: str, *signers: Signer) -> bytes:
    """The note over a text: the text, an empty line, one line per signer.

    Raises:
        FormatError: the text cannot be a note's.
        LedgerError: `signer-failed`.
    """
    note = f"{text}\n{''.join(signer.line(text) for signer in signers)}".encode()
    if parse_note(note).text != text:
        raise _malformed("the text of a note ends in one newline")
    return note


def _cosigned(text: str, seconds: int) -> bytes:
    return f"{COSIGNATURE_PREFIX}time {seconds}\n{text}".encode()


def _format_line(key: VerifierKey, signature: bytes) -> str:
    return f"{_LINE_START}{key.name} {format_base64(key.key_id + signature)}\n"
