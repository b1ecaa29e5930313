"""A log's key in another process, asked over a unix socket by the ssh-agent protocol: OpenSSH's agent, gpg-agent, `agent-ledger signer`.

One connection per signature: an agent that was started again needs no repair here, and a late answer has nobody to take it for another one's.
"""

import socket
import time
from pathlib import Path
from typing import Final

from ledger.core.ed25519 import RETRY_AFTER_S
from ledger.core.errors import Code, LedgerError
from ledger.log import sshwire
from ledger.log.sshwire import Identity

TIMEOUT_S: Final = 5.0  # for one signature, from the connection to the last byte
MAX_ANSWER_BYTES: Final = 256 * 1024  # what OpenSSH's agent takes; a signature is 83 bytes


class SshAgentKey:
    """A key that an agent holds, pinned by its public half. Safe to use from any thread."""

    __slots__ = ("_path", "public")

    def __init__(self, path: Path, public: bytes) -> None:
        """Name it; nobody is asked yet.

        Args:
            path: of the agent's socket.
            public: 32 bytes.
        """
        self.public: bytes = public
        self._path = path

    def __repr__(self) -> str:
        return f"SshAgentKey({self._path}, public={self.public.hex()})"

    def sign(self, message: bytes) -> bytes:
        """What the agent says is its signature; `ledger.core.ed25519.sign_verified` checks it.

        Raises:
            LedgerError: `signer-failed`.
        """
        kind, contents = _ask(self._path, sshwire.format_sign_request(self.public, message))
        if kind == sshwire.FAILURE:
            raise _failed(
                self._path,
                f"refuses to sign {len(message):,} bytes with {Identity(self.public, '').fingerprint}",
                "see that it holds that key, is not locked and asks no person (`ssh-add -l`)",
            )
        if kind != sshwire.SIGN_RESPONSE:
            raise _nonsense(self._path, f"a message of the kind {kind}")
        try:
            return sshwire.parse_signature(contents)
        except ValueError as error:
            raise _nonsense(self._path, str(error)) from None


def held_keys(path: Path) -> list[Identity]:
    """The Ed25519 keys that an agent says it holds.

    Raises:
        LedgerError: `signer-failed`.
    """
    kind, contents = _ask(path, sshwire.format_message(sshwire.REQUEST_IDENTITIES))
    if kind != sshwire.IDENTITIES_ANSWER:
        raise _nonsense(path, f"a message of the kind {kind}")
    try:
        return sshwire.parse_identities(contents)
    except ValueError as error:
        raise _nonsense(path, str(error)) from None


def _ask(path: Path, request: bytes) -> tuple[int, bytes]:
    """Send a message and read the one that answers it: its kind and contents."""
    until = time.monotonic() + TIMEOUT_S
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            agent.settimeout(TIMEOUT_S)
            agent.connect(str(path))
            agent.settimeout(max(until - time.monotonic(), 0.001))  # 0 would be another mode of the socket
            agent.sendall(request)
            length = int.from_bytes(receive_exactly(agent, sshwire.LENGTH_BYTES, until), "big")
            if not 0 < length <= MAX_ANSWER_BYTES:
                raise _nonsense(path, f"a message of {length:,} bytes")
            answer = receive_exactly(agent, length, until)
    except TimeoutError:
        raise _failed(
            path, f"has not answered within {TIMEOUT_S:g} s", "see whether it hangs, or asks a person"
        ) from None
    except EOFError:
        raise _failed(
            path,
            f"hung up before it had answered {len(request):,} bytes",
            "see what it says",
        ) from None
    except OSError as error:
        raise _failed(path, f"is away ({error.strerror or error})", "start it again") from None
    return answer[0], answer[1:]


def receive_exactly(connection: socket.socket, count: int, until: float) -> bytes:
    """So many bytes, however they arrive, until a moment of `time.monotonic`.

    Raises:
        TimeoutError: there were fewer by then.
        EOFError: the other side has hung up before.
        OSError: the connection broke.
    """
    data = bytearray()
    while len(data) < count:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def _nonsense(path: Path, what: str) -> LedgerError:
    return _failed(path, f"answers nonsense ({what})", "see what listens there")


def _failed(path: Path, what: str, remedy: str) -> LedgerError:
    return LedgerError(
        Code.SIGNER_FAILED,
        f"the signer at {path} {what}: what is not signed is not kept; {remedy}, then send the same again",
        retry_after=RETRY_AFTER_S,
    )
