"""Facts checked by column: what the model says of a member holds for a whole column at once, or the rows where it does not are doubted.

A doubt is no refusal: such a row is read alone, by the one judge of all records (`ledger.records.prepare`), which refuses it in the words that it
would have for the same record sent as JSON.
"""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.entry import OWN_PREFIX
from ledger.core.errors import LedgerError
from ledger.records.check import RESERVED_ID, canonical_member
from ledger.records.columns import COLUMNS, Column
from ledger.records.limits import MAX_FACT_CHARACTERS, MAX_NAME_CHARACTERS
from ledger.records.model import TYPES
from ledger.records.strict import strict

# What needs an escape in JSON. A control character is so rare that its row is read alone.
_ESCAPED: Final = r'["\\]'
_CONTROL: Final = r"[\x00-\x1f]"
_UNPLAIN: Final = r'["\\\x00-\x1f]'
_VALUES: Final = {column.name: pa.array(column.values) for column in COLUMNS.values() if column.values}
_TYPES: Final = pa.array(sorted(TYPES), pa.string())
_TYPE: Final = r"\A[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+\z"
# Days that every year has, and hours without a leap second: 29 February is read alone.
_TIME: Final = (
    r"\A(19|20)\d\d-((0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
    r"T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z\z"
)


class Doubts:
    """Rows that are to be read alone."""

    def __init__(self) -> None:
        self.rows: set[int] = set()

    def unless(self, good: pa.Array) -> None:
        """Doubt the rows where this is false. Where it is null nothing is there to be doubted."""
        if pc.all(good, min_count=0).as_py() is False:
            self.rows.update(pc.indices_nonzero(pc.invert(good)).to_pylist())


def check_texts(texts: dict[Column, pa.Array], doubts: Doubts) -> dict[Column, pa.Array]:
    """Texts as they may stand between quotes."""
    free: dict[Column, pa.Array] = {}
    checked = dict(texts)
    for column, array in texts.items():
        if column.values:
            doubts.unless(pc.is_in(array, value_set=_VALUES[column.name]))
        elif column.path == "type":
            _check_type(array, doubts)
        elif column.path == "time":
            doubts.unless(pc.match_substring_regex(array, _TIME))
        elif column.path == "id":
            doubts.unless(pc.invert(pc.starts_with(array, RESERVED_ID)))
            doubts.unless(pc.match_substring_regex(array, rf"\A{column.pattern}\z"))
            checked[column] = _escaped(column, array, doubts)
        elif column.pattern is not None:
            doubts.unless(pc.match_substring_regex(array, rf"\A{column.pattern}\z"))
        else:
            free[column] = array
    return checked | _check_free(free, doubts)


def _check_type(array: pa.Array, doubts: Doubts) -> None:
    known = pc.is_in(array, value_set=_TYPES)
    if pc.all(known, min_count=0).as_py() is False:
        named = pc.and_(pc.match_substring_regex(array, _TYPE), pc.invert(pc.starts_with(array, OWN_PREFIX)))
        doubts.unless(pc.or_(known, named))
        doubts.unless(pc.less_equal(pc.binary_length(array), MAX_NAME_CHARACTERS))


def _check_free(texts: dict[Column, pa.Array], doubts: Doubts) -> dict[Column, pa.Array]:
    """All at once first: the kernels cost the same for forty columns as for one, and nearly always all is well."""
    together = pa.concat_arrays(texts.values()) if texts else pa.nulls(0, pa.string())
    sizes = pc.min_max(pc.utf8_length(together)).as_py()
    fit = sizes["min"] is None or (sizes["min"] > 0 and sizes["max"] <= MAX_FACT_CHARACTERS)
    alike = all((column.min, column.max) == (1, MAX_FACT_CHARACTERS) for column in texts)
    if fit and alike and not _found(together, _UNPLAIN):
        return texts
    return {column: _escaped(column, array, doubts) for column, array in texts.items()}


def _found(texts: pa.Array, pattern: str) -> bool:
    """Whether a pattern of one character is anywhere: over the bytes of all texts as if they were one."""
    data = texts.buffers()[2]
    ends = pa.py_buffer(len(data).to_bytes(8, "little") if data else bytes(8))
    offsets = pa.py_buffer(bytes(8) + ends.to_pybytes())
    whole = pa.LargeStringArray.from_buffers(1, offsets, data or pa.py_buffer(b""))
    return bool(pc.match_substring_regex(whole, pattern)[0].as_py())


def _escaped(column: Column, array: pa.Array, doubts: Doubts) -> pa.Array:
    lengths = pc.utf8_length(array)
    doubts.unless(pc.and_(pc.greater_equal(lengths, column.min), pc.less_equal(lengths, column.max)))
    doubts.unless(pc.invert(pc.match_substring_regex(array, _CONTROL)))
    if not pc.any(pc.match_substring_regex(array, _ESCAPED), min_count=0).as_py():
        return array
    return pc.replace_substring(pc.replace_substring(array, "\\", "\\\\"), '"', '\\"')


def check_integers(column: Column, array: pa.Array, doubts: Doubts) -> pa.Array:
    """Numbers in their text."""
    sizes = pc.min_max(array).as_py()
    if sizes["min"] is not None and (sizes["min"] < column.min or sizes["max"] > column.max):
        doubts.unless(pc.and_(pc.greater_equal(array, column.min), pc.less_equal(array, column.max)))
    return array.cast(pa.string())


class Objects:
    """Lists and objects in their canonical JSON, each text read once."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._known: dict[str | None, str | None] = {None: None}

    def check(self, array: pa.Array, doubts: Doubts) -> pa.Array:
        """What is not right is null here, and doubted."""
        known = self._known
        texts = array.to_pylist()
        for text in set(texts) - known.keys():
            known[text] = self._canonical(text)
        found = [known[text] for text in texts]
        if found.count(None) != array.null_count:
            doubts.rows.update(
                row
                for row, (text, good) in enumerate(zip(texts, found, strict=True))
                if text is not good is None
            )
        return pa.array(found, pa.string())

    def _canonical(self, text: str) -> str | None:
        data = text.encode()
        try:
            strict(data)
            return canonical_member(self._column.path, data).decode()
        except LedgerError:
            return None
