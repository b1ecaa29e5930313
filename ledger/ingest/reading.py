"""What a dialect made of a body."""

from collections import Counter
from dataclasses import dataclass, field

from ledger.core.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Reading:
    """Records, and what did not become one: counted and told, never silent.

    Attributes:
        records: JSON of one record each.
        dropped: what is no agent's action by its kind (transport noise), reason → how many.
        refused: what could have been one and cannot be read.
    """

    records: list[bytes] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    refused: list[LedgerError] = field(default_factory=list)
