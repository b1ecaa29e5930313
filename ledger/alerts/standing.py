"""`query`: a named query, asked every few minutes. Each row is an alert once: what tells it apart are its columns that name entries, or all of it."""

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ledger.alerts.alert import Found
from ledger.alerts.seen import digest
from ledger.alerts.settings import StandingQuery
from ledger.alerts.state import State

MINUTE_US: Final = 60 * 1_000_000
_SEQ: Final = "seq"


class Answer(NamedTuple):
    """What a query gave: its columns, its rows, whether there were more, and the size of the log it was asked of."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    size: int


Ask = Callable[[StandingQuery], Answer]
"""Asks a rule's named query with the rule's parameters, with contents and persons where the rule says so. Raises LedgerError."""


class Standing:
    """The rule."""

    def __init__(self, settings: StandingQuery) -> None:
        self.settings = settings

    def is_due(self, ran_at: int, now_us: int) -> bool:
        """Whether it is time."""
        return now_us >= ran_at + int(self.settings.every_minutes * MINUTE_US)

    def run(self, ask: Ask) -> Answer:
        """Ask; not within a transaction, since it may take long.

        Raises:
            LedgerError: why it was not answered.
        """
        return ask(self.settings)

    def new(self, answer: Answer, state: State) -> list[Found]:
        """The rows that were not there before, as finds. Within a transaction."""
        named = [at for at, name in enumerate(answer.columns) if name == _SEQ or name.endswith(f"_{_SEQ}")]
        shown = [at for at, name in enumerate(answer.columns) if name in self.settings.columns or at in named]
        found = []
        for row in answer.rows:
            key = digest(json.dumps([row[at] for at in named] if named else row, default=str))
            if state.see(self.settings.name, key):
                seqs = [row[at] for at in named if isinstance(row[at], int) and 0 <= row[at] < answer.size]
                because = {answer.columns[at]: row[at] for at in shown}
                # The entry an alert is about: the one the column `seq` names, else the newest that the row names.
                seq = next((row[at] for at in named if answer.columns[at] == _SEQ and row[at] in seqs), None)
                seq = max(seqs, default=answer.size - 1) if seq is None else seq
                found.append(Found(seq, key.hex(), {"query": self.settings.query, "row": because}))
        return found
