"""The ledger as it is."""

import sys

from ledger.cli.main import main

if __name__ == "__main__":
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
