"""What stands outside a ledger: the SDK by which agents record, and what reads and verifies without trusting it.

    from ledger.client import Ledger

Names are imported when they are first used: importing this package alone costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger.client.action import Action
    from ledger.client.errors import ForkError, LedgerAway, RecordsLost
    from ledger.client.http import ProblemError
    from ledger.client.keyfile import AgentKey
    from ledger.client.ledger import Ledger
    from ledger.client.spool import Spool
    from ledger.client.tables import query

_HOMES = {
    "Action": "action",
    "AgentKey": "keyfile",
    "ForkError": "errors",
    "Ledger": "ledger",
    "LedgerAway": "errors",
    "ProblemError": "http",
    "RecordsLost": "errors",
    "Spool": "spool",
    "query": "tables",
}
__all__ = [
    "Action",
    "AgentKey",
    "ForkError",
    "Ledger",
    "LedgerAway",
    "ProblemError",
    "RecordsLost",
    "Spool",
    "query",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
