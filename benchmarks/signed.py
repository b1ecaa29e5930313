"""The ledger as it is."""

import sys

from ledger.cli.main import main


def serve() -> None:
    """`agent-ledger serve` on a free port, in the folder that the command line names, with what else it says."""
    folder, *more = sys.argv[1:]
    sys.argv = [
        "agent-ledger",
        "serve",
        "--data",
        folder,
        "--port",
        "0",
        "--origin",
        "bench.example/log",
        *more,
    ]
    main()


if __name__ == "__main__":
    serve()
