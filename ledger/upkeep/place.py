"""A folder that is whole or is not there: made beside its place, renamed as the last step."""

import fcntl
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Final

from ledger.core.errors import Code, LedgerError
from ledger.storage.files import sync_folder

FOLDER_MODE: Final = 0o700


class Place(AbstractContextManager[Path]):
    """Gives a new folder beside `folder`; at the end, unless something was raised, it takes that place.

    Two at a time cannot be made: the second is refused. What an attempt that was killed left is removed.
    """

    def __init__(self, folder: Path, doing: str, *, building: str = "") -> None:
        """Make `.<name>.<doing>` beside `folder`, or `building` there.

        Raises:
            LedgerError: `log-exists`: there is something in the folder; `locked`: another process is at it.
            OSError: the folder cannot be made.
        """
        self.folder = folder
        self.building = folder.with_name(building or f".{folder.name}.{doing}")
        refuse_occupied(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.building.mkdir(mode=FOLDER_MODE, exist_ok=True)
        self._fd = os.open(self.building, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in self.building.iterdir():
                remove_tree(path)
        except BlockingIOError:
            os.close(self._fd)
            raise LedgerError(
                Code.LOCKED, f"another process is making {folder}: {self.building} is its"
            ) from None
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Path:
        """The folder to fill."""
        return self.building

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Rename it; or remove it where something was raised."""
        try:
            if kind is not None:
                remove_tree(self.building)
                return
            sync_tree(self.building)
            refuse_occupied(self.folder)
            if self.folder.exists():
                self.folder.rmdir()
            self.building.rename(self.folder)
            sync_folder(self.folder.parent)
        finally:
            os.close(self._fd)


def refuse_occupied(folder: Path) -> None:
    """Nothing that is there is written over.

    Raises:
        LedgerError: `log-exists`.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LedgerError(
            Code.LOG_EXISTS,
            f"{folder} is there and not empty: move it away first (what is in it may be evidence), or name another folder",
        )


def remove_tree(path: Path) -> None:
    """Remove a file or a folder, read-only segments among them.

    Raises:
        OSError: something is left.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        return
    for folder in [path, *(sub for sub in path.rglob("*") if sub.is_dir() and not sub.is_symlink())]:
        folder.chmod(FOLDER_MODE)
    shutil.rmtree(path)


def sync_tree(folder: Path) -> None:
    """Make the names in a folder and in all below durable; the files were synced as they were written."""
    for path in [*(sub for sub in folder.rglob("*") if sub.is_dir()), folder]:
        sync_folder(path)
