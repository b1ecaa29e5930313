"""The text of a secret key, and the file that only its owner may read.

The text is the one of golang.org/x/mod/sumdb/note: `PRIVATE+KEY+<name>+<key id>+<base64 of algorithm byte and seed>`.
"""

import stat
from pathlib import Path
from typing import Final

from ledger.core.ed25519 import SEED_BYTES, SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.note import VerifierKey
from ledger.core.text import format_base64, parse_base64

PREFIX: Final = "PRIVATE+KEY+"


def format_secret(key: VerifierKey, seed: bytes) -> bytes:
    """A key file's text."""
    secret = format_base64(bytes([key.algorithm]) + seed)
    return f"{PREFIX}{key.name}+{key.key_id.hex()}+{secret}\n".encode()


def parse_secret(text: str, what: str) -> tuple[VerifierKey, bytes]:
    """The verifier key that belongs to a secret key's text, and its seed.

    Args:
        text: with or without the newline at its end.
        what: where it is from: all that an error says of it.

    Raises:
        LedgerError: `key-file`.
    """
    malformed = LedgerError(Code.KEY_FILE, f"{what} is malformed")
    name, _, rest = text.removeprefix(PREFIX).rstrip("\n").partition("+")
    key_id, _, secret = rest.partition("+")
    try:
        raw = parse_base64(secret)
        key = VerifierKey.derive(name, raw[0], SigningKey(raw[1:]).public)
    except (ValueError, IndexError, LedgerError):
        raise malformed from None
    if not text.startswith(PREFIX) or len(raw) != 1 + SEED_BYTES or key.key_id.hex() != key_id:
        raise malformed
    return key, raw[1:]


def read_secret(path: Path, where_from: str) -> tuple[VerifierKey, bytes]:
    """The verifier key that belongs to a key file, and the file's seed.

    Args:
        path: the file.
        where_from: what to do where it is absent.

    Raises:
        LedgerError: `key-file` when it is absent, malformed, or readable by anyone but its owner.
    """
    return parse_secret(read_closed(path, where_from), f"the signing key {path}")


def read_closed(path: Path, where_from: str) -> str:
    """The text of a key file.

    Args:
        path: the file.
        where_from: what to do where it is absent.

    Raises:
        LedgerError: `key-file` when it is absent, no text, or readable by anyone but its owner.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LedgerError(Code.KEY_FILE, f"there is no signing key {path}: {where_from}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(Code.KEY_FILE, f"the signing key {path} cannot be read: {error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise LedgerError(
            Code.KEY_FILE,
            f"the signing key {path} has mode {stat.S_IMODE(mode):04o}; others could read it: chmod 600 it, "
            "and if others have had access, treat it as stolen",
        )
    return text
