"""The one way into the log for what arrives in another format.

A route of a dialect is five lines: who asks (`allow`), the body (`bodies.read`), its reading (`worked_on`), `take`, and the answer that its
own format wants. Every record goes through `prepare` like a plain one: strictness, limits and commitments are the same for all.

    serving, principal = allow(request, Operation.POST)
    async with request.app.state.bodies.read(request, principal.name) as body:
        reading = await worked_on(request, principal, len(body), read, body, principal.submitter)
        taken = await take(request, reading, principal)
    return answer(taken)
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, ParamSpec, TypeVar

import msgspec
from msgspec import Raw
from starlette.requests import Request

from ledger.api.answers import Answers, Result
from ledger.api.problems import STATUS
from ledger.api.service import LATER, service
from ledger.api.turns import Turns
from ledger.core.errors import Code, LedgerError
from ledger.ingest.reading import Reading
from ledger.records.prepare import prepare
from ledger.records.prepared import Prepared
from ledger.trust.roles import Principal

VERSIONS: Final = 8  # of one id: the first, and what contradicts it
PIECE_RECORDS: Final = 1_000  # prepared and submitted at a time: a body's records are never in memory twice
PIECE_BYTES: Final = 4 * 1024 * 1024
UNDER_WAY: Final = 2  # pieces of one request that wait to be written
INLINE_RECORDS: Final = 250  # preparing more is worth a thread, as for `POST /v1/records`
INLINE_BYTES: Final = 128 * 1024
RETRYABLE: Final = frozenset({429, 503})

_P = ParamSpec("_P")
_T = TypeVar("_T")
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


class Taken(NamedTuple):
    """What became of a reading, once it is durable and under a signed checkpoint.

    Attributes:
        appended: records that are new in the log.
        existing: records that were here before: somebody sent them again.
        refused: each record, or part of the body, that will be refused again however often it is sent.
        dropped: what the dialect does not record, reason → how many.
    """

    appended: int
    existing: int
    refused: list[LedgerError]
    dropped: Counter[str]

    def plus(self, other: "Taken") -> "Taken":
        """Both together."""
        return Taken(
            self.appended + other.appended,
            self.existing + other.existing,
            self.refused + other.refused,
            self.dropped + other.dropped,
        )


class Work:
    """Where a body is worked on: here while it is small, off the event loop where it is large."""

    def __init__(self, *, large: bool) -> None:
        self._large = large

    async def do(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What `function` returns."""
        return (
            await asyncio.to_thread(function, *args, **kwargs) if self._large else function(*args, **kwargs)
        )


@asynccontextmanager
async def work(request: Request, sender: Principal, size_bytes: int) -> AsyncIterator[Work]:
    """To work on a body for a while. One large body at a time: the objects that it becomes are many times its bytes."""
    if size_bytes <= INLINE_BYTES:
        yield Work(large=False)
        return
    async with request.app.state.large.of(sender.name, size_bytes):
        yield Work(large=True)


async def worked_on(
    request: Request,
    sender: Principal,
    size_bytes: int,
    function: Callable[_P, _T],
    *args: _P.args,
    **kwargs: _P.kwargs,
) -> _T:
    """What `function` returns, which is all that is to be done with a body of this size: see `work`."""
    async with work(request, sender, size_bytes) as working:
        return await working.do(function, *args, **kwargs)


async def take(request: Request, reading: Reading, sender: Principal, *, reserved_ids: bool = True) -> Taken:
    """Append a reading's records, and count what is not appended: an `Intake` of one reading.

    Raises:
        LedgerError: `queue-full`, `quota-exceeded`, `storage-failed`, `log-stopped`: send the whole body again later; what is in the log already is found there.
    """
    intake = Intake(request, sender, reserved_ids=reserved_ids)
    await intake.add(reading)
    return await intake.taken()


class Intake:
    """Appends the records of one request's readings, the next ones being prepared while the last ones are written.

    A record whose id is there with another content is not refused: it is evidence too. It goes in as `<id>~2`, `<id>~3` …, where it is
    found when it is sent again; the `actions` view flags it.
    """

    def __init__(self, request: Request, sender: Principal, *, reserved_ids: bool = True) -> None:
        """Begin.

        Args:
            request: whose application holds the log.
            sender: who authenticated to send it. Nothing in the body says so.
            reserved_ids: the ids are the dialect's (`ledger.ingest.draft.record_id`), so that sending again changes nothing. False where the
                sender chose them: then those that begin with `ledger:` are refused, and so is a conflict.
        """
        self._serving = service(request)
        self._answers: Answers = request.app.state.answers
        self._preparing: Turns = request.app.state.preparing
        self.submitter, self._sender, self._reserved_ids = sender.submitter, sender, reserved_ids
        self._under_way: deque[_Piece] = deque()
        self._refused: list[LedgerError] = []
        self._dropped: Counter[str] = Counter()
        self._appended = self._existing = 0

    async def add(self, reading: Reading) -> None:
        """Send a reading's records on their way.

        Raises:
            LedgerError: as `taken`.
        """
        self._refused += reading.refused
        self._dropped += reading.dropped
        for records in _pieces(reading.records):
            await self._submit(records, 1)

    async def taken(self) -> Taken:
        """What became of everything, once it is durable.

        Raises:
            LedgerError: `queue-full`, `quota-exceeded`, `storage-failed`, `log-stopped`: the whole body is to be sent again later. Nothing is
                lost or doubled by it: what is in the log already is found there.
        """
        while self._under_way:
            await self._settle()
        for error in self._refused:
            self._serving.telemetry.refused(error.code)
        for reason, number in self._dropped.items():
            self._serving.telemetry.dropped(reason, number)
        return Taken(self._appended, self._existing, self._refused, self._dropped)

    async def _submit(self, records: list[bytes], version: int) -> None:
        size_bytes = sum(map(len, records))
        if len(records) > INLINE_RECORDS or size_bytes > INLINE_BYTES:
            async with self._preparing.of(self._sender.name, size_bytes):
                read = await asyncio.to_thread(self._prepared, records, version)
        else:
            read = self._prepared(records, version)
        good = [item for item in read if isinstance(item, Prepared)]
        while len(self._under_way) >= UNDER_WAY:
            await self._settle()
        try:
            outcomes = self._answers.submit(good, self._sender, atomic=False) if good else None
        except LedgerError as error:
            if error.code not in LATER or not self._under_way:
                raise
            while (
                self._under_way
            ):  # what fills the queue may be this request's own, and what was there already costs nothing
                await self._settle()
            outcomes = self._answers.submit(good, self._sender, atomic=False)
        self._under_way.append(_Piece(records, version, read, outcomes))

    async def _settle(self) -> None:
        """Hear what became of the piece that is longest under way."""
        piece = self._under_way.popleft()
        outcomes = iter(await piece.outcomes if piece.outcomes is not None else ())
        results = [next(outcomes) if isinstance(item, Prepared) else item for item in piece.read]
        conflicts: list[bytes] = []
        for record, result in zip(piece.records, results, strict=True):
            if not isinstance(result, LedgerError):
                self._appended += not result.existing
                self._existing += result.existing
            elif STATUS[result.code] in RETRYABLE:
                raise result
            elif result.code is Code.ID_CONFLICT and self._reserved_ids and piece.version < VERSIONS:
                conflicts.append(record)
            else:
                self._refused.append(_of(record, result))
        if conflicts:
            await self._submit(conflicts, piece.version + 1)

    def _prepared(self, records: list[bytes], version: int) -> list[Prepared | LedgerError]:
        log = self._serving.log
        read: list[Prepared | LedgerError] = []
        for record in records:
            try:
                read.append(
                    prepare(
                        record if version == 1 else _renamed(record, version),
                        submitter=self.submitter,
                        persons=log.persons,
                        origin=log.origin,
                        agent_key=log.agent_key,
                        require_facets=self._serving.require_facets,
                        reserved_ids=self._reserved_ids,
                    )
                )
            except LedgerError as error:
                read.append(error.without_frames())
        return read


class _Piece(NamedTuple):
    """Records under way, under this version of their ids."""

    records: list[bytes]
    version: int
    read: list[Prepared | LedgerError]
    outcomes: asyncio.Future[list[Result]] | None


def _pieces(records: list[bytes]) -> Iterator[list[bytes]]:
    piece: list[bytes] = []
    size = 0
    for record in records:
        if piece and (len(piece) == PIECE_RECORDS or size + len(record) > PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(record)
        size += len(record)
    if piece:
        yield piece


def _renamed(record: bytes, version: int) -> bytes:
    """The record under another version of its id. Nothing else of it changes: its contents are committed to as they are."""
    members = _members(record)
    members["id"] = Raw(_encode(f"{msgspec.json.decode(members['id'], type=str)}~{version}"))
    return _encode(members)


def _of(record: bytes, error: LedgerError) -> LedgerError:
    """A refusal that says which record it is about."""
    with contextlib.suppress(
        msgspec.DecodeError, KeyError
    ):  # it may not even be a record: the refusal says so
        error.members.setdefault("id", msgspec.json.decode(_members(record)["id"], type=str))
    return error
