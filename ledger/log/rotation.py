"""Rotation of the log's own key, in this order; docs/adr/0029 has what a crash or a failure between any two steps leaves.

    1  make      the next key stands on the disk as `log.key.next`, which its owner alone may read
    2  commit    the entry `log.key_rotated`, and the checkpoint on it, signed with both keys: one transaction. From here on the next key is the log's
    3  anchor    that checkpoint stands outside the data folder too
    4  place     `log.key.next` is renamed to `log.key`: the key before is gone
    5  answer

At every moment a start finds the key that the log's newest entry names: it is in one of the two files.
"""

from collections.abc import Sequence
from pathlib import Path

from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import NoteSigner
from ledger.log.keys import home_of, load_key, place_key
from ledger.storage.files import sync_folder
from ledger.storage.layout import KEY, KEY_NEXT


def next_key(data: Path, keys: KeyHistory) -> NoteSigner:
    """The key that the next rotation puts in force: the one that was prepared, or one that is made now.

    Raises:
        LedgerError: `key-file`: it cannot be used; and those of `place_key`.
        OSError: it cannot be written.
    """
    path = data / KEY_NEXT
    if path.exists():
        signer = load_key(path)
    else:  # where the one in force lives: a key that no file held is not followed by one in a file
        signer = place_key(path, keys.origin, home_of(data / KEY), other_than=keys.current)
    if signer.key.name != keys.origin or signer.key in keys.keys:
        raise LedgerError(
            Code.KEY_FILE,
            f"{path} is {signer.key}, which cannot be the next key of {keys.origin}: move it away, and another one is made",
        )
    return signer


def take_place(data: Path) -> None:
    """The next key becomes the one in `log.key`.

    Raises:
        OSError: it did not.
    """
    (data / KEY_NEXT).replace(data / KEY)
    sync_folder(data)


def finish_rotation(data: Path, signer: NoteSigner) -> None:
    """Put the key in force in its place, where a crash left it as the next one.

    Raises:
        OSError: it cannot be.
    """
    if load_key(data / KEY).key != signer.key:
        take_place(data)


def held(data: Path, keys: KeyHistory) -> Sequence[NoteSigner]:
    """The keys that a folder has: the one in its place; where that is not in force, also the next one.

    Raises:
        LedgerError: `key-file`.
    """
    signer = load_key(data / KEY)
    if signer.key == keys.current or not (data / KEY_NEXT).exists():
        return [signer]
    return [signer, load_key(data / KEY_NEXT)]
