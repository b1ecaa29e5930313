"""An agent that is killed: it runs a tool again and again, and notes on the disk, beside any ledger, that the tool ran.

python -m tests.client.agent <url> <token> <spool> <notes>
"""

import os
import sys
import threading

from ledger.client import Ledger, Spool


def main(url: str, token: str, spool: str, notes: str) -> None:
    ledger = Ledger(url, token, source="killed", away=Spool(spool), timeout_s=5)
    note = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def work() -> None:
        while True:
            act = ledger.action("step", arguments={"n": 1}).start()
            os.write(
                note, f"{act.id}\n".encode()
            )  # one write: whole or not at all, whatever kills the process
            act.succeed()

    for _ in range(2):
        threading.Thread(target=work).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
