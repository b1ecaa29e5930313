"""What a request to erase chooses: the same for a dry run, for the erasure that repeats it, and for who confirms it."""

import asyncio
import json
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from ledger.api.queries import Size
from ledger.api.service import Service
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.forensics.mentions import named_by, told_in
from ledger.forensics.seqs import select_seqs
from ledger.forensics.service import MAX_SQL_CHARACTERS
from ledger.records.members import CONTENTS, PERSONS
from ledger.upkeep.erasing import Choice, Selection, holds_in_the_way, select, touched

MAX_LISTED: Final = 100_000
MAX_IDENTIFIER: Final = 2_000  # characters
SHOWN_RANGES: Final = 100
TAKES: Final = ("contents", "persons")


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/erasure`: whom or what, what of it, and either `dry_run`, or what a dry run answered with a ground."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIER)] | None = None
    seqs: Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(max_length=MAX_LISTED)] = []
    ids: Annotated[list[str], msgspec.Meta(max_length=MAX_LISTED)] = []
    sql: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SQL_CHARACTERS)] | None = None
    take: list[str] = []
    members: list[str] = []
    dry_run: bool = False
    as_of: Size | None = None
    selection: str | None = None
    ground: str = ""


class Chosen(NamedTuple):
    """What a body chooses, of the log at a size."""

    choice: Choice
    selection: Selection


def chosen_by(body: Body) -> dict[str, Any]:
    """In which words a request chose: what it says of `subject`, `seqs`, `ids`, `sql`, `take` and `members`."""
    said = {name: getattr(body, name) for name in ("subject", "seqs", "ids", "sql", "take", "members")}
    return {name: value for name, value in said.items() if value}


async def confirmed(serving: Service, body: Body) -> Chosen:
    """What goes, which is what a dry run has shown.

    Raises:
        LedgerError: `selection-changed`: it is something else by now; `invalid-parameter`: no dry run was made, or there is no ground.
    """
    if body.as_of is None or body.selection is None:
        raise _invalid(
            "first ask with dry_run, look at what would go, then repeat its as_of and its selection",
            "selection",
        )
    if not body.ground.strip():
        raise _invalid(
            "say on what ground it may be erased: that stands in the log, so no person's name", "ground"
        )
    chosen = await chosen_of(serving, body, body.as_of)
    if chosen.selection.digest != body.selection:
        raise LedgerError(
            Code.SELECTION_CHANGED,
            f"not what was shown: {len(chosen.selection.places)} contents and persons would go now; ask with dry_run again",
            path="selection",
            selection=chosen.selection.digest,
        )
    return chosen


async def chosen_of(serving: Service, body: Body, size: int) -> Chosen:
    """What a body chooses.

    Raises:
        LedgerError: `invalid-parameter`, `not-found`, why a SELECT was refused.
    """
    if size > serving.log.head().size:
        raise _invalid(f"the log has {serving.log.head().size} entries: it was never at size {size}", "as_of")
    choice = _choice(body, await _entries(serving, body, size))
    return Chosen(choice, await asyncio.to_thread(select, serving.log, choice, size))


async def _entries(serving: Service, body: Body, size: int) -> Ranges:
    kinds = (body.subject is not None, bool(body.seqs or body.ids), body.sql is not None)
    if sum(kinds) != 1:
        raise _invalid("say what is erased by one of: subject, seqs and ids, sql", "subject")
    if body.subject is not None:
        people = await asyncio.to_thread(serving.log.persons_called, body.subject)
        return await named_by(serving.queries, people, body.subject, size)
    if body.sql is not None:
        return await select_seqs(serving.queries, body.sql, as_of=size)
    listed = [*body.seqs, *(await asyncio.to_thread(_found, serving, body.ids))]
    if max(listed) >= size:
        raise LedgerError(Code.NOT_FOUND, f"there is no entry {max(listed)}; the log had {size}", path="seqs")
    return Ranges((seq, seq + 1) for seq in listed)


def _found(serving: Service, ids: list[str]) -> list[int]:
    found = [(each, serving.log.find(each)) for each in ids]
    unknown = [each for each, seq in found if seq is None]
    if unknown:
        raise LedgerError(Code.NOT_FOUND, f"no record has the id {json.dumps(unknown[0])}", path="ids")
    return [seq for _, seq in found if seq is not None]


def _choice(body: Body, entries: Ranges) -> Choice:
    """A person goes with what is theirs; of a record or a query the contents alone, because a person goes from every other entry too."""
    for each in body.take:
        if each not in TAKES:
            raise _invalid(f"{each!a} is not what an erasure takes: contents, persons or both", "take")
    for each in body.members:
        if each not in CONTENTS + PERSONS:
            raise _invalid(
                f"{each!a} is neither a content nor a person; there are: {', '.join(CONTENTS + PERSONS)}",
                "members",
            )
    members = frozenset(body.members)
    if members and not body.take:
        return Choice(entries, body.subject, contents=True, persons=True, members=members)
    take = body.take or (TAKES if body.subject is not None else TAKES[:1])
    return Choice(entries, body.subject, "contents" in take, "persons" in take, members)


async def previewed(serving: Service, body: Body) -> dict[str, Any]:
    """What a dry run answers."""
    size = body.as_of or serving.log.head().size
    chosen = await chosen_of(serving, body, size)
    choice, selection = chosen
    holds = await asyncio.to_thread(holds_in_the_way, serving.log, selection)
    segments = await asyncio.to_thread(touched, serving.log, selection)
    named = await named_by(serving.queries, selection.persons, None, size)
    answer = {
        "dry_run": True,
        "as_of": size,
        "selection": selection.digest,
        **counts(selection),
        "ranges": selection.entries.pairs()[:SHOWN_RANGES],
        "ranges_in_all": len(selection.entries),
        "persons_named_in": named.count,
        "types": selection.types,
        "members": selection.members,
        "first_at": selection.first_at or None,
        "last_at": selection.last_at or None,
        "segments": [each._asdict() for each in segments],
        "hot": selection.entries.count - sum(each.entries for each in segments),
        "holds": [each._asdict() for each in holds],
    }
    if choice.subject is not None:
        answer["stays"] = (await told_in(serving.queries, choice.subject, selection.entries, size))._asdict()
    return answer


def counts(selection: Selection) -> dict[str, int]:
    """How much goes: entries, contents, persons (each once), and places of entries."""
    contents = sum(count for member, count in selection.members.items() if member in CONTENTS)
    return {
        "entries": selection.entries.count,
        "contents": contents,
        "persons": len(selection.persons),
        "places": len(selection.places),
    }


def _invalid(detail: str, path: str) -> LedgerError:
    return LedgerError(Code.INVALID_PARAMETER, detail, path=path)
