"""Agents to sign with: OpenSSH's own, and one that does what it is told to, in a thread."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.core.ed25519 import SigningKey
from ledger.log import sshwire
from ledger.log.sshwire import Identity

Behaviour = Callable[
    [bytes, bytes], bytes | None
]  # the request and the true answer → what is answered, None to hang up


class OpenSSH:
    """OpenSSH's ssh-agent, in the foreground, with one key that `ssh-keygen` made."""

    def __init__(self, folder: Path, keys: int = 1) -> None:
        if shutil.which("ssh-agent") is None or shutil.which("ssh-keygen") is None:
            pytest.skip("OpenSSH is not installed here")
        self.path = folder / "agent.sock"
        self.files = [folder / f"key-{number}" for number in range(keys)]
        for file in self.files:
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", file)
        self.start()

    def start(self) -> None:
        self.path.unlink(missing_ok=True)  # a kill -9 leaves it
        self.process = subprocess.Popen(["ssh-agent", "-D", "-a", self.path], stdout=subprocess.DEVNULL)
        wait_for(self.path)
        for file in self.files:
            run("ssh-add", "-q", file, SSH_AUTH_SOCK=str(self.path))

    def fingerprints(self) -> list[str]:
        listed = run("ssh-add", "-l", SSH_AUTH_SOCK=str(self.path))
        return [line.split()[1] for line in listed.splitlines()]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Told:
    """An agent with one key, which answers as `behaviour` says; all that it was asked to sign is in `signed`."""

    def __init__(self, path: Path, key: SigningKey | None = None) -> None:
        self.path, self.key = path, key or SigningKey(b"\x07" * 32)
        self.behaviour: Behaviour = honest
        self.signed: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:  # a close alone would not wake the thread
            self._closing = True
            last.connect(str(self.path))
        self._listener.close()
        self.path.unlink()

    _closing = False

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing:
                connection.close()
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            length = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big")
            request = connection.recv(length, socket.MSG_WAITALL)
            answer = self.behaviour(request, self._true_answer(request))
            if answer is not None:
                with contextlib.suppress(BrokenPipeError):  # who waited has gone
                    connection.sendall(answer)

    def _true_answer(self, request: bytes) -> bytes:
        if request[0] == sshwire.REQUEST_IDENTITIES:
            return sshwire.format_identities([Identity(self.key.public, "told")])
        data = sshwire.parse_sign_request(request[1:]).data
        self.signed.append(data)
        return sshwire.format_signature(self.key.sign(data))


def honest(_request: bytes, answer: bytes) -> bytes:
    return answer


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A socket's path has at most 107 bytes, and a test's own folder may be deeper."""
    folder = Path(tempfile.mkdtemp(prefix="s-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return done.stdout.decode()


def wait_for(path: Path, seconds: float = 20) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as tried:
            try:
                tried.connect(str(path))
            except OSError:
                time.sleep(0.01)
            else:
                return
    raise TimeoutError(path)
