"""A witness's own key, in a file that only its owner may read, as `ledger.log.secret` keeps a log's: with algorithm byte 0x04."""

from pathlib import Path

from ledger.core.ed25519 import SigningKey, generate
from ledger.core.errors import Code, LedgerError
from ledger.core.note import COSIGNATURE_V1, VerifierKey
from ledger.log.secret import format_secret, read_secret
from ledger.storage.files import write_durably


def create_witness_key(path: Path, name: str) -> VerifierKey:
    """Make a fresh key for a witness of this name and store it at `path`, mode 0600.

    Raises:
        LedgerError: `key-exists`; `malformed-verifier-key`: the name is none.
        OSError: it cannot be written.
    """
    if path.exists():
        raise LedgerError(Code.KEY_EXISTS, f"{path} exists already; a signing key is never overwritten")
    made = generate()
    key = VerifierKey.derive(name, COSIGNATURE_V1, made.public)
    write_durably(path, format_secret(key, made.seed))
    return key


def load_witness_key(path: Path) -> tuple[str, SigningKey]:
    """The name and the key at `path`.

    Raises:
        LedgerError: `key-file` when it is absent, malformed, a log's, or readable by anyone but its owner.
    """
    key, seed = read_secret(path, "`agent-ledger witness init` makes one")
    if key.algorithm != COSIGNATURE_V1:
        raise LedgerError(
            Code.KEY_FILE,
            f"{path} is a log's key: a witness has a key of its own, or it would vouch for itself",
        )
    return key.name, SigningKey(seed)
