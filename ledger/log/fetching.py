"""Segments whose files lie elsewhere: any thread may wait until they are here, but for the one that writes, which everybody waits for."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ledger.core.errors import Code, LedgerError
from ledger.storage.segment import Fetch, Segment

RETRY_AFTER_S: Final = 5

logger = logging.getLogger(__name__)


class Fetching:
    """What segments are opened with as their `fetch`. In the writer's thread it refuses, and has another one bring what was wanted."""

    def __init__(self, fetch: Fetch) -> None:
        """Fetch by `fetch`, which may wait for as long as it likes."""
        self._fetch = fetch
        self._writer: int | None = None
        self._segments: Callable[[], Sequence[Segment]] = list
        self._wanted: dict[Path, None] = {}  # folders of segments, in the order in which they were asked for
        self._failed: dict[Path, str] = {}
        self._bringing: threading.Thread | None = None
        self._changing = threading.Lock()

    def never_in(self, writer: int | None, segments: Callable[[], Sequence[Segment]]) -> None:
        """Never wait in the thread of this id; `segments` gives those there are."""
        self._writer, self._segments = writer, segments

    def __call__(self, path: Path) -> Path:
        """Bring a file of a segment.

        Raises:
            LedgerError: `objects-unavailable`: in the writer's thread, with `retry_after`; else what the fetch says.
        """
        if threading.get_ident() != self._writer:
            return self._fetch(path)
        why = self._want(path.parent)
        raise LedgerError(
            Code.OBJECTS_UNAVAILABLE,
            f"{path} lies in the object store, and whether this record is in the log already is told by it: it is being brought "
            f"({f'the last attempt failed: {why}' if why else 'send the record again'}); others are written meanwhile",
            retry_after=RETRY_AFTER_S,
        )

    def close(self) -> None:
        """Bring nothing more; what is on its way is not waited for."""
        with self._changing:
            self._wanted.clear()
            self._segments = list

    def _want(self, folder: Path) -> str | None:
        with self._changing:
            self._wanted.setdefault(folder)
            if self._bringing is None:
                self._bringing = threading.Thread(target=self._bring_all, name="fetching", daemon=True)
                self._bringing.start()
            return self._failed.get(folder)

    def _bring_all(self) -> None:
        while True:
            with self._changing:
                folder = next(iter(self._wanted), None)
                if folder is None:
                    self._bringing = None
                    return
            failed = self._bring(folder)
            with self._changing:
                self._wanted.pop(folder, None)
                self._failed.pop(folder, None)
                if failed is not None:
                    self._failed[folder] = failed

    def _bring(self, folder: Path) -> str | None:
        """Open what a look-up reads of a segment: then the writer's thread finds it open. Returns why it cannot be."""
        try:
            for segment in self._segments():
                if segment.folder == folder:
                    segment.known([segment.start])
        except LedgerError as error:
            logger.warning("a segment could not be brought: %s", error.detail)
            return error.detail
        except Exception as error:
            logger.exception("bringing a segment broke off")
            return f"{type(error).__name__}: {error}"
        return None
