"""When the entries of an evidence file arrived, as a picture: inline SVG, a lane for each agent."""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from ledger.core.entry import Entry, parse_time
from ledger.evidence import shown

LANES: Final = 12
MARKS: Final = 2_000
LABELLED: Final = 40
_OTHERS: Final = "(others)"
_LEFT, _WIDTH, _LANE, _TOP = 220, 720, 34, 24
_TICKS: Final = 4
_RED, _ORANGE, _BLUE, _GREY = "#b00020", "#b35c00", "#1f4e99", "#667"
_NAME_CHARS: Final = 28
_GAP: Final = 14.0


class Mark(NamedTuple):
    """One entry on the time line.

    Attributes:
        seq: its place in the log.
        at: when it arrived, microseconds since 1970.
        recorded_at: the same as text.
        lane: the agent, or who submitted it.
        what: its type and tool.
        manner: "denied", "failed", "own" (the log's own entry) or "".
    """

    seq: int
    at: int
    recorded_at: str
    lane: str
    what: str
    manner: str


def mark_of(entry: Entry) -> Mark:
    """An entry's mark."""
    members = entry.members
    tool = _fact(members, "tool", "name")
    what = f"{members.get('type', '')}{f' {tool}' if tool else ''}"
    manner = ""
    if str(members.get("type", "")).startswith("log."):
        manner = "own"
    elif _fact(members, "policy", "effect") == "deny":
        manner = "denied"
    elif _fact(members, "outcome", "status") in {"failure", "timeout", "denied"}:
        manner = "failed"
    lane = _fact(members, "identity", "agent_id") or entry.submitter
    return Mark(entry.seq, parse_time(entry.recorded_at), entry.recorded_at, lane, what, manner)


def _fact(members: Mapping[str, object], facet: str, name: str) -> str:
    inner = members.get(facet)
    value = inner.get(name) if isinstance(inner, dict) else None
    return value if isinstance(value, str) else ""


def draw(marks: list[Mark]) -> str:
    """The picture. Beyond LANES agents the rarest share a lane, beyond MARKS entries some are left out, and that is said."""
    drawn = marks if len(marks) <= MARKS else marks[:: -(-len(marks) // MARKS)]
    frequent = [name for name, _ in Counter(mark.lane for mark in drawn).most_common(LANES + 1)]
    lanes = frequent if len(frequent) <= LANES else [*frequent[: LANES - 1], _OTHERS]
    start, end = min(mark.at for mark in drawn), max(mark.at for mark in drawn)
    height = _TOP + _LANE * len(lanes) + 30
    parts = [
        f'<svg viewBox="0 0 {_LEFT + _WIDTH + 20} {height}" role="img" aria-label="When the entries arrived" font-family="sans-serif" font-size="11">'
    ]
    for number, name in enumerate(lanes):
        y = _TOP + number * _LANE + _LANE // 2
        label = shown.plain(name if len(name) <= _NAME_CHARS else f"{name[:_NAME_CHARS]}…")
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{_LEFT + _WIDTH}" y2="{y}" stroke="#ccd"/>')
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{label}</text>')
    parts += _axis(drawn, start, end, _TOP + _LANE * len(lanes))
    for number, name in enumerate(lanes):
        own = [mark for mark in drawn if (mark.lane if mark.lane in lanes else _OTHERS) == name]
        places = _apart([_x(mark.at, start, end) for mark in own])
        y = _TOP + number * _LANE + _LANE // 2
        labelled = len(drawn) <= LABELLED
        parts += [_drawn(mark, x, y, labelled=labelled) for mark, x in zip(own, places, strict=True)]
    parts.append("</svg>")
    if len(drawn) < len(marks):
        parts.append(f"<p>Of {len(marks):,} entries {len(drawn):,} are drawn.</p>")
    return "".join(parts)


def _x(at: int, start: int, end: int) -> float:
    return round(_LEFT + _WIDTH * ((at - start) / (end - start) if end > start else 0.5), 1)


def _apart(places: list[float]) -> list[float]:
    """The same places, moved as little as it takes for none to cover another: what came in one batch came at one time."""
    gap = min(_GAP, _WIDTH / max(len(places), 1))
    for at in range(1, len(places)):
        places[at] = max(places[at], places[at - 1] + gap)
    edge = float(_LEFT + _WIDTH)
    for at in reversed(range(len(places))):
        places[at] = edge = min(places[at], edge)
        edge -= gap
    return [round(place, 1) for place in places]


def _axis(marks: list[Mark], start: int, end: int, y: int) -> list[str]:
    """Times along the lower edge: of the first and the last entry, and of those nearest to places between."""
    if end == start:
        return [
            f'<text x="{_LEFT + _WIDTH / 2}" y="{y + 16}" text-anchor="middle">{marks[0].recorded_at}</text>'
        ]
    wanted = [start + (end - start) * tick // _TICKS for tick in range(_TICKS + 1)]
    texts = []
    for tick, at in enumerate(wanted):
        nearest = min(marks, key=lambda mark: abs(mark.at - at))
        anchor = {0: "start", _TICKS: "end"}.get(tick, "middle")
        if tick in (0, _TICKS) or abs(nearest.at - at) * _TICKS * 4 < end - start:
            when = nearest.recorded_at[:10] if tick in (0, _TICKS) else ""
            label = f"{when} {nearest.recorded_at[11:19]}".strip()
            texts.append(
                f'<text x="{_x(nearest.at, start, end)}" y="{y + 16}" text-anchor="{anchor}">{label}</text>'
            )
    return texts


def _drawn(mark: Mark, x: float, y: int, *, labelled: bool) -> str:
    """Its shape says what its colour says: a cross for denied, a square for failed, a ring for the log's own."""
    title = f"<title>{shown.plain(f'entry {mark.seq}: {mark.what}, {mark.recorded_at}')}</title>"
    label = (
        f'<text x="{x}" y="{y - 8}" text-anchor="middle" fill="{_GREY}">{mark.seq}</text>' if labelled else ""
    )
    if mark.manner == "denied":
        shape = f'<path d="M{x - 5} {y - 5}L{x + 5} {y + 5}M{x - 5} {y + 5}L{x + 5} {y - 5}" stroke="{_RED}" stroke-width="3">{title}</path>'
    elif mark.manner == "failed":
        shape = f'<rect x="{x - 4}" y="{y - 4}" width="8" height="8" fill="{_ORANGE}">{title}</rect>'
    elif mark.manner == "own":
        shape = (
            f'<circle cx="{x}" cy="{y}" r="4" fill="#fff" stroke="{_GREY}" stroke-width="2">{title}</circle>'
        )
    else:
        shape = f'<circle cx="{x}" cy="{y}" r="5" fill="{_BLUE}">{title}</circle>'
    return shape + label
