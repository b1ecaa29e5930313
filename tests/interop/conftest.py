"""Programs that are not ours, built from the versions that go.mod and go.sum pin, and ledgers with a witness for them to judge."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from ledger.core.note import parse_vkey
from ledger.witness.cosigning import Cosigning
from tests.cli.conftest import new_ledger
from tests.faults.server import Server
from tests.interop.litewitness import Litewitness
from tests.signer.agents import short_folder
from tests.witness.conftest import WitnessServer, make_witness
from tests.witness.pair import made_key

HERE = Path(__file__).resolve().parent / "go"
PROGRAMS = {
    "ed25519": "./ed25519",
    "verify": "./verify",
    "spicy": "./spicy",
    "grow": "./grow",
    "fsck": "./fsck",
    "mirror": "github.com/transparency-dev/tessera/cmd/experimental/mirror/posix",
    "litewitness": "filippo.io/torchwood/cmd/litewitness",
}
BUILD_S = 1_500
ORIGIN = "test.example/interop"


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Where a program is; it is built when it is first asked for."""
    if shutil.which("go") is None:
        pytest.skip("Go is not here")
    kept = os.environ.get("INTEROP_BIN")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("bin")

    @cache
    def built(name):
        making = subprocess.run(
            ["go", "build", "-mod=readonly", "-o", str(folder / name), PROGRAMS[name]],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
        if making.returncode and re.search(r"dial tcp|no such host|connection refused", making.stderr):
            pytest.skip("the modules are not here, and no module proxy is reached")
        assert making.returncode == 0, making.stderr
        return str(folder / name)

    return built


@pytest.fixture(scope="session")
def run(programs):
    """Runs a program to its end."""

    def call(name, *arguments, **options):
        return subprocess.run(
            [programs(name), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )

    return call


class OwnWitness(WitnessServer):
    """A witness by us."""

    def __init__(self, folder):
        make_witness(folder)
        super().__init__(folder)

    def watch(self, log):
        Cosigning(self.folder).watch(log)


class Witnessed:
    """A ledger with a witness, of whatever make."""

    def __init__(self, folder, witness):
        self.ledger, self.witness = new_ledger(folder), witness
        made = self.ledger.run("init", "--data", self.ledger.data, "--origin", ORIGIN)
        assert made.returncode == 0, made.stderr
        self.key = parse_vkey(made_key(self.ledger.data))
        witness.watch(self.key)
        self.keys = (self.key, witness.key)
        self.policy = folder / "policy"
        self.policy.write_text(f"log {self.key}\nwitness w {witness.key} {witness.url}\nquorum w\n")
        self.server = self.serve(self.ledger)

    def serve(self, ledger, kind=Server):
        """Serve its folder, or a copy of that, with its witness."""
        port = ledger.url.rpartition(":")[2]
        options = ("--witness-policy", str(self.policy), "--witness-private", "--port", port)
        return kind(ledger.data, origin=ORIGIN, environment=ledger.environment(), options=options)

    def post(self, count=1):
        with self.server.client() as client:
            record = {"type": "note", "time": "2026-11-21T09:30:00Z"}
            answered = client.post("/v1/records?witnessed=true", json=[record] * count)
        assert (answered.status_code, answered.json()["witnessed"]) == (201, True), answered.text
        return [each["seq"] for each in answered.json()["results"]]

    def get(self, path):
        with self.server.client() as client:
            return client.get(path).content

    def stop(self):
        self.server.stop()
        self.witness.stop()


@pytest.fixture(scope="session")
def witnessed(tmp_path_factory):
    """A ledger with a witness by us."""
    folder = tmp_path_factory.mktemp("witnessed")
    made = Witnessed(folder, OwnWitness(folder / "w"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def litewitness(tmp_path_factory, programs):
    """torchwood's witness."""
    with short_folder() as place:
        made = Litewitness(tmp_path_factory.mktemp("litewitness"), place, programs("litewitness"))
        yield made
        made.stop()


@pytest.fixture(scope="session")
def lite(tmp_path_factory, litewitness):
    """A ledger with torchwood's witness."""
    made = Witnessed(tmp_path_factory.mktemp("lite"), litewitness)
    yield made
    made.server.stop()
