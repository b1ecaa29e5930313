"""The few numbers the ledger keeps of itself, and their Prometheus text.

Written here and not by a client library: there are five kinds of line, and the same numbers go out by OTLP too.
Format: Prometheus text exposition format 0.0.4.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

BATCH_RECORDS_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)
COMMIT_SECONDS_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

Labels = Mapping[str, str]


class Sample(NamedTuple):
    """One series of a family: its labels and its value."""

    labels: Labels
    value: float


class Histogram:
    """Counts by upper bound. Not locked: its owner is."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum: float = 0

    def observe(self, value: float) -> None:
        """Count a value in the first bucket whose bound is not below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def histogram_text(name: str, about: str, histogram: Histogram) -> str:
    """A histogram's lines: cumulative buckets, sum and count."""
    lines, total = _head(name, about, "histogram"), 0
    for bound, count in zip((*histogram.bounds, None), histogram.counts, strict=True):
        total += count
        le = "+Inf" if bound is None else f"{bound:g}"
        lines.append(_line(f"{name}_bucket", {"le": le}, total))
    lines += [_line(f"{name}_sum", {}, histogram.sum), _line(f"{name}_count", {}, total)]
    return "".join(lines)


def family_text(name: str, about: str, kind: str, samples: Iterable[Sample]) -> str:
    """A counter's or gauge's lines."""
    return "".join([*_head(name, about, kind), *(_line(name, *sample) for sample in samples)])


def _head(name: str, about: str, kind: str) -> list[str]:
    return [f"# HELP {name} {about}\n", f"# TYPE {name} {kind}\n"]


def _line(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
    return f"{name}{{{inner}}} {value}\n" if inner else f"{name} {value}\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
