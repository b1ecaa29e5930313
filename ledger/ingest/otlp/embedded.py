"""What stands inside an attribute: JSON as text, Python's repr of a dict, or the value itself."""

import ast
import json
from typing import Any, Final

from ledger.core.errors import Code, FormatError
from ledger.records.strict import strict

LITERAL_CHARACTERS: Final = 64 * 1024  # a longer repr stays text: Python's parser takes much memory
_OPENINGS: Final = ("{", "[")


def structure(value: object) -> Any:
    """The object or array that a value is, or that its text means. Everything else, a bare text or number too, is itself.

    An object with a key twice stays text: two readers could read it differently, and nobody knows what ran.
    """
    if isinstance(value, dict | list):
        return value
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
        return value if error.code is Code.DUPLICATE_KEY else _written_by_python(text, value)


def arguments(value: object) -> Any:
    """A tool call's arguments as one JSON value, whether they came as JSON, as its text, or as a repr; a bare value stays bare."""
    found = structure(value)
    if isinstance(found, str) and len(found) > 1 and found[0] == found[-1] == '"':
        try:
            return structure(
                json.loads(found)
            )  # JSON of a text that is JSON, as some libraries encode it twice
        except ValueError:
            return found
    return found


def _written_by_python(text: str, value: str) -> Any:
    """`json.dumps` writes NaN, which is no JSON; `repr` and `str` of a dict write single quotes."""
    if len(text) > LITERAL_CHARACTERS:
        return value
    if "NaN" in text or "Infinity" in text:
        try:
            return json.loads(text, object_pairs_hook=_no_pair_twice)
        except (ValueError, RecursionError):
            return value
    try:
        tree = ast.parse(text, mode="eval")
        if any(_ambiguous(node) for node in ast.walk(tree)):
            return value
        return ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def _no_pair_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _ambiguous(node: ast.AST) -> bool:
    """Whether JSON would say it otherwise: a key twice, a key that is no text, a set, whose order is never the same."""
    if isinstance(node, ast.Set):
        return True
    if not isinstance(node, ast.Dict):
        return False
    keys = [key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return len(keys) != len(node.keys) or len(set(keys)) != len(keys)
