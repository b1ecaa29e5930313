"""The signer's socket: who may ask, and answers to the two questions of the ssh-agent protocol that it knows.

Every connection has a thread; what is asked on it is bounded in length and time. Whoever asks anything else gets SSH_AGENT_FAILURE.
"""

import contextlib
import logging
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Final

from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.note import MAX_NOTE_BYTES, VerifierKey
from ledger.log import sshwire
from ledger.log.sshagent import receive_exactly
from ledger.log.sshwire import Identity
from ledger.signer.rule import kind_of

MAX_REQUEST_BYTES: Final = MAX_NOTE_BYTES + 1024
IDLE_S: Final = 30.0
AWAKE_S: Final = 1.0
CONNECTIONS: Final = 64
SHOWN: Final = 200  # characters of why something was refused: they may quote it
OWNER_ONLY, EVERYBODY = 0o600, 0o666
_PEER: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid

logger = logging.getLogger(__name__)


class Signer:
    """A key, and the rule for what it signs. Safe to use from any thread."""

    def __init__(self, key: VerifierKey, seed: bytes) -> None:
        """Of one log.

        Args:
            key: the log's, under its origin's name.
            seed: 32 secret bytes.
        """
        self.key = key
        self.signed: Counter[str] = Counter()
        self._key = SigningKey(seed)
        self._identity = Identity(key.public, key.name)
        self._counting = threading.Lock()

    def answer(self, request: bytes) -> bytes:
        """The whole message that answers one, without the length before it."""
        try:
            match request[:1]:
                case b"\x0b" if len(request) == 1:
                    return sshwire.format_identities([self._identity])
                case b"\x0d":
                    return self._sign(sshwire.parse_sign_request(request[1:]))
            raise ValueError(f"a message of the kind {request[:1].hex() or 'nothing'}")  # noqa: TRY301 - as what is malformed
        except ValueError as error:
            logger.warning("refused %d bytes: %s", len(request), str(error)[:SHOWN])
            return sshwire.format_message(sshwire.FAILURE)

    def _sign(self, request: sshwire.SignRequest) -> bytes:
        if request.public != self.key.public:
            raise ValueError("another key is asked for")
        kind = kind_of(request.data, self.key.name)
        signature = self._key.sign(request.data)
        with self._counting:
            self.signed[kind] += 1
        return sshwire.format_signature(signature)


class Listening:
    """The socket of a signer, from when it is made until `close`."""

    def __init__(self, signer: Signer, path: Path, *, users: Collection[int] = ()) -> None:
        """Listen.

        Args:
            signer: who answers.
            path: of the socket; one that nobody listens at any more is replaced.
            users: user ids that may ask beside this process's own. With any, the socket is open to everybody and the kernel says who asks.

        Raises:
            LedgerError: `locked`: somebody listens there.
            OSError: it cannot be made.
        """
        _clear(path)
        self._signer, self._path, self._users = signer, path, frozenset(users)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self._listener.bind(str(path))
        path.chmod(EVERYBODY if users else OWNER_ONLY)  # nobody is heard before `listen`
        self._listener.listen(CONNECTIONS)
        self._listener.settimeout(AWAKE_S)  # a signal that comes just before `accept` does not end it

    def serve(self) -> None:
        """Answer until `close`."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                continue  # who called has hung up meanwhile
            self._room.acquire()
            threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Hear nobody any more, and take the socket away."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # a close alone would not wake `accept`
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _attend(self, connection: socket.socket) -> None:
        try:
            with connection:
                if self._may_ask(connection):
                    while (request := _read(connection)) is not None:
                        connection.settimeout(IDLE_S)
                        connection.sendall(self._signer.answer(request))
        except OSError:
            pass  # it is who asked that went away
        finally:
            self._room.release()

    def _may_ask(self, connection: socket.socket) -> bool:
        if not self._users:  # the socket's mode says it
            return True
        _, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        if uid in self._users:
            return True
        logger.warning("refused to hear the user %d", uid)
        return False


def _read(connection: socket.socket) -> bytes | None:
    """The next message, None where there is none, or none that could be an honest one."""
    until = time.monotonic() + IDLE_S
    try:
        length = int.from_bytes(receive_exactly(connection, sshwire.LENGTH_BYTES, until), "big")
        return receive_exactly(connection, length, until) if 0 < length <= MAX_REQUEST_BYTES else None
    except EOFError:
        return None


def _clear(path: Path) -> None:
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
        try:
            tried.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise LedgerError(Code.LOCKED, f"somebody listens at {path} already")
