"""The report of an evidence file, for people: one HTML page that prints, loads nothing and runs nothing."""

import base64
import hashlib
import json
from typing import Any, Final

from ledger.core.evidence import CONTENTS, ENTRY, RECEIPT, entry_file
from ledger.core.note import fingerprint, parse_note
from ledger.evidence.gather import Gathered, Shown
from ledger.evidence.shown import any_value, table, text
from ledger.evidence.timeline import Mark, draw, mark_of

DETAILED: Final = 1_000
ROWS: Final = 500
CELL_CHARS: Final = 400
_STYLE: Final = """
body { font: 14px/1.5 Georgia, serif; color: #111; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #99a; } h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; } td, th { border: 1px solid #bbc; padding: .2rem .5rem; text-align: left; vertical-align: top;
  overflow: hidden; overflow-wrap: anywhere; white-space: pre-wrap; } th { background: #eef; }
.facts td:first-child { width: 13rem; color: #445; } .members td:first-child { width: 14rem; } .members td:last-child { width: 10rem; color: #445; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f5f5f8; padding: .6rem; overflow: hidden; }
bdi { unicode-bidi: isolate; } .u { font: 10px monospace; color: #fff; background: #b00020; padding: 0 .2em; border-radius: 2px; }
section.entry { break-inside: avoid; } svg { width: 100%; height: auto; } @media print { body { margin: 0; max-width: none; font-size: 11px; } }
"""
_KINDS: Final = {
    "content": "disclosed, and checked against its commitment",
    "person": "a person, disclosed and checked",
}
_GONE: Final = {
    "erased": "commitment only: erased, as the log says",
    "withheld": "commitment only: never given to the ledger",
    "kept_back": "commitment only: not disclosed in this file",
}


class Report:
    """Takes the entries as they are written, and becomes the page at the end."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []
        self._sections: list[str] = []

    def take(self, each: Shown) -> None:
        """The next entry."""
        self._marks.append(mark_of(each.entry))
        if len(self._sections) < DETAILED:
            self._sections.append(_entry(each))

    def page(self, gathered: Gathered, made_at: str) -> bytes:
        """The whole page, UTF-8."""
        style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
        left = len(self._marks) - len(self._sections)
        more = (
            f"<p>{left:,} more entries are in the folder entries/, and not printed here.</p>" if left else ""
        )
        parts = [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{style}'\">",
            '<meta name="referrer" content="no-referrer"><title>Evidence from an audit log</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>Evidence from the audit log {text(gathered.log.origin)}</h1>",
            _facts(gathered, made_at, len(self._marks)),
            _WHAT,
            "<h2>When the entries arrived</h2>",
            draw(self._marks),
            "<p>By the log's own clock. A cross: denied by policy. A square: failed. A ring: an entry that the log wrote itself.</p>",
            _question(gathered),
            "<h2>The entries</h2>",
            *self._sections,
            more,
            "</body></html>\n",
        ]
        return "".join(parts).encode("utf-8", "replace")


_WHAT: Final = """<h2>What this is, and how to check it</h2>
<p>The program that keeps this log writes each thing that an AI agent was seen to do as an <em>entry</em>, and signs, again and again, a <em>checkpoint</em>: one short
number that stands for all entries up to then. If one letter of an entry were changed, left out or put in later, that number would be another one.</p>
<p>This page is for reading. <strong>It proves nothing by itself: anybody can write such a page.</strong> What proves the entries are the files beside it: for each entry its exact bytes and
a receipt that leads to the signed checkpoint. To check them, open <code>verify.html</code> in a browser and drop the whole zip on it, or run
<code>agent-ledger verify</code>. Both compare every file with what the log signed, and name what does not fit. Take the log's key, or its fingerprint below, from somebody you
trust and not from this file; and the verifying page too, if you do not trust who gave you this one.</p>
<p>It shows that these entries stood at these places of the log when the checkpoint was signed, who submitted them, and when they arrived. It does <strong>not</strong> show
that what was recorded is true, that everything was recorded, or that no other entry matters. Where a text was written by an agent or by somebody else, it may be made to mislead:
it is quoted here as it was recorded, and characters that cannot be seen, or that change the order of reading, are printed as <span class="u">U+202E</span>.</p>"""


def _facts(gathered: Gathered, made_at: str, entries: int) -> str:
    log, head, request = gathered.log, gathered.head, gathered.request
    lines = len(parse_note(head.note).signatures)
    rows = [
        ["asked for by", f"{text(request.by)} (the name of a token)"],
        ["about", text(request.about) if request.about else "nothing was said"],
        ["made at", text(made_at)],
        ["entries", f"{entries:,}"],
        [
            "checkpoint",
            f"of {head.size:,} entries, root {text(head.root.hex())}, {lines} signature{'' if lines == 1 else 's'}",
        ],
        ["the log's verifier key", text(log.vkey)],
        ["its fingerprint", f"<code>{text(fingerprint(log.keys.first))}</code>"],
    ]
    return table([], rows, "facts")


def _question(gathered: Gathered) -> str:
    if gathered.answer is None:
        return ""
    request, answer = gathered.request, json.loads(gathered.answer.body)
    rows = [[any_value(cell, CELL_CHARS) for cell in row] for row in answer["rows"][:ROWS]]
    head = [text(column["name"], CELL_CHARS) for column in answer["columns"]]
    named = f"<p>The named question {text(request.query)}.</p>" if request.query else ""
    given = "".join(
        f"<li>{text(name)} = {any_value(value, CELL_CHARS)}</li>"
        for name, value in request.parameters.items()
    )
    left = len(answer["rows"]) - len(rows)
    words = [
        f"{len(answer['rows']):,} rows, of the log when it had {gathered.answer.size:,} entries.",
        "There were more: the answer was cut at its limit." if answer["truncated"] else "",
        f"{left:,} of them are in result.json and not printed here." if left else "",
        "That these are the rows is the ledger's word; the entries are proved.",
    ]
    return (
        f"<h2>What was asked, and the answer</h2>{named}<pre>{text(request.sql, 100_000)}</pre>"
        f"{f'<ul>{given}</ul>' if given else ''}<p>{' '.join(filter(None, words))}</p>{table(head, rows)}"
    )


def _entry(each: Shown) -> str:
    entry = each.entry
    contents = each.contents
    told: dict[str, tuple[str, str]] = {}
    if contents is not None:
        for one in contents.disclosed:
            told[one.member] = (any_value(_parsed(one.value)), _KINDS[one.kind])
        for name, why in _GONE.items():
            told |= dict.fromkeys(getattr(contents, name), ("", why))
    rows = []
    for path, value in _flat(entry.members, ""):
        shown, kind = told.get(path, ("", ""))
        rows.append([text(path), shown or any_value(value), kind])
    heading = f"Entry {entry.seq}: {text(str(entry.members.get('type', '')), CELL_CHARS)}"
    signed = (
        "" if entry.signature is None else f", signed by the agent key {text(entry.signature[0], CELL_CHARS)}"
    )
    about = f"Arrived {text(entry.recorded_at)}, submitted by {text(entry.submitter, CELL_CHARS)}{signed}. Leaf hash {each.leaf.hex()}."
    files = [
        entry_file(entry.seq, name) for name in (ENTRY, RECEIPT, CONTENTS) if name != CONTENTS or contents
    ]
    return f'<section class="entry"><h3>{heading}</h3><p>{about}<br>{", ".join(files)}</p>{table([], rows, "members")}</section>'


def _flat(value: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, inner in value.items():
        found += _flat(inner, f"{prefix}{name}.") if isinstance(inner, dict) else [(f"{prefix}{name}", inner)]
    return found


def _parsed(value: bytes) -> Any:
    """A text as itself, any other JSON as the text it is."""
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        parsed = None
    return parsed if isinstance(parsed, str) else value.decode()
