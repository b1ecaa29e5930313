"""One agent of the storm, in its framework's own environment: one tool call after the other, until it is stopped or killed.

python agent.py <test file of the framework> <its class> <name> <folder> <model url> <ledger url> <token>
"""

import importlib.util
import signal
import sys
import time
from pathlib import Path

from ledger.client import Ledger, LedgerAway, Spool
from tests.frameworks.claims import Ask, Desk
from tests.storm.journal import Journal

WORK_S = 0.03
FLUSH_S = 60.0


class StormDesk(Desk):
    """The tests' desk with one tool, which takes a moment and tells."""

    journal: Journal

    def read_file(self, path: str) -> str:
        """Read a file."""
        self.journal.write("began", path)
        time.sleep(WORK_S)
        self.journal.write("finished", path)
        return f"{path} is empty"

    @property
    def tools(self):
        return [self.read_file]


def driver(file: str, name: str):
    """What drives this framework in its own tests."""
    spec = importlib.util.spec_from_file_location("driver", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["driver"] = module
    spec.loader.exec_module(module)
    return getattr(module, name)()


def main() -> None:
    file, kind, name, folder, model, url, token = sys.argv[1:]
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    made, desk = driver(file, kind), StormDesk()
    desk.journal = Journal(Path(folder) / f"{name}.journal")
    life = time.time_ns()
    with Ledger(url, token, source=name, away=Spool(Path(folder) / f"{name}.spool"), timeout_s=30) as ledger:
        number = 0
        while not stopping:
            call, number = f"{name}.{life}.{number}", number + 1
            try:
                made.drive(Ask(ledger, model, desk, text=f"Read {call}", conversation=call))
            except LedgerAway:
                continue  # its tool did not run
            ledger.flush(FLUSH_S)
            desk.journal.write("told", call)


if __name__ == "__main__":
    main()
