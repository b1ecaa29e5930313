"""The log's signing key, and where it lives (docs/keys.md): in `log.key` itself, in the environment, or with an ssh-agent.

The file holds the secret (`ledger.log.secret`), or, where the key lives elsewhere, two lines that are no secret:

    <verifier key>
    environment | ssh-agent:<path of its socket>
"""

from pathlib import Path
from typing import Final

from ledger.core.ed25519 import SigningKey, check_public_key, generate
from ledger.core.errors import Code, LedgerError
from ledger.core.note import ED25519, NoteSigner, VerifierKey, format_vkey, parse_vkey
from ledger.log.environment import NEXT_VARIABLE, VARIABLE, take_secrets
from ledger.log.secret import PREFIX, format_secret, parse_secret, read_closed
from ledger.log.sshagent import SshAgentKey, held_keys
from ledger.storage.files import write_durably

FILE: Final = "file"
ENVIRONMENT: Final = "environment"
SSH_AGENT: Final = "ssh-agent:"
_EVIDENCE = (
    "without it the folder is evidence, to verify, read and dump, and nothing can be written; put the key there to continue the log, "
    "or see docs/backup.md"
)


def create_key(path: Path, origin: str) -> NoteSigner:
    """Make a fresh key for `origin` and store it at `path`, mode 0600.

    Raises:
        LedgerError: `key-exists` when the file is there already: a log's key is never overwritten.
    """
    _refuse_existing(path)
    key = generate()
    signer = NoteSigner(origin, key)
    write_durably(path, format_secret(signer.key, key.seed))
    return signer


def place_key(
    path: Path, origin: str, home: str = FILE, *, other_than: VerifierKey | None = None
) -> NoteSigner:
    """Have `path` hold a key for `origin`, or say where it lives.

    Args:
        path: the file.
        origin: the log's name.
        home: `file` for a fresh key in the file itself; `environment`; `ssh-agent:<path of its socket>`, with `#SHA256:<fingerprint>` after it
            where it holds several Ed25519 keys.
        other_than: the key in force, which is not meant: where the next one is placed.

    Raises:
        LedgerError: `key-exists`; `invalid-parameter`: it is no home, or not clear which key is meant; `key-file`: of the environment's;
            `origin-changed`: the environment's is another log's; `signer-failed`.
    """
    if home == FILE:
        return create_key(path, origin)
    _refuse_existing(path)
    if home == ENVIRONMENT:
        signer = _first_in_environment(other_than)
        if signer.key.name != origin:
            raise LedgerError(
                Code.ORIGIN_CHANGED, f"the key in {VARIABLE} is for {signer.key.name}, not for {origin}"
            )
    elif home.startswith(SSH_AGENT):
        socket, _, fingerprint = home.removeprefix(SSH_AGENT).partition("#")
        at = Path(socket).expanduser().absolute()
        signer = NoteSigner(origin, SshAgentKey(at, _chosen(at, fingerprint, other_than)))
        home = f"{SSH_AGENT}{at}"
    else:
        raise LedgerError(
            Code.INVALID_PARAMETER,
            f"{home!a} is no home of a key: {FILE}, {ENVIRONMENT}, or {SSH_AGENT}<path of its socket>",
            path="key",
        )
    text = f"{format_vkey(signer.key)}\n{home}\n"
    _parse_home(path, text)
    write_durably(path, text.encode())
    return signer


def load_key(path: Path) -> NoteSigner:
    """The signer of the key at `path`, wherever it lives. Whether it is there shows when something is signed: its public half is known.

    Raises:
        LedgerError: `key-file` when the file is absent, malformed, or readable by anyone but its owner.
    """
    text = read_closed(path, _EVIDENCE)
    if text.startswith(PREFIX):
        return _from_secret(text, f"the signing key {path}")
    key, home = _parse_home(path, text)
    if home != ENVIRONMENT:
        return NoteSigner(key.name, SshAgentKey(Path(home.removeprefix(SSH_AGENT)), key.public))
    found = [signer for signer in _in_environment() if signer.key == key]
    return found[0] if found else NoteSigner(key.name, _Absent(path, key))


def refuse_absent(path: Path) -> None:
    """A server that was started without the secret of its environment would never write: say so at once.

    Raises:
        LedgerError: `key-file`.
    """
    key = load_key(path).key
    if home_of(path) == ENVIRONMENT and key not in [signer.key for signer in _in_environment()]:
        raise _absent(path, key)


class _Absent:
    """Holds the place of a key that is not in the environment: who only reads needs its public half alone."""

    def __init__(self, path: Path, key: VerifierKey) -> None:
        self.public: bytes = key.public
        self._path, self._key = path, key

    def sign(self, message: bytes) -> bytes:  # noqa: ARG002 - it signs none
        raise _absent(self._path, self._key)


def _absent(path: Path, key: VerifierKey) -> LedgerError:
    return LedgerError(
        Code.KEY_FILE,
        f"{path} says that the key {key} is in the environment, and {VARIABLE} does not hold it: start this command with it",
    )


def home_of(path: Path) -> str:
    """Where the key lives that `path` holds or names: `file`, `environment`, `ssh-agent:<path>`.

    Raises:
        LedgerError: `key-file`.
    """
    text = read_closed(path, _EVIDENCE)
    return FILE if text.startswith(PREFIX) else _parse_home(path, text)[1]


def environment_origin() -> str | None:
    """The log that the environment's key is for; None where it has none.

    Raises:
        LedgerError: `key-file`.
    """
    return _first_in_environment().key.name if take_secrets() else None


def _parse_home(path: Path, text: str) -> tuple[VerifierKey, str]:
    vkey, _, rest = text.partition("\n")
    home, _, more = rest.partition("\n")
    known = home == ENVIRONMENT or (
        home.startswith(SSH_AGENT) and Path(home.removeprefix(SSH_AGENT)).is_absolute()
    )
    malformed = LedgerError(
        Code.KEY_FILE, f"the signing key {path} is malformed"
    )  # what it says may be secret
    try:
        key = parse_vkey(vkey)
    except LedgerError:
        raise malformed from None
    if not known or more or key.algorithm != ED25519:
        raise malformed
    return key, home


def _from_secret(text: str, what: str) -> NoteSigner:
    key, seed = parse_secret(text, what)
    if key.algorithm != ED25519:
        raise LedgerError(Code.KEY_FILE, f"{what} is a witness's, not a log's")
    return NoteSigner(key.name, SigningKey(seed))


def _in_environment() -> list[NoteSigner]:
    return [_from_secret(text, f"the signing key in {name}") for name, text in take_secrets().items()]


def _first_in_environment(other_than: VerifierKey | None = None) -> NoteSigner:
    found = [signer for signer in _in_environment() if signer.key != other_than]
    if not found:
        variable = VARIABLE if other_than is None else NEXT_VARIABLE
        raise LedgerError(Code.KEY_FILE, f"{variable} is not set: it is to hold the text of a key file")
    return found[0]


def _chosen(agent: Path, fingerprint: str, other_than: VerifierKey | None) -> bytes:
    """The public key that is meant, of those that an agent holds."""
    held = [each for each in held_keys(agent) if other_than is None or each.public != other_than.public]
    meant = [each for each in held if fingerprint in ("", each.fingerprint)]
    if len(meant) != 1:
        listed = ", ".join(f"{each.fingerprint} ({each.comment})" for each in held) or "none"
        raise LedgerError(
            Code.INVALID_PARAMETER,
            f"it is not clear which key of the agent at {agent} is meant: it holds these Ed25519 keys: {listed}; "
            f"name one: {SSH_AGENT}{agent}#SHA256:…",
            path="key",
        )
    check_public_key(meant[0].public)
    return meant[0].public


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise LedgerError(Code.KEY_EXISTS, f"{path} exists already; a signing key is never overwritten")
