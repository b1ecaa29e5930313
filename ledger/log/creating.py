"""Makes a log: folder, signing key, and entry 0, which is signed and anchored."""

import shutil
import time
from pathlib import Path
from typing import Final

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.entry import FORMAT_VERSION, GENESIS_PREV, format_entry, format_time
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash
from ledger.core.note import NoteSigner, format_vkey, is_key_name
from ledger.log.environment import take_secrets
from ledger.log.keys import ENVIRONMENT, FILE, load_key, place_key
from ledger.log.recover import refuse_other_anchor
from ledger.records.prepare import own_record
from ledger.storage.anchor import HeadAnchor, default_anchor
from ledger.storage.files import close_to_others, sync_folder
from ledger.storage.hot import HotFile, StoreFailed
from ledger.storage.layout import HOT, KEY, holds_log, hot_path, write_version
from ledger.storage.lock import DataLock
from ledger.storage.schema import Row

FOLDER_MODE: Final = 0o700


def create(data: Path, origin: str, anchor: Path | None = None, key: str | None = None) -> None:
    """Make a log: folder, signing key, and entry 0 (`log.created`), signed and anchored.

    Args:
        data: the folder.
        origin: the log's name.
        anchor: the head anchor's place; the usual one when None.
        key: where the key lives (`ledger.log.keys.place_key`). None: what the folder holds already, else what the environment
            holds, else a fresh one in the folder.

    Raises:
        LedgerError: `invalid-parameter` (the origin, the key's home), `log-exists`, `origin-changed` (the key is another log's), `key-exists`,
            `key-file`, `signer-failed`, `rolled-back` where the anchor of a log that is not there stands, `storage-failed`.
    """
    if not is_key_name(origin):
        raise LedgerError(
            Code.INVALID_PARAMETER,
            f"{origin!a} cannot be a log's origin: it is a name without white space and '+', like example.com/log",
            path="origin",
        )
    data.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    close_to_others(data)
    lock = DataLock(data)
    try:
        _refuse_existing(data)
        head = HeadAnchor(anchor or default_anchor(data))
        signer = _signer(data / KEY, origin, key)
        if signer.key.name != origin:
            raise LedgerError(
                Code.ORIGIN_CHANGED, f"the key in {data} is for {signer.key.name}, not for {origin}"
            )
        refuse_other_anchor(signer, head)
        _write_genesis(data, signer, head)
    finally:
        lock.release()


def _signer(path: Path, origin: str, home: str | None) -> NoteSigner:
    if home is None and path.exists():
        return load_key(path)
    return place_key(path, origin, home or (ENVIRONMENT if take_secrets() else FILE))


def _refuse_existing(data: Path) -> None:
    if holds_log(data):
        raise LedgerError(Code.LOG_EXISTS, f"there is a log in {data} already")


def _write_genesis(data: Path, signer: NoteSigner, anchor: HeadAnchor) -> None:
    """Entry 0, in a folder beside its place; the rename is what makes the log exist. A crash before it: `create` starts again."""
    building = data / f"{HOT}.new"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=FOLDER_MODE)
    record = own_record(
        "log.created",
        {"log.origin": signer.key.name, "log.format": FORMAT_VERSION, "log.vkey": format_vkey(signer.key)},
    )
    recorded_at = format_time(time.time_ns() // 1_000)
    entry = format_entry(
        prev=GENESIS_PREV, record=record.record, recorded_at=recorded_at, seq=0, submitter=record.submitter
    )
    row = Row(0, leaf_hash(entry), record.id, entry, ())
    note = sign_checkpoint(Checkpoint(signer.key.name, 1, row.hash), signer)
    hot = HotFile.create(building / hot_path(data, 1).name)
    try:
        hot.append([row], [], note)
        hot.fold()
        anchor.advance(note, 1)
    except (StoreFailed, OSError) as error:
        raise LedgerError(Code.STORAGE_FAILED, f"the log cannot be written: {error}") from error
    finally:
        hot.close()
        anchor.close()
    write_version(data)
    sync_folder(building)
    building.rename(data / HOT)
    sync_folder(data)
    sync_folder(data.parent)
