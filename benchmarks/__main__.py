"""python -m benchmarks [ingest|dialects|single|verify|where|sdk|gateway] [--quick]"""

import sys

from benchmarks import dialects, gateway, ingest, sdk, single, verify, where

PARTS = {
    "ingest": ingest.run,
    "dialects": dialects.run,
    "single": single.run,
    "verify": verify.run,
    "where": where.run,
    "sdk": sdk.run,
    "gateway": gateway.run,
}

if __name__ == "__main__":
    chosen = [name for name in sys.argv[1:] if name in PARTS] or list(PARTS)
    for name in chosen:
        PARTS[name](quick="--quick" in sys.argv)
