r"""Reads entries that are like entries read before: one regular expression for each shape, instead of a JSON parser.

A shape is an entry's members, their order, and what kind of value each has. When `ledger.core.entry.parse_entry` has accepted an entry,
an expression can be written that matches the entries which differ from it in nothing but the characters of strings and the digits of
numbers. It has no white space, no escape, no control character and no number that is not canonical, so whatever it matches is canonical
too, has the same depth and the same keys, and passes every check of `parse_entry`.

What no expression matches is not refused: it is read by `parse_entry`, which alone decides. Expressions are only for what is common: no
entry of the log itself, none with a signature, no string with an escape.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from ledger.core.canonical import JsonValue
from ledger.core.entry import MAX_ENTRY_BYTES, OWN_PREFIX, OWN_SUBMITTER, Entry, parse_time
from ledger.core.errors import LedgerError

MET_BEFORE = 16  # compiling costs a millisecond, as much as reading a hundred entries without
MAX_TRIED = 4  # shapes with equally many quotes
MAX_SHAPES = 256
MAX_VALUES = 256
FREE_LESSONS = 4096  # where no two entries are alike there is nothing to learn
HITS_PER_LESSON = 8

_TEXT = r'[^"\\\x00-\x1f]'
# 15 digits are within ±(2^53-1) whatever they are; what is longer is left to the parser.
_INTEGER = "(?:0|-?[1-9][0-9]{0,14}+)"
_TYPE = rf"(?!log\.){_TEXT}"
_BEFORE = r'\{"prev":"(?!0{64})[0-9a-f]{64}","record":'
_AFTER = (
    r',"recorded_at":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)","seq":([1-9][0-9]{0,14}+)'
    rf',"submitter":"((?!log"){_TEXT}++)","v":1\}}'
)

Path: TypeAlias = tuple[str, ...]
# Where members are that were asked for and are there, dotted, and what they are.
Told: TypeAlias = tuple[tuple[str, ...], tuple[JsonValue, ...]]


class Seen(NamedTuple):
    """What a verification goes on with once an entry's form was found good.

    Attributes:
        seq: its index, as it says.
        recorded_at: the log's clock.
        submitter: who wrote it.
        signer: the key id of its signature; None where it has none.
        told: the members asked for: for each list of paths those that are there, and their values.
    """

    seq: int
    recorded_at: str
    submitter: str
    signer: str | None
    told: tuple[Told, ...]


class _Shape(NamedTuple):
    """An expression, and what its groups are.

    Attributes:
        pattern: the record's part of it.
        match: matches the text of entries of this shape.
        groups: of recorded_at, seq, submitter, and the members asked for, in the order asked.
        parts: for each list of paths those that are there, and which of the groups have them.
    """

    pattern: str
    match: Callable[[str], re.Match[str] | None]
    groups: tuple[int, ...]
    parts: tuple[tuple[tuple[str, ...], slice], ...]


class Shapes:
    """The shapes met so far. Bounded, because shapes come from outside."""

    def __init__(self, *wanted: Sequence[str]) -> None:
        """Shapes of entries of which some members are asked for.

        Args:
            wanted: lists of dotted paths in the record, of one or two names.
        """
        self._wanted = tuple(tuple((path, tuple(path.split("."))) for path in paths) for paths in wanted)
        self._captured = frozenset(path for paths in self._wanted for _, path in paths)
        self._known: dict[int, tuple[_Shape, ...]] = {}  # by how many quotes are in the entry
        self._met: dict[tuple[object, ...], int] = {}  # entries that are alike, roughly
        self._count = self._lessons = self._hits = 0

    def read(self, data: bytes) -> Seen | None:
        """The entry, when it has a known shape and is good; None when `parse_entry` has to tell."""
        shapes = self._known.get(data.count(b'"'))
        if shapes is None or len(data) > MAX_ENTRY_BYTES:
            return None
        try:
            text = data.decode()
            for shape in shapes:
                found = shape.match(text)
                if found is not None:
                    parse_time(found[shape.groups[0]])
                    self._hits += 1
                    return _seen(shape, found)
        except (LedgerError, UnicodeDecodeError):
            pass
        return None

    def seen(self, entry: Entry) -> Seen:
        """The same of an entry that was parsed."""
        signer = entry.signature[0] if entry.signature is not None else None
        told = tuple(self._find(entry.members, paths) for paths in self._wanted)
        return Seen(entry.seq, entry.recorded_at, entry.submitter, signer, told)

    @staticmethod
    def _find(members: dict[str, JsonValue], paths: tuple[tuple[str, Path], ...]) -> Told:
        found: dict[str, JsonValue] = {}
        for name, path in paths:
            facet = members if len(path) == 1 else members.get(path[0])
            if isinstance(facet, dict) and path[-1] in facet:
                found[name] = facet[path[-1]]
        return tuple(found), tuple(found.values())

    # ---- learning

    def learn(self, data: bytes, entry: Entry) -> None:
        """Take note of an entry that `read` did not know and `parse_entry` accepted."""
        if (
            self._lessons > FREE_LESSONS + self._hits // HITS_PER_LESSON
            or b"\\" in data
            or not _is_common(entry)
        ):
            return
        self._lessons += 1
        if len(self._met) >= MAX_SHAPES:
            self._met.clear()
        likeness = _likeness(entry.members)
        self._met[likeness] = met = self._met.get(likeness, 0) + 1
        if met % MET_BEFORE == 0:
            writer = _Writer(self._captured)
            pattern = writer.write(entry.members)
            if pattern is not None:
                # Without escapes the quotes are as many in all entries that the pattern matches.
                self._add(data.count(b'"'), pattern, writer.captured)

    def _add(self, quotes: int, pattern: str, captured: Sequence[Path]) -> None:
        if self._count >= MAX_SHAPES:
            self._known, self._count = {}, 0
        others = self._known.get(quotes, ())
        if any(shape.pattern == pattern for shape in others):
            return
        number = {path: group for group, path in enumerate(captured, 1)}
        groups = [len(captured) + 1, len(captured) + 2, len(captured) + 3]
        parts = []
        for paths in self._wanted:
            there = {name: number[path] for name, path in paths if path in number}
            parts.append((tuple(there), slice(len(groups), len(groups) + len(there))))
            groups.extend(there.values())
        match = re.compile(_BEFORE + pattern + _AFTER).fullmatch
        shape = _Shape(pattern, match, tuple(groups), tuple(parts))
        self._known[quotes] = (shape, *others[: MAX_TRIED - 1])
        self._count += 1


def _seen(shape: _Shape, found: re.Match[str]) -> Seen:
    values = found.group(*shape.groups)
    told = tuple([(paths, values[part]) for paths, part in shape.parts])
    return Seen(int(values[1]), values[0], values[2], None, told)


def _is_common(entry: Entry) -> bool:
    """Whether it is an entry of which expressions are made: its author need not be looked at again."""
    ext = entry.members.get("ext", {})
    return (
        entry.signature is None
        and entry.submitter != OWN_SUBMITTER
        and isinstance(entry.members.get("type"), str)
        and isinstance(ext, dict)
        and not any(key.startswith(OWN_PREFIX) for key in ext)
    )


def _likeness(members: dict[str, JsonValue]) -> tuple[object, ...]:
    """Equal for records of the same shape, and for few others."""
    return tuple([(key, *value) if isinstance(value, dict) else key for key, value in members.items()])


class _Writer:
    """Writes the expression for a record."""

    def __init__(self, wanted: frozenset[Path]) -> None:
        self.captured: list[Path] = []
        self._wanted, self._written = wanted, 0

    def write(self, members: dict[str, JsonValue]) -> str | None:
        """The expression; None when it would be long, or a member that is wanted is not text."""
        try:
            return self._value(members, ())
        except _NoShapeError:
            return None

    def _value(self, value: JsonValue, path: Path) -> str:
        self._written += 1
        if self._written > MAX_VALUES or (path in self._wanted and not isinstance(value, str)):
            raise _NoShapeError
        if isinstance(value, str):
            return self._string(path)
        if isinstance(value, dict):
            members = [
                f'"{re.escape(key)}":' + self._value(member, (*path, key)) for key, member in value.items()
            ]
            return r"\{" + ",".join(members) + r"\}"
        if isinstance(value, list):
            inside = (*path, "")  # no key is empty: nothing in a list is wanted
            return r"\[" + ",".join([self._value(item, inside) for item in value]) + r"\]"
        if value is None:
            return "null"
        return "(?:true|false)" if isinstance(value, bool) else _INTEGER

    def _string(self, path: Path) -> str:
        text = _TYPE if path == ("type",) else _TEXT
        if path not in self._wanted:
            return f'"{text}*+"'
        self.captured.append(path)
        return f'"({text}*+)"'


class _NoShapeError(Exception):
    """No expression is made."""
