"""What stands inside an attribute: JSON as text, Python's repr of a dict, or the value itself."""

import re
from typing import Any, Final

from ledger.core.errors import Code, FormatError
from ledger.records.strict import strict

REPR_CHARACTERS: Final = 256 * 1024  # a longer repr stays text
_OPENINGS: Final = ("{", "[")
# In order; the last one is whatever neither JSON nor a repr of JSON's values has.
_TOKENS: Final = re.compile(
    r"""('(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")|([\[\]{},:\s\d.eE+-]+)|(True|False|None|true|false|null|NaN|Infinity|nan|inf)|(.)""",
    re.DOTALL,
)
_ESCAPES: Final = re.compile(r"""\\x([0-9a-f]{2})|\\U([0-9a-f]{8})|\\(.)|(")""", re.DOTALL)
_WORDS: Final = {
    "True": "true",
    "False": "false",
    "None": "null",
    "NaN": '"NaN"',
    "nan": '"NaN"',
} | dict.fromkeys(("Infinity", "inf"), '"Infinity"')
_LAST_CODE_POINT: Final = 0x10FFFF


def structure(value: object) -> Any:
    """The object or array that a value is, or that its text means. Everything else, a bare text or number too, is itself.

    An object with a key twice stays text: two readers could read it differently, and nobody knows what ran.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text.startswith(_OPENINGS):
        return value
    try:
        return strict(text.encode())
    except UnicodeEncodeError:
        return value
    except FormatError as error:
        return _written_by_python(text, value) if error.code is Code.MALFORMED_JSON else value


def arguments(value: object) -> Any:
    """A tool call's arguments as one JSON value, whether they came as JSON, as its text, or as a repr; a bare value stays bare."""
    found = structure(value)
    if isinstance(found, str) and found.startswith(
        ('"{', '"[')
    ):  # JSON of a text that is JSON: encoded twice
        try:
            return structure(strict(found.encode()))
        except (FormatError, UnicodeEncodeError):
            return found
    return found


def _written_by_python(text: str, value: str) -> Any:
    """`json.dumps` writes NaN, which is no JSON, and `str` of a dict writes single quotes: both are put into JSON's words, and what is
    no JSON then (a set, a tuple, a number as a key, an object) stays text.
    """
    if len(text) > REPR_CHARACTERS:
        return value
    written = []
    for token in _TOKENS.finditer(text):
        said, other, word, _ = token.groups()
        if said is not None:
            written.append(f'"{_ESCAPES.sub(_escaped, said[1:-1])}"')
        elif other is not None:
            written.append(other)
        elif word is not None:
            written.append(_WORDS.get(word, word))
        else:
            return value
    try:
        return strict("".join(written).encode())
    except (FormatError, UnicodeEncodeError):
        return value


def _escaped(match: re.Match[str]) -> str:
    byte, wide, single, quote = match.groups()
    if byte is not None:
        return f"\\u00{byte}"
    if wide is not None:
        return chr(int(wide, 16)) if int(wide, 16) <= _LAST_CODE_POINT else match[0]
    if quote is not None:
        return '\\"'
    return single if single == "'" else match[0]
