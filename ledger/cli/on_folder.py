"""Who may do what, worked on in the data folder while no server runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.cli import terminal
from ledger.cli.access import Access
from ledger.cli.exits import CommandError
from ledger.cli.folder import ensure_local_token
from ledger.cli.objects import fetching_named
from ledger.core.note import parse_vkey
from ledger.log.access import LOCAL_NAME, Bearer, Grant
from ledger.log.log import Log
from ledger.trust import granting, logkeys
from ledger.trust.admission import Admission
from ledger.trust.earlier import take_over
from ledger.trust.local import LocalToken, remove_local_token
from ledger.trust.spiffe import TrustedProxies

if TYPE_CHECKING:
    from ledger.trust.jwt import Tokens  # an extra


@contextmanager
def on_folder(folder: Path, head_anchor: Path | None) -> Iterator[Access]:
    """The access of the log in a folder, which is opened as its one writer.

    Raises:
        LedgerError: why it cannot be.
    """
    with fetching_named(folder) as fetch:
        log = Log.open(folder, anchor=head_anchor, fetch=fetch)
        try:
            tell_taken_over(folder, log)
            yield _OnFolder(folder, log)
        finally:
            log.close()


def tell_taken_over(folder: Path, log: Log) -> None:
    """Take over what an earlier release left, and say so.

    Raises:
        LedgerError: see `ledger.trust.earlier.take_over`.
    """
    said = take_over(folder, log)
    if said is not None:
        terminal.say(said)


def admission_of(
    folder: Path, log: Log, *, tokens: "Tokens | None", proxies: TrustedProxies | None
) -> Admission:
    """Who a server of this folder lets in, with what an earlier release left taken over, and a token for this machine's commands.

    Raises:
        LedgerError: see `tell_taken_over`; `token-file`.
    """
    tell_taken_over(folder, log)
    ensure_local_token(folder, log)
    return Admission(log, LocalToken(folder), tokens=tokens, proxies=proxies)


class _OnFolder:
    def __init__(self, folder: Path, log: Log) -> None:
        self._folder, self._log = folder, log

    def credentials(self) -> list[dict[str, Any]]:
        return [*LocalToken(self._folder).shown(), *granting.credentials(self._log)]

    def grant(self, body: dict[str, Any]) -> dict[str, Any]:
        given = {f"log.{name}": value for name, value in body.items()} | {"log.by": granting.ON_FOLDER}
        try:
            return granting.grant(self._log, msgspec.convert(given, Grant))
        except msgspec.ValidationError as error:
            raise CommandError(f"this cannot be granted: {error}") from None

    def rotate(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        credential = msgspec.convert(body["credential"], Bearer)
        return granting.rotate(self._log, name, credential, body["overlap_s"], by=granting.ON_FOLDER)

    def revoke(self, name: str) -> None:
        if name == LOCAL_NAME:
            remove_local_token(self._folder)
        else:
            granting.revoke(self._log, name, by=granting.ON_FOLDER)

    def keys(self) -> list[dict[str, Any]]:
        return list(granting.keys(self._log))

    def grant_key(self, body: dict[str, Any]) -> int:
        return granting.grant_key(self._log, **body, by=granting.ON_FOLDER)

    def revoke_key(self, key_id: str) -> int:
        return granting.revoke_key(self._log, key_id, by=granting.ON_FOLDER)

    def log_keys(self) -> list[dict[str, Any]]:
        return logkeys.shown(self._log)

    def next_key(self) -> str:
        return str(self._log.next_key().key)

    def rotate_key(self, reason: str) -> dict[str, Any]:
        return self._change(logkeys.Change(reason))

    def revoke_log_key(self, verifier_key: str, start: int, reason: str) -> dict[str, Any]:
        return self._change(logkeys.Change(reason, parse_vkey(verifier_key), start))

    def confirm_key(self, seq: int) -> dict[str, Any]:
        waiting = logkeys.asked(self._log, seq)
        return _done(logkeys.confirm(self._log, waiting, by=granting.ON_FOLDER, granted_by=None))

    def _change(self, wanted: logkeys.Change) -> dict[str, Any]:
        return _done(logkeys.change(self._log, wanted, by=granting.ON_FOLDER))


def _done(done: logkeys.Done) -> dict[str, Any]:
    return {"seq": done.seq, "current_key": str(done.key)}
