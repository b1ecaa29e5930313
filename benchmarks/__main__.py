"""python -m benchmarks [ingest|single|verify] [--quick]"""

import sys

from benchmarks import ingest, single, verify

PARTS = {"ingest": ingest.run, "single": single.run, "verify": verify.run}

if __name__ == "__main__":
    chosen = [name for name in sys.argv[1:] if name in PARTS] or list(PARTS)
    for name in chosen:
        PARTS[name](quick="--quick" in sys.argv)
