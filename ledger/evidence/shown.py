"""Text of anyone's as HTML that says no more than the text: nothing runs, hides, or turns the reading direction of what stands beside it."""

import html
import json
import re
import unicodedata
from typing import Any, Final

_BEYOND_ASCII: Final = re.compile(r"[^\n\x20-\x7e]")
# Controls, bidi and other format characters, surrogates, private use, unassigned, line and paragraph separators.
_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Fillers and joiners that have a letter's category and no ink; variation selectors.
_NO_INK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(0xFE00 + n) for n in range(16)
}
_SELECTORS: Final = range(0xE0100, 0xE01F0)


def plain(value: str) -> str:
    """As text of an SVG, where no markup can stand: what has no ink or reorders others is `[U+202E]`."""
    return _BEYOND_ASCII.sub(
        lambda found: f"[{_code(found.group())}]" if _is_hidden(found.group()) else found.group(),
        html.escape(value),
    )


def text(value: str, limit: int = 4_000) -> str:
    """As HTML. What has no ink or reorders others is shown as `U+202E`; what is beyond `limit` characters is counted."""
    cut = value[:limit]
    shown = _BEYOND_ASCII.sub(_character, html.escape(cut))
    more = len(value) - len(cut)
    return f"<bdi>{shown}</bdi>{f' <em>… and {more:,} more characters</em>' if more else ''}"


def any_value(value: Any, limit: int = 4_000) -> str:
    """A text as itself, anything else as JSON."""
    return text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), limit)


def _character(found: re.Match[str]) -> str:
    character = found.group()
    return f'<span class="u">{_code(character)}</span>' if _is_hidden(character) else character


def _is_hidden(character: str) -> bool:
    return (
        unicodedata.category(character) in _CATEGORIES or character in _NO_INK or ord(character) in _SELECTORS
    )


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


def table(head: list[str], rows: list[list[str]], kind: str = "") -> str:
    """A table of cells that are HTML already."""
    top = "".join(f"<th>{each}</th>" for each in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="{kind}">{f"<thead><tr>{top}</tr></thead>" if head else ""}<tbody>{body}</tbody></table>'
