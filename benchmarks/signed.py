"""The ledger as it is."""

import sys

from ledger.cli.main import main


def serve() -> None:
    """`agent-ledger serve` on a free port, in the folder that the command line names."""
    sys.argv = [
        "agent-ledger",
        "serve",
        "--data",
        sys.argv[1],
        "--port",
        "0",
        "--origin",
        "bench.example/log",
    ]
    main()


if __name__ == "__main__":
    serve()
