"""The one credential outside the log: the file `cli.token` in the data folder, by which commands on the same machine are administrators.

Whoever can read that file can read the log's key beside it, so it gives nobody more than the folder does; and a new log begins with the records that are
posted to it, not with entries about who may. The file's being there is the grant: removing it is the revocation.
"""

import hashlib
import hmac
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Any, Final

from ledger.core.errors import Code, LedgerError
from ledger.log.access import LOCAL_NAME
from ledger.storage.files import write_durably
from ledger.trust.roles import PERMISSIONS, Principal, Role

FILE: Final = "cli.token"
PREFIX: Final = "alt_"
RELOAD_EVERY_S: Final = 1.0
MAX_BYTES: Final = 4_096
SECRET_BYTES: Final = 32

LOCAL: Final = Principal(LOCAL_NAME, (Role.ADMIN,), PERMISSIONS[Role.ADMIN], f"token:{LOCAL_NAME}")
SHOWN: Final[dict[str, Any]] = {
    "name": LOCAL_NAME,
    "roles": [Role.ADMIN.value],
    "credential": {"type": "file", "path": FILE},
    "permits": sorted(LOCAL.operations),
}
_Stamp = tuple[int, int, int]


def new_secret() -> str:
    """The text of a new bearer token: 32 random bytes."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> bytes:
    """SHA-256 of a token's text, however odd the text is."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def make_local_token(folder: Path) -> Path:
    """Write a new token into a data folder, in the place of one that may be there; returns the file.

    Raises:
        LedgerError: `token-file`: it cannot be written.
    """
    path = folder / FILE
    try:
        write_durably(path, f"{new_secret()}\n".encode())
    except OSError as error:
        raise LedgerError(Code.TOKEN_FILE, f"{path} cannot be written: {error.strerror}") from error
    return path


def remove_local_token(folder: Path) -> None:
    """Remove the token from a data folder.

    Raises:
        LedgerError: `not-found`, `token-file`.
    """
    path = folder / FILE
    try:
        path.unlink()
    except FileNotFoundError:
        raise LedgerError(Code.NOT_FOUND, f"there is no {path}") from None
    except OSError as error:
        raise LedgerError(Code.TOKEN_FILE, f"{path} cannot be removed: {error.strerror}") from error


class LocalToken:
    """The token in a data folder, as it is there now (within a second)."""

    def __init__(self, folder: Path) -> None:
        """Read it; where there is none, nobody is admitted by it.

        Raises:
            LedgerError: `token-file`: the file cannot be read, or is open to other users.
        """
        self._path = folder / FILE
        self._stamp: _Stamp | None = None
        self._digest: bytes | None = None
        self._fresh_until = 0.0
        self._reload()

    def check(self, presented: bytes) -> Principal | None:
        """The administrator, where this is the SHA-256 of the token.

        Raises:
            LedgerError: `token-file`: nobody is admitted by what the file said before.
        """
        if time.monotonic() >= self._fresh_until:
            self._reload()
        known = self._digest is not None and hmac.compare_digest(self._digest, presented)
        return LOCAL if known else None

    def shown(self) -> list[dict[str, Any]]:
        """It, as credentials are shown; nothing where there is none.

        Raises:
            LedgerError: `token-file`.
        """
        self._reload()
        return [] if self._digest is None else [SHOWN]

    def remove(self) -> None:
        """Remove the file: who has the token is admitted no more.

        Raises:
            LedgerError: `not-found`, `token-file`.
        """
        remove_local_token(self._path.parent)
        self._reload()

    def _reload(self) -> None:
        try:
            stamp = self._look()
            if stamp is None or stamp != self._stamp:
                self._digest = None if stamp is None else read_digest(self._path)
                self._stamp = stamp
        except LedgerError:
            self._stamp, self._digest, self._fresh_until = None, None, 0.0
            raise
        self._fresh_until = time.monotonic() + RELOAD_EVERY_S

    def _look(self) -> _Stamp | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            if self._path.parent.is_dir():
                return None
            # Nobody knows whose token holds: that is no reason to call one wrong.
            raise LedgerError(
                Code.TOKEN_FILE,
                f"{self._path.parent} was moved away or removed, so nobody can be let in: bring it back, then start again",
            ) from None
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return found.st_mtime_ns, found.st_ino, found.st_size


def read_digest(path: Path) -> bytes:
    """SHA-256 of the token in a file.

    Raises:
        LedgerError: `token-file`: it cannot be read, is open to other users, or holds none.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            secret = file.read(MAX_BYTES).strip()
    except OSError as error:
        raise _unreadable(path, error) from error
    if mode & 0o077:
        raise LedgerError(
            Code.TOKEN_FILE, f"{path} has mode {mode:04o}: others could let themselves in; chmod 600 it"
        )
    if len(secret) < SECRET_BYTES:
        raise LedgerError(Code.TOKEN_FILE, f"{path} holds no token: remove it, and the next start makes one")
    return hashlib.sha256(secret).digest()


def _unreadable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(Code.TOKEN_FILE, f"{path} cannot be read: {error.strerror}")
