"""Verification records of the command line: written with this user's own key, begun from, gone on with after an interruption."""

import getpass
import re
import socket
import time
from pathlib import Path
from typing import Any

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.client.pins import pins_folder
from ledger.core.entry import format_time
from ledger.core.errors import LedgerError
from ledger.core.note import NoteSigner, VerifierKey, format_vkey
from ledger.core.report import Level, Report
from ledger.core.verification import (
    Verification,
    open_verification,
    sign_verification,
    unfinished,
    verification_of,
)
from ledger.log.keys import create_key, load_key
from ledger.records.bounded import read_bounded
from ledger.storage.files import write_durably

KEY_FILE = "verifier.key"
FOLDER_MODE, RECORD_MODE = 0o700, 0o600
_NOT_IN_A_NAME = re.compile(r"[^\w.@-]")

State = dict[str, Any]


def own_signer() -> NoteSigner:
    """This user's key for verification records, made on first use, beside the pins.

    Raises:
        LedgerError: `key-file`: it cannot be read, or others can read it.
        OSError: it cannot be made.
    """
    path = pins_folder().parent / KEY_FILE
    if not path.exists():
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        name = _NOT_IN_A_NAME.sub("-", f"{_user()}@{socket.gethostname() or 'localhost'}")
        signer = create_key(path, name)
        terminal.say(
            f"made a key for your verification records: {path}; others check them with {format_vkey(signer.key)}"
        )
        return signer
    return load_key(path)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "verifier"


class Recording:
    """What the next verification begins from, and where it is recorded."""

    def __init__(self, path: Path | None, since: Path | None, trusted: VerifierKey | None) -> None:
        """Read what is there.

        Args:
            path: the file to write; None for none. What an interrupted verification left there is gone on from.
            since: a record to begin from, or None.
            trusted: whose record `since` may be; this user's own when None.

        Raises:
            LedgerError: the record is none, or nobody who is believed signed it.
            OSError: a file cannot be read.
        """
        self._path = path
        self._signer = own_signer() if path is not None else None
        self.since: Verification | None = None
        if since is not None:
            self.since = open_verification(read_bounded(since), [trusted or own_signer().key])
            if not self.since.complete:
                raise CommandError(
                    f"{since} is of a verification that was interrupted: go on with --record {since}"
                )

    def begin(self, level: Level, vkey: VerifierKey | None) -> Verification | None:
        """What to begin from: the record that was given, or where the same verification was interrupted."""
        if self.since is not None or self._path is None or self._signer is None or not self._path.exists():
            return self.since
        try:
            left = open_verification(read_bounded(self._path), [self._signer.key])
        except LedgerError:
            return None  # somebody else's, or none: it will be written over when this one has ended
        if left.complete or left.level is not level or vkey not in (None, left.vkey):
            return None
        terminal.say(f"going on with the verification that was interrupted at {left.size:,} entries")
        return left

    def save(self, vkey: VerifierKey, level: Level, state: State) -> None:
        """Put away how far it is."""
        if self._path is not None and self._signer is not None:
            try:
                note = sign_verification(unfinished(vkey, level, state, _now()), self._signer)
            except LedgerError as error:
                terminal.say(f"how far it is was not recorded: {error.detail}", style="dim")
            else:
                write_durably(self._path, note, RECORD_MODE)

    def finish(self, report: Report, vkey: VerifierKey | None, state: State | None) -> None:
        """Write the record.

        Raises:
            LedgerError: there is more to say than a record can hold.
        """
        if self._path is None or self._signer is None:
            return
        if vkey is None or state is None:
            terminal.say("nothing was recorded: nothing of the log could be read")
            return
        write_durably(
            self._path,
            sign_verification(verification_of(report, vkey, state, _now()), self._signer),
            RECORD_MODE,
        )
        terminal.say(
            f"recorded in {self._path}, signed by {self._signer.key.name}: begin the next one with --since {self._path}"
        )


def _now() -> str:
    return format_time(time.time_ns() // 1000)
