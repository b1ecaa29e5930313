"""Proofs that a log signed two histories: written where a verification finds them, and verified offline (`agent-ledger verify fork.proof`)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.client.forked import PROOF, keep_evidence, prove_fork
from ledger.client.http import ProblemError, UnreachableError
from ledger.client.pins import read_pin
from ledger.core.errors import Code, LedgerError
from ledger.core.fork import MAX_BYTES, keys_of, parse_fork, verify_fork
from ledger.core.note import VerifierKey, fingerprint
from ledger.core.report import Kind, Report

SUFFIX: Final = ".proof"


def is_fork(target: str | None) -> bool:
    """Whether what is to be verified is a proof of a fork, by its name."""
    return target is not None and target.endswith(SUFFIX) and Path(target).is_file()


class Showing(Protocol):
    """A log as it is now."""

    def checkpoint(self) -> bytes:
        """Its signed note."""

    def tile(self, path: str) -> bytes | None:
        """A tile of it, None where there is none."""


def fork_shown(
    source: Showing,
    report: Report,
    key: VerifierKey,
    notes: Iterable[bytes],
    *,
    proof: bytes | None = None,
) -> Path | None:
    """Where a report says that the log forked: write the proof of that, from one of the checkpoints that were kept. Returns where it stands.

    Args:
        source: the log as it was verified.
        report: what was found.
        key: a verifier key of the log.
        notes: signed checkpoints that were kept elsewhere.
        proof: of the log's keys, where it had several.
    """
    if not any(finding.kind is Kind.FORKED for finding in report.findings):
        return None

    def tile(path: str) -> bytes:
        data = source.tile(path)
        if data is None:
            raise LedgerError(Code.NOT_FOUND, f"the log has no {path}")
        return data

    shown = source.checkpoint()
    for seen in notes:
        try:
            fork = prove_fork(key, seen, shown, tile, proof)
        except (ProblemError, UnreachableError):
            return None
        if fork is None:
            continue
        about = {"origin": key.name, "verifier_key": str(key), "detail": "found by agent-ledger verify"}
        folder = keep_evidence(about, seen, shown, fork)
        if folder is None:
            terminal.say("the proof that it forked cannot be written: $XDG_STATE_HOME says where it is kept")
            return None
        terminal.say(
            f"it signed two histories, which this proves to anybody: {folder / PROOF}", style="bold red"
        )
        return folder / PROOF
    return None


def check_fork(path: Path, key: VerifierKey | None, *, as_json: bool) -> None:
    """Verify a proof and say what it proves.

    Raises:
        typer.Exit: status 1: the log forked.
        CommandError: it proves nothing: status 2.
    """
    if path.stat().st_size > MAX_BYTES:
        raise CommandError(f"{path}: it is longer than {MAX_BYTES} bytes")
    try:
        fork = parse_fork(path.read_bytes())
        pin = read_pin(fork.key.name) if key is None else None
        known = key or (pin.known_in(keys_of(fork)) if pin is not None else None)
        forked = verify_fork(fork, known)
    except LedgerError as error:
        raise CommandError(f"{path}: {error.detail} [{error.code}]") from None
    shown = {
        "verdict": "forked",
        "origin": fork.key.name,
        "size": forked.older.size,
        "roots": [forked.older.root.hex(), fork.root.hex()],
        "newer_size": forked.newer.size,
        "verifier_key": str(fork.key),
        "fingerprint": fingerprint(fork.key),
        "key_from": "the proof itself" if known is None else "you",
    }
    terminal.print_facts("proved", shown, as_json=as_json)
    terminal.say(
        f"forked: {fork.key.name} has signed two histories of its first {forked.older.size} entries",
        style="bold red",
    )
    if known is None:
        terminal.say(
            "  whose key it is is the proof's own word: compare its fingerprint, or give it with --vkey"
        )
    raise typer.Exit(Exit.FINDINGS)
