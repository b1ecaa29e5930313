"""Witnesses: in this process, and as real servers of their own."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import httpx
import pytest

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.merkle import consistency_proof, leaf_hash, root_of
from ledger.core.note import NoteSigner
from ledger.core.witnessing import PATH, AddCheckpoint, format_add_checkpoint
from ledger.witness.cosigning import KEY, Cosigning
from ledger.witness.keyfile import create_witness_key
from tests.faults.injector import compiled
from tests.faults.server import started

ROOT = Path(__file__).resolve().parent.parent.parent
ORIGIN = "ledger.example/watched"
NAME = "witness.example/w1"
LISTENS = re.compile(r" on (http://\S+);")


class Tree:
    """A log as a witness sees it: signed checkpoints of any size, proofs between any two. `branch` grows differently from size 3 on."""

    def __init__(self, origin=ORIGIN, branch="", seed=b"\x07"):
        self.origin, self.signer = origin, NoteSigner(origin, SigningKey(seed * 32))
        self.branch = branch

    @property
    def key(self):
        return self.signer.key

    def leaves(self, size):
        return _leaves(self.branch, size)

    def note(self, size, signer=None):
        checkpoint = Checkpoint(self.origin, size, root_of(self.leaves(size)))
        return sign_checkpoint(checkpoint, signer or self.signer)

    def proof(self, old, new):
        return proof_between(self.leaves(new), old) if 0 < old < new else []

    def request(self, old, new, **changed):
        given = {"old": old, "proof": self.proof(old, new), "note": self.note(new)} | changed
        return format_add_checkpoint(AddCheckpoint(**given))


@cache
def _leaves(branch, size):
    return [leaf_hash(f"{i}{branch if i >= 3 else ''}".encode()) for i in range(size)]


def proof_between(leaves, old):
    def read(nodes):
        return [root_of(leaves[index << level : (index + 1) << level]) for level, index in nodes]

    return consistency_proof(old, len(leaves), read)


def make_witness(folder, *logs, name=NAME):
    folder.mkdir(parents=True, exist_ok=True)
    create_witness_key(folder / KEY, name)
    made = Cosigning(folder)
    for log in logs:
        made.watch(log if not isinstance(log, Tree) else log.key)
    return made


class WitnessServer:
    """`agent-ledger witness serve` in a process of its own."""

    def __init__(self, folder, *, environment=None, options=(), port=0):
        self.folder = folder
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server
        self.process = started(
            ["witness", "serve", "--folder", str(folder), "--port", str(port), *options],
            {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            self._words.fileno(),
        )
        self.url = self._wait()
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        self.key = Cosigning(folder).key

    def _wait(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := LISTENS.search(self.said()):
                return found[1]
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the witness did not start: {self.said()}")

    def said(self):
        descriptor = self._words.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def post(self, body):
        return self.http.post(PATH, content=body)

    def get(self, path):
        return self.http.get(path)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        self.kill()


@pytest.fixture
def cosigning(tmp_path):
    return make_witness(tmp_path / "witness", Tree())


@pytest.fixture
def serve():
    """Starts witnesses; all are ended with the test."""
    started = []

    def start(folder, **options):
        started.append(WitnessServer(folder, **options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    made = compiled(tmp_path_factory.mktemp("injector"))
    if made is None:
        pytest.skip("no C compiler")
    return made
