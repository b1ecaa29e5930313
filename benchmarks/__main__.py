"""python -m benchmarks [ingest|single|verify|where] [--quick]"""

import sys

from benchmarks import ingest, single, verify, where

PARTS = {"ingest": ingest.run, "single": single.run, "verify": verify.run, "where": where.run}

if __name__ == "__main__":
    chosen = [name for name in sys.argv[1:] if name in PARTS] or list(PARTS)
    for name in chosen:
        PARTS[name](quick="--quick" in sys.argv)
