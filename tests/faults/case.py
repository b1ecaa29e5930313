"""One fault, from outside: clients that keep what they were told, an operator who starts again what died, one oracle at the end."""

import contextlib
import itertools
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.merkle import leaf_hash, root_of
from ledger.core.note import parse_note
from ledger.core.ranges import Ranges
from ledger.core.tiles import bundles_for, parse_bundle, tile_path
from tests.faults.injector import Board
from tests.faults.nursery import Child, Nursery
from tests.faults.server import READY_WITHIN_S
from tests.faults.wire import Http, LostError, Pipe, Wire

SERVER_ERROR = 500
STOPPED_S = 0.15
ENDED_WITHIN_S = 60.0
ATTEMPTS = 6
PERSON = "request.user"
AFTER = 2  # more posts once something failed
ORACLE = "tests.faults.oracle:main"
RESTORE = "tests.faults.writer:bring_back"
MEMBERS = frozenset({"request.text", "tool.arguments"})
READABLE_CHARACTERS = 900


class Removal(NamedTuple):
    """What was gone once a removal was answered, and the bytes of the injector's journal when it was asked for and answered."""

    begin: int
    end: int
    gone: dict[str, set[str]]
    retired: set[str]


@dataclass
class Client:
    """Somebody who posts, and keeps what was sent, what was acknowledged, and receipts.

    Attributes:
        sent: id → record.
        acknowledged: id → (seq, leaf hash).
        receipts: as they were given, never asked for twice.
        gone: id → members that were erased, or whose contents were retired.
        retired: ids of records whose entries were retired.
        unsure: ids of records of which nobody was told whether something of them is gone.
        removals: for each removal how long the injector's journal was when it was asked for and when it was answered; `gone` and `retired` then.
        at: for each acknowledgement how long the injector's journal was when it came: (bytes, ids).
    """

    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    acknowledged: dict[str, tuple[int, str]] = field(default_factory=dict)
    receipts: list[str] = field(default_factory=list)
    gone: dict[str, set[str]] = field(default_factory=dict)
    retired: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    removals: list["Removal"] = field(default_factory=list)
    at: list[tuple[int, list[str]]] = field(default_factory=list)


@dataclass
class Told:
    """What an operator or a client read of a failure: where (`start`, `answer`, `end`) and the words."""

    where: str
    words: str

    def unreadable(self) -> str | None:
        """Why nobody could work with it, None where it is well."""
        if not self.words:
            return "nothing was said"
        if "\n" in self.words or "Traceback" in self.words:
            return "more than one line"
        if len(self.words) > READABLE_CHARACTERS:
            return f"{len(self.words)} characters"
        if self.words.startswith("error: file:"):
            return "it does not say which file"
        if "an error of its own" in self.words:
            return "it does not say what"
        return None


class EnoughError(Exception):
    """The fault is past, and what came after it went well."""


class Broken(AssertionError):  # noqa: N818 - says what happened
    """The ledger could not be brought back, or answered what it must not."""


class Case:
    """One scenario with at most one fault. What it leaves in `folder` is the evidence.

    Attributes:
        data: the data folder; place: the set of its backups.
        client: what a client kept.
        told: what was said of failures.
        restores: how often it was brought back; may_end: whether a life may end once the fault is past.
        starts: how often the server was started; stopped: how often it answered that it stopped writing; died: how often it ended by itself.
    """

    def live(self, life: Callable[["Case"], None]) -> None:
        """Live a scenario, to its end or until the fault is past."""
        with contextlib.suppress(EnoughError):
            life(self)

    def __init__(
        self,
        nursery: Nursery,
        wire: type[Http] | type[Pipe],
        folder: Path,
        board: Board,
        options: Sequence[str] = (),
    ) -> None:
        self.folder, self.data, self.place = folder, folder / "base" / "data", folder / "base" / "set"
        self.client = Client()
        self.told: list[Told] = []
        self.starts = self.stopped = self.died = self.restores = 0
        self.may_end = True
        self._nursery, self._board, self.options = nursery, board, options
        self._server: Child | None = None
        self._wire: Wire = wire(folder)
        self._after, self._judging = 0, False
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._let_go_on, daemon=True)
        self._watch.start()

    # -- the operator ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server, again where a start fails: at the second time nothing is broken any more."""
        if self._server is not None and self._server.poll() is None:
            return
        for attempt in itertools.count():
            if self._try_to_start():
                return
            self._board.heal()
            if attempt == ATTEMPTS:
                raise Broken(f"it does not start: {self.told[-1].words}")

    def _try_to_start(self) -> bool:
        self.starts += 1
        self._server = self._nursery.start(
            self._wire.call,
            self._wire.arguments(self.data, self.options),
            self.folder / f"said-{self.starts}",
            board=self._board.path,
            XDG_STATE_HOME=str(self.folder / "state"),
        )
        until = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < until:
            if self._ended("start"):
                return False
            if self._wire.connected(self.data, self._server):
                return True
            time.sleep(0.01)
        raise Broken(f"not ready after {READY_WITHIN_S} s: {self._server.said()}")

    def _ended(self, where: str) -> bool:
        """Whether the server is gone; what it said of it is kept."""
        if self._server is None or (status := self._server.poll()) is None:
            return self._server is None
        said = self._server.said()
        if status > 0 or "Traceback" in said:
            words = said.strip() if "Traceback" in said else (said.strip().splitlines() or [""])[-1]
            self.told.append(Told(where, words))
        self.died += where != "asked"
        self._server = None
        self._wire.close()
        return True

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._server is not None:
            self._server.signal(signal.SIGTERM)
            self._wire.last()
            self._server.wait()
            self._ended("asked")

    def kill(self) -> None:
        """SIGKILL."""
        if self._server is not None:
            self._server.signal(signal.SIGKILL)
            self._server.wait()
            self._ended("asked")

    def _let_go_on(self) -> None:
        while not self._done.wait(STOPPED_S):
            with contextlib.suppress(OSError):
                self._board.let_go_on()

    # -- the client ------------------------------------------------------------------------------------------------------

    def post(self, *records: dict[str, Any]) -> None:
        """Send records until they are acknowledged, and get a receipt of the last.

        Raises:
            EnoughError: the fault is past, and what came after it went well.
        """
        self._after += self._board.fired > 0
        if self._after > AFTER and self.may_end and not self._judging:
            raise EnoughError
        self.client.sent |= {record["id"]: record for record in records}
        got = {
            result["id"]: (result["seq"], result["leaf_hash"])
            for result in self.ask("post", records)["results"]
        }
        if got.keys() != {record["id"] for record in records}:
            raise Broken(f"asked for {len(records)}, answered {got}")
        for name, place in got.items():
            if self.client.acknowledged.setdefault(name, place) != place:
                raise Broken(f"{name} was entry {self.client.acknowledged[name]}, and now it is {place}")
        self.client.at.append((self._board.journal_size(), list(got)))
        self.client.receipts.append(self.ask("receipt", got[records[-1]["id"]][0]))

    def erase(self, name: str, member: str) -> None:
        """Erase a content, or a person from every record that names it."""
        with self._removal():
            self.ask("erase", [[self.client.acknowledged[name][0], member]])
            self._erased(name, member)

    def _erased(self, name: str, member: str) -> None:
        gone, sent = self.client.gone, self.client.sent
        if member != PERSON:
            gone.setdefault(name, set()).add(member)
            return
        user = sent[name]["request"]["user"]
        if PERSON not in gone.get(name, ()):
            for other in self.client.acknowledged:
                if sent[other]["request"]["user"] == user:
                    gone.setdefault(other, set()).add(PERSON)

    def retire(self, what: str, *names: str) -> None:
        """Let a policy take `contents`, or `entries`, of these records."""
        with self._removal():
            told = self.ask("retire", [what, [self.client.acknowledged[name][0] for name in names]])
            entries, contents = Ranges(map(tuple, told["entries"])), Ranges(map(tuple, told["contents"]))
            for name, (seq, _) in self.client.acknowledged.items():
                if seq in entries:
                    self.client.retired.add(name)
                elif seq in contents:
                    self.client.gone.setdefault(name, set()).update(MEMBERS)
            missed = [
                n
                for n in names
                if n not in self.client.retired and not self.client.gone.get(n, set()).issuperset(MEMBERS)
            ]
            if missed:
                raise Broken(f"{missed} were to be retired, and were not")

    @contextlib.contextmanager
    def _removal(self) -> Iterator[None]:
        begin, client = self._board.journal_size(), self.client
        yield
        gone = {name: set(members) for name, members in client.gone.items()}
        client.removals.append(Removal(begin, self._board.journal_size(), gone, set(client.retired)))

    def backup(self) -> None:
        """Make a backup: it has all that was acknowledged before."""
        size = self.ask("backup", str(self.place))["size"]
        newest = max((seq for seq, _ in self.client.acknowledged.values()), default=-1)
        if size <= newest:
            raise Broken(f"a backup of {size} entries without entry {newest}, which was acknowledged before")

    def restore(self) -> None:
        """The disk is gone, but for the anchor and the backups: bring the log back from the newest."""
        self.stop()
        self.restores += 1
        lost = self.data.with_name(f"lost-{self.restores}")
        for attempt in range(ATTEMPTS):
            out = self.folder / f"restored-{time.monotonic_ns()}"
            child = self._nursery.start(
                RESTORE,
                [str(self.data), str(self.place), str(lost)],
                out,
                board=self._board.path,
                XDG_STATE_HOME=str(self.folder / "state"),
            )
            if (status := child.wait()) == 0:
                return
            self.died += status < 0
            if status > 0:
                self.told.append(Told("restore", (child.said().strip().splitlines() or [""])[-1]))
            if attempt:
                self._board.heal()
        raise Broken(f"it is not restored: {self.told[-1].words if self.told else 'it died'}")

    def ask(self, what: str, value: Any = None) -> Any:
        """Ask (see `Wire.ask`) again and again until it is answered well; whoever died is started, who stopped is stopped and started."""
        for _ in range(ATTEMPTS):
            self.start()
            try:
                answer = self._wire.ask(what, value)
            except LostError as error:
                self._wait_for_end(error)
                continue
            if not isinstance(answer, dict) or "problem" not in answer:
                return answer
            self._refused(answer["problem"])
        raise Broken(
            f"not answered after {ATTEMPTS} times: {self.told[-1].words if self.told else 'it died'}"
        )

    def _wait_for_end(self, error: LostError) -> None:
        """A connection that broke: the process died. Where it did not, that is a finding of its own."""
        until = time.monotonic() + ENDED_WITHIN_S
        while not self._ended("end"):
            if time.monotonic() > until:
                raise Broken(f"a connection was dropped by a server that lives: {error}")
            time.sleep(0.01)

    def _refused(self, problem: dict[str, Any]) -> None:
        self.told.append(Told("answer", problem["detail"]))
        if problem["status"] < SERVER_ERROR:
            raise Broken(f"{problem['status']} {problem['detail']}")
        if problem["type"].endswith(":log-stopped"):
            self.stopped += 1
            self.stop()
            self._board.heal()

    # -- the end ---------------------------------------------------------------------------------------------------------

    def judge(self) -> str:
        """Judge what was left: as it was left, over HTTP, and when everything was sent once more.

        Returns:
            One line of what was found.
        """
        self._judging = True
        self._board.heal()
        self.kill()
        self._judge_folder()
        self.start()
        if not self.client.retired and not self.client.unsure:
            self._judge_tiles()  # a bundle has no way to leave an entry out
        if again := self._not_retired():
            self.post(*again)
        self._judge_retired()
        self.stop()
        return self._judge_folder()

    def _not_retired(self) -> list[dict[str, Any]]:
        gone = self.client.retired | self.client.unsure
        return [record for name, record in self.client.sent.items() if name not in gone]

    def _judge_retired(self) -> None:
        """A record whose entry is retired is not taken for a new one."""
        for name in sorted(self.client.retired):
            self.start()
            answer = self._wire.ask("post", [self.client.sent[name]])
            if not answer.get("problem", {}).get("type", "").endswith(":retired"):
                raise Broken(f"{name} was retired, and sent again it is answered {answer}")

    def _judge_folder(self) -> str:
        expected = self.folder / "expected.json"
        kept = {
            "acknowledged": self.client.acknowledged,
            "sent": self.client.sent,
            "receipts": self.client.receipts,
            "gone": {name: sorted(members) for name, members in self.client.gone.items()},
            "retired": sorted(self.client.retired),
            "unsure": sorted(self.client.unsure),
        }
        expected.write_text(json.dumps(kept))
        out = self.folder / f"oracle-{time.monotonic_ns()}"
        child = self._nursery.start(ORACLE, [str(self.data), str(expected)], out)
        if child.wait() != 0:
            raise Broken(f"the oracle: {child.said()}")
        return child.said().strip()

    def _judge_tiles(self) -> None:
        """The log as a stranger reads it: checkpoint and entry bundles, nothing of our own but the formats."""
        checkpoint = parse_checkpoint(parse_note(self.ask("checkpoint").encode()).text)
        entries: list[bytes] = []
        for tile in bundles_for(checkpoint.size):
            path = tile_path(tile.level, tile.n, tile.width)
            entries += parse_bundle(self.ask("bundle", path), tile.width)
        hashes = [leaf_hash(entry) for entry in entries]
        if root_of(hashes) != checkpoint.root:
            raise Broken("the bundles do not give the checkpoint's root")
        for name, (seq, answered) in self.client.acknowledged.items():
            if seq >= len(hashes) or hashes[seq].hex() != answered:
                raise Broken(f"{name} was acknowledged as entry {seq}, which is another now")

    def close(self) -> None:
        """Leave no process behind."""
        if self._server is not None:
            self._server.signal(signal.SIGKILL)
        self._done.set()
        self._watch.join()
