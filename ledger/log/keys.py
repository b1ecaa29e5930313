"""The log's signing key, in a file that only its owner may read.

The text is the one of golang.org/x/mod/sumdb/note: `PRIVATE+KEY+<name>+<key id>+<base64 of algorithm byte and seed>`.
"""

import stat
from pathlib import Path

from ledger.core.ed25519 import SEED_BYTES, SigningKey, generate
from ledger.core.errors import Code, LedgerError
from ledger.core.note import ED25519, NoteSigner
from ledger.core.text import format_base64, parse_base64
from ledger.log.files import write_durably

_PREFIX = "PRIVATE+KEY+"


def create_key(path: Path, origin: str) -> NoteSigner:
    """Make a fresh key for `origin` and store it at `path`, mode 0600.

    Raises:
        LedgerError: `key-exists` when the file is there already: a log's key is never overwritten.
    """
    if path.exists():
        raise LedgerError(Code.KEY_EXISTS, f"{path} exists already; a signing key is never overwritten")
    key = generate()
    signer = NoteSigner(origin, key)
    secret = format_base64(bytes([ED25519]) + key.seed)
    write_durably(path, f"{_PREFIX}{origin}+{signer.key.key_id.hex()}+{secret}\n".encode())
    return signer


def load_key(path: Path) -> NoteSigner:
    """Read the key at `path`.

    Raises:
        LedgerError: `key-file` when it is absent, malformed, or readable by anyone but its owner.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(Code.KEY_FILE, f"the signing key {path} cannot be read: {error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise LedgerError(
            Code.KEY_FILE,
            f"the signing key {path} has mode {stat.S_IMODE(mode):04o}; others could read it: chmod 600 it, "
            "and if others have had access, treat it as stolen",
        )
    return _parse(path, text)


def _parse(path: Path, text: str) -> NoteSigner:
    malformed = LedgerError(Code.KEY_FILE, f"the signing key {path} is malformed")
    name, _, rest = text.removeprefix(_PREFIX).partition("+")
    key_id, _, secret = rest.partition("+")
    try:
        raw = parse_base64(secret)
        signer = NoteSigner(name, SigningKey(raw[1:]))
    except (ValueError, LedgerError):
        raise malformed from None
    if (
        not text.startswith(_PREFIX)
        or len(raw) != 1 + SEED_BYTES
        or raw[0] != ED25519
        or signer.key.key_id.hex() != key_id
    ):
        raise malformed
    return signer
