"""A stretch is judged in the same way whether its entries are read by shapes or each by the parser."""

import random
from pathlib import Path

import pyarrow as pa
import pytest

from ledger.audit import joiner
from ledger.audit.beside import WANTED, Committed
from ledger.audit.joiner import check_beside
from ledger.audit.readonly import Stretch, as_person, as_stretch, contents_of
from ledger.core.note import parse_vkey
from ledger.core.report import Findings
from ledger.core.shape import Shapes
from ledger.core.verify import Verifier
from ledger.log.log import Log
from tests.log.conftest import post, record

COUNT = 40
COLUMNS = ("entry", "hash", "id", "checkpoint", "member", "digest")


class Rows:
    """What a log holds, to be changed and verified."""

    def __init__(self, folder: Path) -> None:
        log = Log.open(folder)
        post(log, *[record(number) for number in range(COUNT)])
        post(log, record(COUNT, request={"user": 'a "quoted" name', "text": "x"}))
        self.vkey = parse_vkey(log.vkey)
        self.end = log.head().size
        (self.batch,) = log.rows(0, self.end)
        self.persons = [as_person(row) for row in log.person_rows(0, self.end).to_pylist()]
        log.close()

    def stretch(self, findings: Findings) -> Stretch:
        table = pa.Table.from_batches([self.batch])
        committed = Committed.of([contents_of(table.column("contents"))])
        return as_stretch((0, self.end), table, committed, self.persons, findings)


class NoShapes(Shapes):
    """Knows none."""

    def read(self, data: bytes) -> None:  # noqa: ARG002
        return None


@pytest.fixture
def rows(data: Path) -> Rows:
    return Rows(data)


def changed(stretch: Stretch, dice: random.Random) -> Stretch:
    """The stretch with something in it altered."""
    stored, rows = stretch.stored, stretch.rows
    column = dice.choice(COLUMNS)
    i = dice.randrange(len(stored.entries))
    if column in ("entry", "hash"):
        field = "entries" if column == "entry" else "hashes"
        values = list(getattr(stored, field))
        values[i] = mutated(values[i], dice) if dice.random() < 0.9 else None
        return stretch._replace(stored=stored._replace(**{field: values}))
    if column == "checkpoint":
        return stretch._replace(rows=rows._replace(noted=[not noted for noted in rows.noted]))
    if column == "id":
        ids = [dice.choice(["", None, rows.ids[0]]) if j == i else text for j, text in enumerate(rows.ids)]
        return stretch._replace(rows=rows._replace(ids=ids))
    field = f"{column}s"
    values = list(getattr(rows.contents, field))
    j = dice.randrange(len(values))
    values[j] = dice.choice([None, values[j - 1], values[j][1:], mutated(values[j], dice)])
    return stretch._replace(rows=rows._replace(contents=rows.contents._replace(**{field: values})))


def mutated(value, dice: random.Random):
    if isinstance(value, str):
        return value + "x"
    at = dice.randrange(len(value))
    return value[:at] + bytes([value[at] ^ 1 << dice.randrange(8)]) + value[at + dice.randrange(2) :]


def test_by_shapes_and_by_the_parser_the_same_is_found(rows: Rows, monkeypatch: pytest.MonkeyPatch):
    hints = Verifier(rows.vkey).hints(0)
    introduced = {person.commitment: person.seq for person in rows.persons}
    known, unknown = Shapes(*WANTED), NoShapes(*WANTED)
    dice = random.Random(7)
    found = 0
    for round_ in range(400):
        stretch = rows.stretch(Findings())
        for _ in range(min(round_, dice.randrange(1, 4))):
            stretch = changed(stretch, dice)
        both = []
        for shapes in (known, unknown):
            monkeypatch.setattr(joiner, "SHAPES", shapes)
            both.append(check_beside(stretch, hints, introduced.get, Findings()))
        assert both[0] == both[1], round_
        found += bool(both[0].outcome.findings)
    assert known._hits > 300 * COUNT
    assert found > 350
