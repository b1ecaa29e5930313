"""The keys of a log that is brought back: what was seen of it since may be signed with later ones than a backup or a dump knows."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.exits import CommandError
from ledger.client.pins import read_pin
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.records.bounded import read_bounded
from ledger.upkeep.outside import keys_since

KeyProof = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        help="The log's proof of its keys (`agent-ledger keys proof`, or keys.json of an export), where it was rotated since (default: as seen).",
    ),
]


def keys_seen(keys: KeyHistory, given: Path | None) -> KeyHistory:
    """The log's keys, with those that a proof in a file and this user's memory tell of.

    Raises:
        CommandError: the file holds no proof of this log's keys.
        OSError: it cannot be read.
        LedgerError: what is remembered is of another log.
    """
    pin = read_pin(keys.origin)
    keys = keys_since(keys, [] if pin is None or pin.proof is None else [pin.proof])
    try:
        return keys if given is None else keys_since(keys, [read_bounded(given)])
    except LedgerError as error:
        raise CommandError(f"--keys {given}: {error.detail} [{error.code}]") from None
