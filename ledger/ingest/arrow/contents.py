"""Contents and persons by column: read, committed to, and kept, as `ledger.records.commit` does for one record."""

import os
from collections.abc import Sequence
from hashlib import sha256
from itertools import repeat
from typing import Final

import msgspec
import pyarrow as pa

from ledger.core.entry import SALT_BYTES
from ledger.ingest.arrow.facts import Doubts
from ledger.records.columns import Column
from ledger.records.commit import looks_committed
from ledger.records.limits import MAX_CONTENT_BYTES, MAX_PERSON_CHARACTERS
from ledger.records.prepared import Disclosed, Person, PersonSalts
from ledger.records.strict import is_strict

_encode = msgspec.json.Encoder().encode
_values = msgspec.json.Decoder(tuple[list[msgspec.Raw]]).decode
PIECE_BYTES: Final = 1024 * 1024  # the objects that JSON becomes are many times its bytes
_COMMITMENT: Final = b'"commitment"'


def commit_column(column: Column, array: pa.Array, doubts: Doubts) -> tuple[list[Disclosed | None], pa.Array]:
    """The contents of a column, row by row, and their commitments. What is doubted has them too: nobody looks at those."""
    values: list[bytes | None] = array.cast(pa.binary()).to_pylist()
    there = [value for value in values if value is not None]
    _check(values, there, doubts)
    random = os.urandom(SALT_BYTES * len(there))  # one call to the kernel for all
    salts = [random[at : at + SALT_BYTES] for at in range(0, len(random), SALT_BYTES)]
    kept = map(Disclosed._make, zip(repeat(column.path), salts, there))
    digests = [sha256(b"\x02" + salt + value).hexdigest() for salt, value in zip(salts, there, strict=True)]
    if not array.null_count:
        return list(kept), pa.array(digests, pa.string())
    each = iter(digests)
    return (
        [None if value is None else next(kept) for value in values],
        pa.array([None if value is None else next(each) for value in values], pa.string()),
    )


def _check(values: Sequence[bytes | None], there: Sequence[bytes], doubts: Doubts) -> None:
    """Doubt what is not one JSON value from its first byte to its last, too long, or a commitment in a content's place."""
    sizes = list(map(len, there))
    if sum(sizes) <= PIECE_BYTES and max(sizes) <= MAX_CONTENT_BYTES and _are_contents(there):
        return
    piece: list[tuple[int, bytes]] = []
    size = 0
    for row, value in enumerate(values):
        if value is None:
            continue
        if len(value) > MAX_CONTENT_BYTES:
            doubts.rows.add(row)
            continue
        piece.append((row, value))
        size += len(value)
        if size > PIECE_BYTES:
            _check_piece(piece, doubts)
            piece, size = [], 0
    _check_piece(piece, doubts)


def _check_piece(piece: Sequence[tuple[int, bytes]], doubts: Doubts) -> None:
    """All together, and each alone only where one of them is not as it should be."""
    if not _are_contents([value for _, value in piece]):
        doubts.rows.update(row for row, value in piece if not _are_contents([value]))


def _are_contents(values: Sequence[bytes]) -> bool:
    """Whether each is one JSON value, as deep as it stands in a record: then they are read back as they were, and not otherwise."""
    together = b"[[%b]]" % b",".join(values)
    return (
        is_strict(together)
        and _are_those(together, values)
        and not (_COMMITMENT in together and any(map(looks_committed, values)))
    )


def _are_those(data: bytes, values: Sequence[bytes]) -> bool:
    try:
        [raws] = _values(data)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return list(map(bytes, raws)) == values


def name_column(
    array: pa.Array, persons: PersonSalts, doubts: Doubts
) -> tuple[list[Person | None], pa.Array]:
    """The persons of a column, row by row, and their commitments."""
    texts = array.to_pylist()
    known: dict[str | None, Person | None] = {None: None}
    for text in set(texts) - {None}:
        known[text] = persons.person(_encode(text)) if 0 < len(text) <= MAX_PERSON_CHARACTERS else None
    named = [known[text] for text in texts]
    if named.count(None) != array.null_count:
        doubts.rows.update(row for row, text in enumerate(texts) if text is not None and known[text] is None)
    return named, pa.array([person and person.commitment for person in named], pa.string())
