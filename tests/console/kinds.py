"""Which kinds of tampering there are (docs/console.md), to which entry of a log each is done, and what the page is to say of it."""

from collections.abc import Callable
from typing import NamedTuple

from ledger.core.tiles import TILE_WIDTH
from tests.console import planting, rewriting
from tests.console.planting import Site
from tests.storage.sealing import MemoryLog

Says = list[tuple[str, str]]


class Kind(NamedTuple):
    """One kind of tampering.

    Attributes:
        name: what is done.
        plant: does it.
        at: to which entry of a site.
        says: what the page calls it, and where, for that entry; on a record's page what of it, and words that are red.
    """

    name: str
    plant: Callable[[Site, int], None]
    at: Callable[[Site], int]
    says: Callable[[int], Says]


class Rewritten(NamedTuple):
    """What only the holder of the log's key can do, or who puts another log in its place: another log, made of the true one, from which entry on it differs."""

    name: str
    make: Callable[[MemoryLog, int], MemoryLog]
    says: Callable[[int], Says]


def altered(*offsets: int, word: str = "altered") -> Callable[[int], Says]:
    return lambda seq: [(word, f"entry {seq + each:,}") for each in offsets]


def stretch(seq: int, end: int = 0) -> str:
    low = seq - seq % TILE_WIDTH
    return f"entries {seq if end else low:,} to {(end or low + TILE_WIDTH) - 1:,}"


def moved(seq: int) -> Says:
    """To the end of the bundle each stands in another's place."""
    return [("altered", stretch(seq, seq - seq % TILE_WIDTH + TILE_WIDTH))]


def of_record(*pairs: tuple[str, str]) -> Callable[[int], Says]:
    return lambda _: list(pairs)


def sealed(at: int = 0) -> Callable[[Site], int]:
    return lambda site: site.sealed(at)


def hot(at: int = 0) -> Callable[[Site], int]:
    return lambda site: site.hot(at)


NOT_GIVEN = "altered: with its salt it does not give the commitment"
UNEXPLAINED = "missing: the server calls it withheld, and names no entry of the log that says so"
CALLED = "missing: the server calls it"
TEXT, ARGUMENTS, USER = "request.text", "tool.arguments", "request.user"

ON_THE_DISK = [
    Kind("a sealed entry altered", planting.alter_sealed, sealed(), altered(0)),
    Kind("an entry that is not sealed yet altered", planting.alter_hot, hot(20), altered(0)),
    Kind("two entries swapped", planting.swap_hot, hot(24), lambda seq: [("altered", stretch(seq, seq + 2))]),
    Kind("a stored hash altered", planting.flip_hash, sealed(1), altered(0)),
]
DAMAGED = [Kind("a byte of a file of entries", planting.damage, sealed(), altered(0, word="unverifiable"))]
IN_ANSWERS = [
    Kind("an entry deleted", planting.delete, sealed(), altered(0, word="missing")),
    Kind(
        "three entries deleted",
        planting.delete_several,
        sealed(),
        lambda seq: [("missing", stretch(seq, seq + 3))],
    ),
    Kind(
        "an entry inserted, the others moved down",
        planting.insert,
        sealed(),
        lambda seq: [*altered(0)(seq), *moved(seq + 1)],
    ),
    Kind("an entry deleted, the others moved up", planting.move_up, sealed(), moved),
    Kind(
        "an entry altered, and its hash with it",
        planting.alter_both,
        sealed(),
        lambda seq: [("altered", f"entry {seq + 1:,}"), ("altered", stretch(seq))],
    ),
    Kind(
        "a hash of the tree altered", planting.alter_above, sealed(), lambda seq: [("altered", stretch(seq))]
    ),
    Kind("a tile cut short", planting.shorter_tile, sealed(), lambda seq: [("unverifiable", stretch(seq))]),
    Kind("an entry called retired that was not", planting.call_retired, sealed(), altered(0, word="missing")),
]
UNSIGNED = [
    Kind(
        "the root of the checkpoint altered", planting.alter_root, sealed(), of_record(("altered", "the log"))
    ),
    Kind("its signature altered", planting.alter_signature, sealed(), of_record(("altered", "the log"))),
]
RECORDS = [
    Kind("a content altered", planting.alter_content, sealed(2), of_record((TEXT, NOT_GIVEN))),
    Kind(
        "a content altered that is not sealed yet",
        planting.alter_content,
        hot(),
        of_record((TEXT, NOT_GIVEN)),
    ),
    Kind("a content deleted", planting.delete_content, hot(1), of_record((TEXT, UNEXPLAINED))),
    Kind("a content added", planting.add_content, hot(2), of_record((TEXT, "altered: it was added"))),
    Kind(
        "contents of two records swapped",
        planting.swap_contents,
        hot(3),
        of_record((TEXT, NOT_GIVEN), (ARGUMENTS, NOT_GIVEN)),
    ),
    Kind("a content moved to another record", planting.move_content, hot(5), of_record((TEXT, UNEXPLAINED))),
    Kind(
        "a person altered",
        planting.of_person("UPDATE persons SET value = '\"mallory\"' WHERE commitment = :commitment"),
        hot(8),
        of_record((USER, NOT_GIVEN)),
    ),
    Kind(
        "a person deleted",
        planting.of_person("DELETE FROM persons WHERE commitment = :commitment"),
        hot(9),
        of_record((USER, UNEXPLAINED)),
    ),
]
LIES_OF_RECORDS = [
    Kind(
        "a receipt altered", planting.alter_path, sealed(), of_record(("Path", "does not lead to the root"))
    ),
    Kind(
        "another entry's receipt",
        planting.another_receipt,
        sealed(),
        of_record(("Receipt", "it is of entry")),
    ),
    Kind(
        "a content kept back, and called erased",
        planting.call_absent("erased"),
        hot(),
        of_record((TEXT, f"{CALLED} erased; entry")),
    ),
    Kind(
        "a content kept back, and called withheld",
        planting.call_absent("withheld"),
        hot(1),
        of_record((TEXT, f"{CALLED} withheld; entry")),
    ),
]
OF_WITNESSES = [
    Kind(
        "a witness's line forged",
        planting.witnessed(planting.another_line),
        sealed(),
        of_record(("panel", "its cosignature does not hold under the witness's key")),
    ),
    Kind(
        "a witness's line of a history that nobody else was shown",
        planting.witnessed(planting.WITNESS.line, planting.another_root),
        sealed(),
        of_record(("panel", "the log signed two different roots")),
    ),
]
BEFORE_IT_WAS_SEEN = [
    Rewritten(
        "the chain broken, by the key's holder",
        lambda log, seq: rewriting.rewritten(log, {seq: rewriting.another_chain}, fit=False),
        lambda seq: [("altered", stretch(seq, seq + 2))],
    ),
    Rewritten(
        "what an agent signed altered, by the log key's holder",
        lambda log, seq: rewriting.rewritten(
            log, {seq - 1: rewriting.granted, seq: rewriting.signed_by_nobody}
        ),
        altered(0),
    ),
]
AFTER_IT_WAS_SEEN = [
    Rewritten(
        "the end cut off, or an older copy restored",
        lambda log, _: rewriting.earlier(log),
        of_record(("Rolled back.", "the log")),
    ),
    Rewritten(
        "all rewritten from an entry on, with the log's own key",
        lambda log, seq: rewriting.rewritten(log, {seq: rewriting.another_tool}),
        of_record(("Forked.", "the log")),
    ),
]
