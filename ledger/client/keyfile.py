"""An agent's key, and one salt for each person it spoke of, in a file that only its owner may read.

    {"format": 1, "key_id": "finance-agent-1", "seed": "<base64 of 32 bytes>"}
    {"person": "ann@example.com", "salt": "<32 hex>"}

Equal persons have equal commitments under one key. Whoever removes a person's line (`AgentKey.forget`) can never say again which
commitments were theirs. Beside it, `<file>.withheld` has a line for each content that was kept from the ledger, so that it can be
shown later and found true: {"id", "member", "salt", "value"}.
"""

import fcntl
import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from ledger.core.ed25519 import SigningKey, generate
from ledger.core.entry import SALT_BYTES
from ledger.core.errors import Code, LedgerError
from ledger.core.text import format_base64, parse_base64
from ledger.records.limits import MAX_NAME_CHARACTERS

FORMAT: Final = 1
FILE_MODE: Final = 0o600


class AgentKey:
    """The key by which an agent signs its records. Threads and processes may share its file.

    Attributes:
        key_id: what entries name beside the signature.
        path: the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read the key at `path`.

        Raises:
            LedgerError: `key-file`: it is absent, malformed, or readable by others.
        """
        self.path = Path(path).expanduser().absolute()
        self._lock = threading.Lock()
        self._salts: dict[str, bytes] = {}
        self._version: tuple[int, int] = (0, 0)
        self._read()

    @classmethod
    def create(cls, path: str | os.PathLike[str], key_id: str) -> Self:
        """Make a key. Its public half is what `agent-ledger keys grant <key_id> <public key>` takes.

        Raises:
            LedgerError: `key-exists`, or `invalid-member` where the id is none.
            OSError: it cannot be written.
        """
        if not 1 <= len(key_id) <= MAX_NAME_CHARACTERS:
            raise LedgerError(Code.INVALID_MEMBER, f"a key's id is 1 to {MAX_NAME_CHARACTERS} characters")
        made = {"format": FORMAT, "key_id": key_id, "seed": format_base64(generate().seed)}
        file = Path(path).expanduser().absolute()
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        except FileExistsError:
            raise LedgerError(
                Code.KEY_EXISTS, f"{file} exists already; an agent's key is never overwritten"
            ) from None
        try:
            os.write(descriptor, json.dumps(made).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return cls(file)

    @property
    def public_key(self) -> str:
        """The public key, 32 bytes in base64."""
        return format_base64(self._key.public)

    def sign(self, message: bytes) -> str:
        """The signature of a message, in base64."""
        return format_base64(self._key.sign(message))

    # ---- persons

    def salt_of(self, person: str) -> bytes:
        """A person's salt; on the disk before it is used.

        Raises:
            LedgerError: `key-file`: the file is gone or spoilt.
            OSError: it cannot be written.
        """
        with self._lock:
            if self._seen() != self._version:
                self._read()
            if person not in self._salts:
                with self._alone():
                    self._read()  # another process may have met the person meanwhile
                    if person not in self._salts:
                        salt = secrets.token_bytes(SALT_BYTES)
                        self._append(self.path, {"person": person, "salt": salt.hex()})
                        self._salts[person] = salt
                        self._version = self._seen()
            return self._salts[person]

    def forget(self, person: str) -> bool:
        """Remove a person's salt for good. Returns whether there was one.

        Raises:
            OSError: it cannot be written; the old file is still whole.
        """
        with self._lock, self._alone():
            self._read()
            found = self._salts.pop(person, None) is not None
            if found:
                lines = [
                    self._head,
                    *({"person": who, "salt": salt.hex()} for who, salt in self._salts.items()),
                ]
                beside = self.path.with_name(f".{self.path.name}.new")
                beside.unlink(missing_ok=True)
                for line in lines:
                    self._append(beside, line)
                beside.replace(self.path)
                self._version = self._seen()
            return found

    # ---- what is withheld

    def keep(self, record_id: str, member: str, salt: bytes, value: bytes) -> None:
        """Keep a content, or who a person is, that the ledger is not shown: on the disk when this returns.

        Raises:
            OSError: it cannot be written.
        """
        kept = {"id": record_id, "member": member, "salt": salt.hex(), "value": value.decode()}
        with self._lock, self._alone():
            self._append(self.path.with_name(f"{self.path.name}.withheld"), kept)

    # ---- the file

    def _read(self) -> None:
        version = self._seen()
        if self.path.stat().st_mode & 0o077:
            raise LedgerError(
                Code.KEY_FILE,
                f"the agent's key {self.path} can be read by others: chmod 600 it, and if others have had access, treat it as stolen",
            )
        lines = self.path.read_bytes().split(b"\n")  # what follows the last one is a line that a crash tore
        try:
            self._head = json.loads(lines[0])
            self._key = SigningKey(parse_base64(self._head["seed"]))
            self.key_id = str(self._head["key_id"])
            persons = [json.loads(line) for line in lines[1:-1]]
            self._salts = {line["person"]: bytes.fromhex(line["salt"]) for line in persons}
            well = self._head["format"] == FORMAT
        except (ValueError, KeyError, TypeError, LedgerError):
            well = False
        if not well:
            raise LedgerError(Code.KEY_FILE, f"the agent's key {self.path} is malformed")
        self._version = version

    def _seen(self) -> tuple[int, int]:
        try:
            about = self.path.stat()
        except OSError as error:
            raise LedgerError(
                Code.KEY_FILE, f"the agent's key {self.path} cannot be read: {error.strerror}"
            ) from None
        return about.st_ino, about.st_size

    def _append(self, path: Path, line: dict[str, Any]) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        try:
            end = os.fstat(descriptor).st_size
            whole = (
                path.read_bytes().rfind(b"\n") + 1
                if end and os.pread(descriptor, 1, end - 1) != b"\n"
                else end
            )
            os.ftruncate(descriptor, whole)  # a line that a crash tore was never used
            end, data = whole, json.dumps(line, ensure_ascii=False).encode() + b"\n"
            if os.write(descriptor, data) < len(data):
                os.ftruncate(descriptor, end)
                raise OSError(28, "No space left on device", str(path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process changes the file."""
        lock = self.path.with_name(f".{self.path.name}.lock")
        descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
