"""The scrub: while a log is served, a process beside it verifies what is sealed, round and round, slowly.

Disks rot and hands slip where nobody looks. A process of its own, niced and held to a rate, so that no answer waits for it. It reads the
sealed part as an outsider does; the hot part is young, and every start and every sealing reads it again.
"""

import contextlib
import json
import logging
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ledger.storage.layout import segment_folders

WORKER: Final = "ledger.audit.scrub_worker"
FIRST_S: Final = 60.0  # after a start there is enough to do
PAUSE_S: Final = 600.0
MIB: Final = 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What the scrub has to say.

    Attributes:
        rounds: how many came to their end.
        size: the sealed entries of the last one.
        at: when it ended, in seconds since 1970; 0 for never.
        findings: how many things it found wrong.
        first: the first of them, in words; "" for none.
        done: how far the round that runs is, in entries,
        total: of how many.
        problem: why the last round broke off; "" where it did not.
    """

    rounds: int = 0
    size: int = 0
    at: float = 0.0
    findings: int = 0
    first: str = ""
    done: int = 0
    total: int = 0
    problem: str = ""

    def shown(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


class Scrub:
    """The thread that has rounds made, and what they found."""

    def __init__(
        self,
        data: Path,
        vkey: str,
        mib_s: float,
        *,
        moved: bool = False,
        first_s: float = FIRST_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        """Begin, after a while.

        Args:
            data: the folder of the log.
            vkey: the log's first key.
            mib_s: MiB to be read a second; 0: nothing is done.
            moved: large files of segments may be in an object store, whose digests were compared when they went there: where some are, a round
                compares the files that are here with their manifests, and fetches nothing.
            first_s: seconds until the first round.
            pause_s: seconds between rounds.
        """
        self._data, self._vkey, self._mib_s, self._moved = data, vkey, mib_s, moved
        self._first_s, self._pause_s = first_s, pause_s
        self._state = Scrubbed()
        self._stop, self._starting = threading.Event(), threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        if mib_s > 0:
            self._thread = threading.Thread(target=self._run, name="scrub", daemon=True)
            self._thread.start()

    def state(self) -> Scrubbed:
        """What it has found so far."""
        return self._state

    def close(self) -> None:
        """Stop, in the middle of a round."""
        self._stop.set()
        with self._starting:
            if self._process is not None:
                self._process.kill()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        wait = self._first_s
        while not self._stop.wait(wait):
            wait = self._pause_s
            if segment_folders(self._data):
                try:
                    self._round()
                except OSError as error:
                    self._broke_off(f"its process cannot be started: {error}")

    def _round(self) -> None:
        options = [str(int(self._mib_s * MIB)), *(["moved"] if self._moved else [])]
        with self._starting:
            if self._stop.is_set():
                return
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", WORKER, str(self._data.resolve()), self._vkey, *options],
                stdin=subprocess.PIPE,  # closed with this process, which ends that one
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
            )
        told: dict[str, Any] = {}
        with self._process as process:
            for line in process.stdout or ():
                with contextlib.suppress(ValueError):
                    told = json.loads(line)
                if "done" in told:
                    self._state = replace(self._state, done=told["done"], total=told["total"])
        if not self._stop.is_set():
            self._conclude(told)

    def _conclude(self, told: dict[str, Any]) -> None:
        if "size" not in told:
            self._broke_off(str(told.get("problem", "its process died")))
            return
        before = self._state
        self._state = Scrubbed(
            before.rounds + 1,
            told["size"],
            time.time(),
            told["findings"],
            told["first"],
            told["size"],
            told["size"],
        )
        if told["findings"]:
            logger.error(
                "the scrub found %d things wrong in what is sealed, the first: %s. Run `agent-ledger verify --sealed`; keep the folder as it is, "
                "and bring the file back from a backup",
                told["findings"],
                told["first"],
            )

    def _broke_off(self, why: str) -> None:
        self._state = replace(self._state, problem=why)
        logger.warning("a round of the scrub broke off: %s", why)
