"""Columns → canonical JSON, all rows at once: one pass of Arrow's string kernels instead of an encoder per record.

A record's bytes are the same words in the same order wherever the same members are there. So an object is a list of tokens, words and columns in
turn; what is missing in some rows is a piece of its own that is null there, and pieces are joined by commas without the nulls.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Token: TypeAlias = Any  # a word, or a column: str | pa.Array


class Member(NamedTuple):
    """A member's value: its tokens, and whether it is there in every row. Where one of its columns is null it is not there."""

    tokens: tuple[Token, ...]
    certain: bool


_EMPTY: Final = pa.scalar("")
_COMMA: Final = pa.scalar(",")
_NULL: Final = pa.scalar(None, pa.string())


def quoted(column: pa.Array) -> Member:
    """A text whose characters need no escape."""
    return Member(('"', column, '"'), column.null_count == 0)


def bare(column: pa.Array) -> Member:
    """JSON as it is: a number in its text, an object."""
    return Member((column,), column.null_count == 0)


def object_of(members: Sequence[tuple[str, Member]]) -> Member:
    """An object; it is missing where all its members are.

    Args:
        members: by key, sorted. There is at least one.
    """
    pieces: list[pa.Array] = []
    run: list[Token] = []
    for key, member in members:
        tokens = (f'"{key}":', *member.tokens)
        if member.certain:
            run += [*([","] if run else []), *tokens]
            continue
        if run:
            pieces.append(joined(run))
            run = []
        pieces.append(joined(tokens))
    if not pieces:
        return Member(("{", *run, "}"), certain=True)
    if run:
        pieces.append(joined(run))
    inside, certain = _with_commas(pieces)
    return Member(("{", inside, "}"), certain)


def _with_commas(pieces: list[pa.Array]) -> tuple[pa.Array, bool]:
    """The pieces of each row with commas between, null where there is none; and whether there is one in every row.

    Arrow's join leaves a row out altogether where all of its columns are null, and the rows after it move up. So none may be.
    """
    missing = pieces[0].is_null()
    for piece in pieces[1:]:
        missing = pc.and_(missing, piece.is_null())
    if not pc.any(missing).as_py():
        return pc.binary_join_element_wise(*pieces, _COMMA, null_handling="skip"), True
    first = pc.if_else(missing, _EMPTY, pieces[0])
    inside = pc.binary_join_element_wise(first, *pieces[1:], _COMMA, null_handling="skip")
    return pc.if_else(missing, _NULL, inside), False


def joined(tokens: Sequence[Token]) -> pa.Array:
    """The tokens one after another; null where a column among them is."""
    parts: list[pa.Array | pa.Scalar] = []
    words = ""
    for token in tokens:
        if isinstance(token, str):
            words += token
        else:
            parts += [pa.scalar(words), token] if words else [token]
            words = ""
    if words:
        parts.append(pa.scalar(words))
    return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, _EMPTY)
