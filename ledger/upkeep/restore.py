"""Brings a log back from a backup: to be continued, or to be succeeded by another (docs/backup.md, docs/adr/0019).

    1  look     what the outside world has seen of it; a log that was seen further is not continued
    2  copy     into `.<name>.restoring`, every byte against the digests that the backup's note signs
    3  verify   what was copied, read from the disk again: everything, and against what others have seen
    4  rename   from here on there is a folder

A successor is made in the same way: a new log, with the old one in its folder as `predecessor`, which has no key and is evidence. Its head anchor
is made beside the folder before 4 and takes the old one's place after it; the old one's checkpoint stands in `log.succeeds`, and in `seen`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ledger.core.checkpoint import open_checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import VerifierKey, format_vkey
from ledger.log.keys import load_key
from ledger.storage.anchor import HeadAnchor
from ledger.storage.files import sync_folder, write_durably
from ledger.storage.layout import HOT, KEY, SEGMENTS, segment_path, write_version
from ledger.storage.manifest import manifest_name
from ledger.upkeep.backup import TOKENS
from ledger.upkeep.backupset import Backup
from ledger.upkeep.carried import carry_access
from ledger.upkeep.copying import SEGMENT_FILE_MODE, copy_checked, copy_file
from ledger.upkeep.outside import Known, Seen, further, opened, pins, refuse_further
from ledger.upkeep.place import FOLDER_MODE, Place
from ledger.upkeep.successor import Predecessor, create_successor
from ledger.upkeep.verified import verified

PREDECESSOR: Final = "predecessor"
SEEN: Final = "seen"
RESTORING: Final = "restoring"
SEGMENT_FOLDER_MODE: Final = 0o555

Progress = Callable[[int, int], None]


class Restored(NamedTuple):
    """What was brought back.

    Attributes:
        origin: the log's name; of a successor its own.
        vkey: its verifier key.
        size: entries of the log that is in the backup.
        compared: what others have seen that it was compared with.
        anchored: the largest size among those.
        has_key: whether it can be continued.
    """

    origin: str
    vkey: str
    size: int
    compared: tuple[str, ...]
    anchored: int
    has_key: bool


def restore(
    backup: Backup,
    data: Path,
    *,
    key: Path | None = None,
    seen: Sequence[Seen] = (),
    keys: KeyHistory | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Bring a log back to be continued; without its key, as evidence to read and verify.

    Args:
        backup: where from.
        data: the folder that is made; it must not be there, or be empty.
        key: the signing key, where the backup does not have it.
        seen: checkpoints that others have: the head anchor, clients', witnesses'.
        keys: the log's, where more is known of them than the backup tells.
        progress: told bytes copied and in all.

    Raises:
        LedgerError: `rolled-back`: somebody has seen more, by how much, what to do; `forked`; `evidence-altered`: what is damaged in the
            backup; `log-exists`, `locked`, `key-file`, `origin-changed`. There is no folder then.
        OSError: something cannot be read or written. There is no folder then.
    """
    known = opened(seen, keys or backup.keys)
    refuse_further(known, backup.head.size, f"the backup {backup.folder}")
    with Place(data, RESTORING) as building:
        has_key = _bring_back(backup, building, progress, with_key=True)
        if key is not None:
            _put_key(key, building, backup.keys.current)
            has_key = True
        what = f"the backup {backup.folder}"
        verified(building, backup.vkey, pins(known, backup.head.size), expected=backup.head, what=what)
    anchored = max((each.checkpoint.size for each in known), default=0)
    compared = tuple(each.what for each in known)
    return Restored(
        backup.head.origin, format_vkey(backup.vkey), backup.head.size, compared, anchored, has_key
    )


def restore_as(
    backup: Backup,
    data: Path,
    origin: str,
    *,
    reason: str,
    anchor: Path,
    seen: Sequence[Seen] = (),
    keys: KeyHistory | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Make a new log that takes the place of the one in the backup, which is kept in it as evidence.

    Args:
        backup: of the log that is succeeded.
        data: the folder that is made; it must not be there, or be empty.
        origin: the new log's name.
        reason: why.
        anchor: where the new log's head anchor will stand; the one that stands there is replaced.
        seen: checkpoints that others have of the old log.
        keys: its keys, where more is known of them than the backup tells.
        progress: told bytes copied and in all.

    Raises:
        LedgerError, OSError: as `restore`, but that somebody has seen more is no obstacle: it is written into the new log.
    """
    known = opened(seen, keys or backup.keys, backup.head.size)
    more = further(known, backup.head.size)
    making = anchor.with_name(f".{anchor.name}.{RESTORING}")
    with Place(data, RESTORING) as building:
        making.unlink(missing_ok=True)
        predecessor = building / PREDECESSOR
        predecessor.mkdir(mode=FOLDER_MODE)
        _bring_back(backup, predecessor, progress, with_key=False)
        what = f"the backup {backup.folder}"
        verified(predecessor, backup.vkey, pins(known, backup.head.size), expected=backup.head, what=what)
        _keep_seen(building / SEEN, known)
        vkey = create_successor(
            building, origin, Predecessor(backup.keys, backup.note), reason=reason, seen=more, anchor=making
        )
        carry_access(predecessor, backup.keys, building, anchor=making)
        if (predecessor / TOKENS).exists():  # of an earlier release: the first start grants them
            copy_file(predecessor / TOKENS, building / TOKENS)
    _put_anchor(making, anchor)
    compared = tuple(each.what for each in known)
    anchored = max((each.checkpoint.size for each in known), default=0)
    return Restored(origin, vkey, backup.head.size, compared, anchored, has_key=True)


def finish_anchor(data: Path, anchor: Path) -> bool:
    """Put the anchor of a successor in place where a crash came between that and the folder. Whether there was one to put.

    Raises:
        LedgerError, OSError: the key or the anchor cannot be read.
    """
    making = anchor.with_name(f".{anchor.name}.{RESTORING}")
    if not making.exists() or not (data / KEY).exists():
        return False
    signer = load_key(data / KEY)
    try:
        open_checkpoint(HeadAnchor(making).read() or b"", [signer.key], signer.key.name)
    except LedgerError:
        return False  # of an attempt that never got a folder
    _put_anchor(making, anchor)
    return True


def _put_anchor(making: Path, anchor: Path) -> None:
    making.replace(anchor)
    sync_folder(anchor.parent)


def _bring_back(backup: Backup, building: Path, progress: Progress | None, *, with_key: bool) -> bool:
    """Copy everything of the backup. Whether the signing key was among it."""
    manifests = {start: backup.manifest(start) for start in backup.segments}
    total = sum(info.bytes for manifest in manifests.values() for info in manifest.files.values())
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    (building / HOT).mkdir(mode=FOLDER_MODE)
    (building / SEGMENTS).mkdir(mode=FOLDER_MODE)
    for start, manifest in manifests.items():
        source, to = segment_path(backup.folder, start), segment_path(building, start)
        to.mkdir(mode=FOLDER_MODE)
        for name, info in manifest.files.items():
            copy_checked(
                source / name, to / name, (info.bytes, info.sha256), mode=SEGMENT_FILE_MODE, told=told
            )
        for generation in range(1, manifest.generation + 1):
            name = manifest_name(generation)
            copy_file(source / name, to / name, mode=SEGMENT_FILE_MODE)
        sync_folder(to)
        to.chmod(SEGMENT_FOLDER_MODE)
    for name, file in backup.files.items():
        if name != KEY or with_key:
            copy_checked(backup.folder / name, building / name, (file.bytes, file.sha256))
    write_version(building)
    return with_key and KEY in backup.files


def _put_key(path: Path, building: Path, vkey: VerifierKey) -> None:
    if (found := load_key(path).key) != vkey:
        raise LedgerError(
            Code.ORIGIN_CHANGED, f"{path} is the key {found}, and the log in the backup is signed with {vkey}"
        )
    write_durably(building / KEY, path.read_bytes())


def _keep_seen(folder: Path, known: Sequence[Known]) -> None:
    folder.mkdir(mode=FOLDER_MODE)
    for number, each in enumerate(known, 1):
        write_durably(folder / f"{number}.checkpoint", each.note)
