"""A ledger and its witness, each a process of its own, and the command line beside them."""

from pathlib import Path

from ledger.core.note import parse_vkey
from ledger.log.keys import load_key
from ledger.witness.cosigning import Cosigning
from tests.alerts.receivers import until
from tests.cli.conftest import Ledger, new_ledger
from tests.faults.server import LISTENS, Server
from tests.witness.conftest import WitnessServer, make_witness

ORIGIN = "test.example/served"
RECORD = {"type": "note", "time": "2026-11-21T09:30:00Z", "ext": {"test.n": 1}}


class Pair:
    """A ledger that is witnessed, and the command line beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger: Ledger = new_ledger(folder)
        make_witness(folder / "w")
        self.witness = WitnessServer(folder / "w")
        made = self.ledger.run("init", "--data", self.ledger.data, "--origin", ORIGIN)
        assert made.returncode == 0, made.stderr
        self.key = parse_vkey(made_key(self.ledger.data))
        Cosigning(folder / "w").watch(self.key)
        self.policy = folder / "policy"
        self.policy.write_text(
            f"log {self.key}\nwitness w {self.witness.key} {self.witness.url}\ngroup others any w\nquorum others\n"
        )
        self.server = self.serve()

    def serve(self, *options: str) -> Server:
        port = self.ledger.url.rpartition(":")[2]
        asked = (
            "--witness-policy",
            str(self.policy),
            "--witness-private",
            "--witness-wait-s",
            "2",
            "--port",
            port,
        )
        return Server(
            self.ledger.data, origin=ORIGIN, environment=self.ledger.environment(), options=(*asked, *options)
        )

    def run(self, *arguments, state=None, **environment):
        seen_by = self.ledger if state is None else self.ledger.seen_by(state)
        return seen_by.run(*arguments, **environment)

    def post(self, query="", **more):
        with self.server.client() as client:
            return client.post(f"/v1/records{query}", json=RECORD | more)

    def stop(self):
        self.server.stop()
        self.witness.stop()


class Stopped(Server):
    """A ledger that may have stopped writing before anybody asked whether it is ready."""

    def _wait(self) -> str:
        return until(lambda: LISTENS.search(self.said()), 60)[1]


def made_key(data):
    return str(load_key(data / "log.key").key)
