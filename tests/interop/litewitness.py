"""torchwood's litewitness as its manual says: a process of its own, its key in an ssh-agent.

Its `witnessctl`, which would name it the logs, cannot be built everywhere: a module that it needs (sigsum.org/sigsum-go) is not to be had from every
proxy. What that program writes into the database is written here.
"""

import base64
import re
import signal
import sqlite3
import subprocess
from contextlib import closing
from hashlib import sha256

import httpx

from ledger.core.note import parse_vkey
from tests.alerts.receivers import until
from tests.cli.conftest import free_port
from tests.signer.agents import OpenSSH

NAME = "witness.example/lite"
EMPTY = base64.b64encode(sha256().digest()).decode()  # the root of no entries
SAYS_KEY = re.compile(r'vkey="?([^\s"]+)')


class Litewitness:
    """A running one. `place`: a folder whose path is short enough for a socket; `program`: where its program is."""

    def __init__(self, folder, place, program):
        self._database, self._words = folder / "litewitness.db", folder / "words"
        self.agent = OpenSSH(place)
        listen = f"127.0.0.1:{free_port()}"
        self.url = f"http://{listen}"
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(
                [
                    program,
                    *("-name", NAME),
                    *("-db", self._database),
                    *("-ssh-agent", self.agent.path),
                    *("-key", self.agent.fingerprints()[0]),
                    *("-listen", listen),
                ],
                stderr=words,
            )
        try:
            until(self._answers, 30)
        except AssertionError:
            self.stop()
            raise
        self.key = parse_vkey(SAYS_KEY.search(self._words.read_text())[1])

    def _answers(self):
        assert self._process.poll() is None, self._words.read_text()
        try:
            return httpx.get(self.url, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def watch(self, log):
        """Cosign this log from now on: what `witnessctl add-log` and `add-key` write."""
        with closing(sqlite3.connect(self._database)) as database, database:
            database.execute(
                "INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", (log.name, EMPTY)
            )
            database.execute("INSERT INTO key (origin, key) VALUES (?, ?)", (log.name, str(log)))

    def seen(self, origin):
        """The size and the root of what it cosigned last of a log."""
        with closing(sqlite3.connect(self._database)) as database:
            found = database.execute("SELECT tree_size, tree_hash FROM log WHERE origin = ?", (origin,))
            size, root = found.fetchone()
        return size, base64.b64decode(root)

    def stop(self):
        """End it as its manual says, and its agent."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self.agent.kill()
