"""Writes docs/routes.md.

python -m ledger.api.generate            write it
python -m ledger.api.generate --check    exit 1 if it differs
"""

import sys
from typing import Final

from ledger.api.permits import page
from ledger.records.generate import write_or_check

OUTPUTS: Final = {"docs/routes.md": page}

if __name__ == "__main__":
    sys.exit(write_or_check(OUTPUTS, sys.argv[1:], "python -m ledger.api.generate"))
