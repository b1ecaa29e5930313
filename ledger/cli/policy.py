"""`--policy` and `--max-age`: what commands that verify ask of witnesses."""

import re
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, NamedTuple, Self

import typer

from ledger.cli.exits import CommandError
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import VerifierKey
from ledger.core.policy import Policy, parse_policy
from ledger.core.quorum import Witnessed, verify_witnessed
from ledger.core.report import Finding, Kind, Report
from ledger.core.verify import Pin
from ledger.records.bounded import read_bounded

PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        help="A policy (c2sp.org/tlog-policy): its quorum must have cosigned the checkpoint, and so vouches for the log.",
    ),
]
MaxAge = Annotated[
    str | None,
    typer.Option(
        "--max-age", metavar="30s|10m|2h|1d", help="How old the quorum's cosignatures may be; with --policy."
    ),
]
_AGE: Final = re.compile(r"([1-9][0-9]{0,7})([smhd])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Asking(NamedTuple):
    """What is asked of witnesses: a policy, and for how long their word is good (in seconds; None: for ever)."""

    policy: Policy
    max_age_s: int | None

    @classmethod
    def read(cls, path: Path | None, max_age: str | None) -> Self | None:
        """Read the options; None where nothing is asked.

        Raises:
            CommandError: they are no good.
        """
        if path is None:
            if max_age is not None:
                raise CommandError("--max-age needs --policy: it is about the times that witnesses state")
            return None
        found = _AGE.fullmatch(max_age) if max_age is not None else None
        if max_age is not None and found is None:
            raise CommandError(f"--max-age {max_age}: it is a number and one of s, m, h, d")
        try:
            policy = parse_policy(read_bounded(path))
        except (LedgerError, OSError) as error:
            raise CommandError(f"--policy {path}: {error}") from None
        return cls(policy, int(found[1]) * _UNIT_S[found[2]] if found else None)

    def key(self, origin: str | None) -> VerifierKey | None:
        """The key that the policy names for a log: of its only one where the origin is not known."""
        logs = [log.key for log in self.policy.logs if origin in (None, log.key.name)]
        return logs[0] if len(logs) == 1 else None

    def verify(self, note: bytes, log: KeyHistory) -> Witnessed:
        """See `ledger.core.quorum.verify_witnessed`.

        Raises:
            LedgerError: it is not witnessed.
        """
        return verify_witnessed(note, self.policy, log, now=int(time.time()), max_age_s=self.max_age_s)

    def pins(self, notes: Iterable[bytes], log: KeyHistory) -> tuple[list[Pin], str]:
        """Those checkpoints that meet the policy, as pins, and why the last one that does not does not."""
        pins, why = [], "there is no checkpoint with cosignatures"
        for note in notes:
            try:
                witnessed = self.verify(note, log)
            except LedgerError as error:
                why = error.detail
            else:
                pins.append(Pin(note, witnessed.what, outside=witnessed.seconds is not None))
        return pins, why


def required(report: Report, pins: Iterable[Pin], why: str) -> Report:
    """The report, with a finding where no checkpoint that meets the policy agrees with the log."""
    named = {pin.what for pin in pins}
    if any(anchor.agrees and anchor.what in named for anchor in report.anchors):
        return report
    detail = "none that meets the policy agrees with the log" if named else why
    finding = Finding(Kind.UNVERIFIABLE, "the witnesses", detail)
    return replace(report, findings=(*report.findings, finding))
