"""A data folder of one's own: what `init`, `serve` and `restore` share."""

from pathlib import Path

from ledger.log.log import Log
from ledger.trust.granting import credentials
from ledger.trust.local import FILE, make_local_token
from ledger.trust.roles import Operation


def ensure_local_token(folder: Path, log: Log) -> bool:
    """Make the token that commands on this machine find by themselves, where it is not there and nobody else could administer the log.

    Returns:
        Whether one was made.

    Raises:
        LedgerError: `token-file`.
    """
    administered = any(
        Operation.ACCESS in each["permits"] and each["credential"]["type"] == "bearer"
        for each in credentials(log)
    )
    if administered or (folder / FILE).exists():
        return False
    make_local_token(folder)
    return True
