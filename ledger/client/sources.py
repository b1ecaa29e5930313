"""Where a log can be read from without its database: a folder of static files, or a running ledger.

Both hold what C2SP tlog-tiles says: `checkpoint`, `tile/<level>/<n>` and `tile/entries/<n>`. A folder also has `log.json`, with the
origin and the first verifier key for whoever has them from nowhere else, and `keys.json`, which proves the keys that came after it.
"""

import json
from pathlib import Path
from typing import Final, Protocol

from ledger.client.http import LedgerClient, ProblemError
from ledger.client.keys import key_proof
from ledger.core.errors import Code, LedgerError
from ledger.core.note import VerifierKey, parse_vkey
from ledger.records.bounded import TILE_FILE_BYTES, read_bounded

CHECKPOINT: Final = "checkpoint"
WITNESSED: Final = "witnessed/checkpoint"
LOG_FILE: Final = "log.json"
KEYS_FILE: Final = "keys.json"
NOT_FOUND: Final = 404


class Source(Protocol):
    """A log at one moment: it is read below one checkpoint, however much it grows meanwhile."""

    def checkpoint(self) -> bytes:
        """The signed note. The same one at every call."""

    def tile(self, path: str) -> bytes | None:
        """The bytes at a path of `ledger.core.tiles.tile_path`, None where there are none."""

    def cosigned(self) -> bytes | None:
        """The newest signed note that the log's witnesses cosigned, None where there is none."""

    def verifier_key(self) -> VerifierKey | None:
        """The key that the log says it began with: no more than its word."""

    def key_proof(self) -> bytes | None:
        """The proof of the log's keys (`ledger.core.keyhistory`), None where there is none: then it has one key."""


class FolderSource:
    """An exported folder, or the files of any C2SP log."""

    def __init__(self, path: Path) -> None:
        """Read from the folder at `path`."""
        self.path = path
        self._checkpoint: bytes | None = None

    def checkpoint(self) -> bytes:
        """The signed note.

        Raises:
            LedgerError: `not-found`: the folder is no export, or was never finished.
        """
        if self._checkpoint is None:
            try:
                self._checkpoint = read_bounded(self.path / CHECKPOINT)
            except FileNotFoundError:
                raise LedgerError(
                    Code.NOT_FOUND,
                    f"there is no {CHECKPOINT} in {self.path}: it is no export, or an unfinished one",
                ) from None
        return self._checkpoint

    def tile(self, path: str) -> bytes | None:
        """The file at a tile's path, None where there is none."""
        try:
            return read_bounded(self.path / path, TILE_FILE_BYTES)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def cosigned(self) -> bytes | None:
        """The note in the file `WITNESSED`, None where there is no such file."""
        return self.tile(WITNESSED)

    def verifier_key(self) -> VerifierKey | None:
        """The key in `log.json`, None where there is no such file.

        Raises:
            LedgerError: the file is there, and no key can be read from it.
        """
        try:
            text = read_bounded(self.path / LOG_FILE).decode("utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            text = ""
        try:
            return parse_vkey(json.loads(text)["verifier_key"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise LedgerError(
                Code.MALFORMED_VERIFIER_KEY,
                f"{self.path / LOG_FILE} has no verifier_key: give the key you know",
            ) from None

    def key_proof(self) -> bytes | None:
        """The file `KEYS_FILE`, None where there is none."""
        return self.tile(KEYS_FILE)


class HttpSource:
    """A running ledger, by the paths that anyone with a token may read."""

    def __init__(self, client: LedgerClient) -> None:
        """Read through a client, which stays the caller's to close."""
        self._client = client
        self._checkpoint: bytes | None = None

    def checkpoint(self) -> bytes:
        """The newest signed note when it was first asked for.

        Raises:
            UnreachableError, ProblemError: the ledger does not answer, or refuses.
        """
        if self._checkpoint is None:
            self._checkpoint = self._client.file(CHECKPOINT)
        return self._checkpoint

    def tile(self, path: str) -> bytes | None:
        """The tile at a path, None where the ledger has none.

        Raises:
            UnreachableError, ProblemError: the ledger does not answer, or refuses.
        """
        try:
            return self._client.file(path)
        except ProblemError as problem:
            if problem.status == NOT_FOUND:
                return None
            raise

    def cosigned(self) -> bytes | None:
        """The newest note that the quorum of the ledger's witnesses cosigned, None where there is none.

        Raises:
            UnreachableError, ProblemError: the ledger does not answer, or refuses.
        """
        return self.tile(WITNESSED)

    def verifier_key(self) -> VerifierKey:
        """The key that the ledger says is its own.

        Raises:
            UnreachableError, ProblemError: the ledger does not answer, or refuses.
            LedgerError: what it says is no key.
        """
        return parse_vkey(str(self._client.log().get("verifier_key")))

    def key_proof(self) -> bytes | None:
        """The proof as the ledger shows it, None of one that cannot rotate its key.

        Raises:
            UnreachableError, ProblemError: the ledger does not answer, or refuses.
        """
        return key_proof(self._client)
