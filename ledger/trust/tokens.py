"""Bearer tokens: who may do what over HTTP.

The file `tokens.json` (mode 0600) holds names, roles and SHA-256 hashes, never a token: a token is 32 random bytes, so that its plain
hash cannot be guessed back. The text is shown once, when it is made.

    {"format": 1, "tokens": [{"name": "gw-eu-1", "roles": ["writer"], "sha256": "<64 hex>", "created_at": "2026-11-21T09:30:00.123456Z"}]}
"""

import fcntl
import hashlib
import hmac
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec

from ledger.core.entry import format_time
from ledger.core.errors import Code, LedgerError
from ledger.log.files import write_durably

PREFIX: Final = "alt_"
NAME: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
RELOAD_EVERY_S: Final = 1.0
_SECRET_BYTES: Final = 32


class Operation(StrEnum):
    """What a request does, as far as permission goes."""

    POST = "post"  # append records
    LOG_PROOFS = "log-proofs"  # hashes only: the log's head, checkpoints, receipts, consistency proofs
    READ = "read"  # entries and contents, tiles, tail, export
    QUERY = "query"  # SQL and named queries
    VERIFY = "verify"  # run a verification on the server


class Role(StrEnum):
    """What a token is for."""

    WRITER = "writer"
    READER = "reader"
    AUDITOR = "auditor"
    ADMIN = "admin"


_READS = frozenset({Operation.LOG_PROOFS, Operation.READ, Operation.QUERY})

PERMISSIONS: Final[Mapping[Role, frozenset[Operation]]] = MappingProxyType(
    {
        Role.WRITER: frozenset({Operation.POST, Operation.LOG_PROOFS}),
        Role.READER: _READS,
        Role.AUDITOR: _READS | {Operation.VERIFY},
        Role.ADMIN: frozenset(Operation),
    }
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who holds a token.

    Attributes:
        name: the token's name.
        roles: what it was made for.
        operations: what its roles permit together.
        submitter: what stands in the entries it writes, `token:<name>`.
        created_at: when it was made, RFC 3339.
    """

    name: str
    roles: tuple[Role, ...]
    operations: frozenset[Operation]
    submitter: str
    created_at: str

    def may(self, operation: Operation) -> bool:
        """Whether one of the roles permits it."""
        return operation in self.operations


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    created_at: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    tokens: tuple[_Stored, ...]


_EMPTY = _File(format=1, tokens=())
_Stamp = tuple[int, int, int]


class TokenStore:
    """The tokens of one log. Any number of processes may share the file: the service checks, the command line creates."""

    def __init__(self, path: Path) -> None:
        """Read the tokens at `path`; a file that is not there yet holds none.

        Raises:
            LedgerError: `token-file` when it cannot be read, is malformed, or is open to other users.
        """
        self.path = path
        self._stamp: _Stamp | None = None
        self._known: dict[bytes, tuple[bytes, Principal]] = {}
        self._fresh_until = 0.0
        self._reload()

    def check(self, secret: str) -> Principal | None:
        """The holder of a token, None for one that was never made or is revoked (elsewhere: within a second).

        Raises:
            LedgerError: `token-file` when the file changed and no longer holds: nobody gets in by what it said before.
        """
        if time.monotonic() >= self._fresh_until:
            self._reload()
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        # How long a look-up takes tells at most about the hash of a guess; the comparison that admits takes the same time for all.
        known = self._known.get(digest)
        if known is None:
            self._reload()  # one that was made a moment ago works at once
            known = self._known.get(digest)
        if known is None or not hmac.compare_digest(known[0], digest):
            return None
        return known[1]

    def create(self, name: str, roles: Iterable[Role | str]) -> str:
        """Make a token and return its text, which is stored nowhere.

        Args:
            name: what entries will call its holder; lower-case letters, digits and dashes, 1 to 64.
            roles: at least one of writer, reader, auditor, admin.

        Raises:
            LedgerError: `invalid-parameter`, `token-exists`, `token-file`.
        """
        if not NAME.fullmatch(name):
            raise LedgerError(
                Code.INVALID_PARAMETER,
                f"a token's name is 1 to 64 of a-z, 0-9 and -, not {name[:80]!r}",
                path="name",
            )
        given = _roles(roles)
        secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        with self._writing() as before:
            if any(token.name == name for token in before.tokens):
                raise LedgerError(
                    Code.TOKEN_EXISTS,
                    f"there is a token {name} already; revoke it first, or take another name",
                )
            made = _Stored(name, given, digest, format_time(time.time_ns() // 1_000))
            self._write(_File(format=1, tokens=(*before.tokens, made)))
        return secret

    def revoke(self, name: str) -> None:
        """Make a token worthless. What it wrote stays in the log under its name.

        Raises:
            LedgerError: `not-found`, `token-file`.
        """
        with self._writing() as before:
            left = tuple(token for token in before.tokens if token.name != name)
            if len(left) == len(before.tokens):
                raise LedgerError(Code.NOT_FOUND, f"there is no token {name[:80]!r}")
            self._write(_File(format=1, tokens=left))

    def list(self) -> tuple[Principal, ...]:
        """Everyone who holds a token, oldest first.

        Raises:
            LedgerError: `token-file`.
        """
        self._reload()
        return tuple(principal for _, principal in self._known.values())

    def _reload(self) -> None:
        """Take in the file if it is another one than before. Fails closed."""
        try:
            stamp = _stamp(self.path)
            if stamp is None or stamp != self._stamp:
                self._take(_read(self.path), stamp)
        except LedgerError:
            self._stamp, self._known, self._fresh_until = None, {}, 0.0
            raise
        self._fresh_until = time.monotonic() + RELOAD_EVERY_S

    def _take(self, file: _File, stamp: _Stamp | None) -> None:
        known = {}
        for token in file.tokens:
            digest = bytes.fromhex(token.sha256)
            known[digest] = (digest, _principal(token))
        self._known, self._stamp = known, stamp

    def _write(self, file: _File) -> None:
        try:
            write_durably(self.path, msgspec.json.format(msgspec.json.encode(file)) + b"\n")
        except OSError as error:
            raise LedgerError(
                Code.TOKEN_FILE, f"{self.path} cannot be written: {error.strerror}; the tokens are as before"
            ) from error
        self._take(file, _stamp(self.path))

    @contextmanager
    def _writing(self) -> Iterator[_File]:
        """The file as it is, for one change: no two processes change it at once."""
        try:
            fd = os.open(
                self.path.with_name(f".{self.path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise LedgerError(
                Code.TOKEN_FILE, f"{self.path.parent} cannot be written: {error.strerror}"
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield _read(self.path)
        finally:
            os.close(fd)


def _principal(token: _Stored) -> Principal:
    operations = frozenset[Operation]().union(*(PERMISSIONS[role] for role in token.roles))
    return Principal(token.name, token.roles, operations, f"token:{token.name}", token.created_at)


def _roles(roles: Iterable[Role | str]) -> tuple[Role, ...]:
    try:
        given = tuple(dict.fromkeys(Role(role) for role in roles))
    except ValueError as error:
        raise LedgerError(
            Code.INVALID_PARAMETER, f"{error}; a role is one of {', '.join(Role)}", path="roles"
        ) from None
    if not given:
        raise LedgerError(
            Code.INVALID_PARAMETER, f"a token needs a role: one of {', '.join(Role)}", path="roles"
        )
    return given


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(Code.TOKEN_FILE, f"{path} cannot be read: {error.strerror}") from error
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read()
    except FileNotFoundError:
        return _EMPTY
    except OSError as error:
        raise LedgerError(Code.TOKEN_FILE, f"{path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise LedgerError(
            Code.TOKEN_FILE, f"{path} has mode {mode:04o}: others could let themselves in; chmod 600 it"
        )
    try:
        return msgspec.json.decode(data, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LedgerError(Code.TOKEN_FILE, f"{path} is not a file of tokens: {error}") from error
