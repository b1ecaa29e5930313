"""Inputs: the kept ones of `corpus/`, and mutations of them without atheris, from a seed."""

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.fuzz.target import Target

KEPT, KEPT_BYTES = 60, 16 * 1024  # of each target
CORPUS = Path(__file__).parent / "corpus"


def corpus_file(name: str) -> Path:
    return CORPUS / f"{name}.txt"


def kept(name: str) -> list[bytes]:
    """The kept inputs of a target: a line each, bytes as the characters of the same numbers, as JSON writes them."""
    path = corpus_file(name)
    if not path.exists():
        return []
    return [json.loads(line).encode("latin-1") for line in path.read_text("ascii").splitlines()]


def keep(name: str, inputs: Iterable[bytes]) -> None:
    """Put these in the place of what was kept: the shortest of them, as long as there is room."""
    lines, size = list[str](), 0
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        size += len(data)
        if size > KEPT_BYTES or len(lines) == KEPT:
            break
        lines.append(json.dumps(data.decode("latin-1")))
    CORPUS.mkdir(exist_ok=True)
    corpus_file(name).write_text("".join(f"{line}\n" for line in lines), "ascii")


def mutated(target: Target, count: int, seed: int = 1) -> Iterator[bytes]:
    """The seeds and kept inputs with a few changes each: the same ones at every run."""
    chooser = random.Random(f"{target.name} {seed}")
    originals = [*target.seeds(), *kept(target.name)]
    for _ in range(count):
        data = bytearray(chooser.choice(originals))
        for _ in range(chooser.choice((1, 1, 2, 3))):
            _change(data, target, originals, chooser)
        yield bytes(data[: target.max_bytes])


def _change(data: bytearray, target: Target, originals: list[bytes], chooser: random.Random) -> None:
    at = chooser.randrange(len(data) + 1)
    span = chooser.choice((1, 1, 2, 8, 40))
    match chooser.randrange(6):
        case 0 if data:
            data[at % len(data)] ^= 1 << chooser.randrange(8)
        case 1:
            del data[at : at + span]
        case 2:
            data[at:at] = data[at : at + span]
        case 3 if target.pieces:
            data[at : at + chooser.choice((0, span))] = chooser.choice(target.pieces)
        case 4:
            other = chooser.choice(originals)
            start = chooser.randrange(len(other) + 1)
            data[at : at + span] = other[start : start + span]
        case _:
            data[at:at] = bytes([chooser.choice((0, 9, 10, 13, 32, 34, 45, 46, 48, 57, 92, 127, 128, 255))])
