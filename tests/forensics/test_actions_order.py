"""The same telemetry gives the same rows, whatever the order and the batches in which it comes."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.ingest.otlp.decode import JSON, PROTOBUF, Signal, decode
from ledger.ingest.otlp.mapping import records_of
from ledger.ingest.otlp.spans import LogRecord, Span
from tests.captures.truth import TRUTH
from tests.forensics.joining import Joined, prepared

Item = tuple[str, Span | LogRecord]
# What is the ledger's own of a row: its place in the log, and salted commitments.
COLUMNS = "SELECT COLUMNS(lambda c: NOT regexp_matches(c, '^(seq|id|leaf_hash|recorded_at|first_seq|last_seq)$|_commitment$')) FROM actions"


def items(capture: Path) -> list[Item]:
    """Spans and log records of a capture, each with its sender."""
    found: list[Item] = []
    for path in sorted(capture.glob("[0-9]*.*")):
        _, signal, *encoding = path.name.split(".")
        if encoding and signal in list(Signal):
            media = PROTOBUF if encoding == ["pb"] else JSON
            for piece in decode(path.read_bytes(), media, Signal(signal)).slices:
                found += [(f"token:{capture.name}", item) for item in [*piece.spans, *piece.logs]]
    return found


@pytest.fixture(scope="module")
def telemetry(shared: Path) -> list[Item]:
    return [item for name in sorted(TRUTH) for item in items(shared / "otlp" / name)]


def take(engine: Joined, batch: list[Item]) -> None:
    """What a batch reads as, each sender's for itself."""
    found = []
    for sender in dict.fromkeys(sender for sender, _ in batch):
        mine = [item for owner, item in batch if owner == sender]
        spans = [item for item in mine if isinstance(item, Span)]
        logs = [item for item in mine if isinstance(item, LogRecord)]
        found += [prepared(record, sender) for record in records_of(spans, logs, sender).records]
    engine.take(found)


def rows(engine: Joined) -> Counter[str]:
    return Counter(json.dumps(row, sort_keys=True) for row in engine.ask(COLUMNS))


def joined(batches: list[list[Item]]) -> Counter[str]:
    """The rows, after each batch was read and taken in by itself."""
    engine = Joined()
    for batch in batches:
        take(engine, batch)
        engine.ask("SELECT count(*) FROM actions")  # joined so far
    return rows(engine)


@pytest.fixture(scope="module")
def in_order(telemetry: list[Item]) -> Counter[str]:
    return joined([telemetry])


def test_every_record_of_a_call_is_in_exactly_one_row(telemetry: list[Item]):
    engine = Joined()
    take(engine, telemetry)
    [[own]] = engine.ask("SELECT count(*) FROM records WHERE type = 'action' OR type LIKE 'action.%'")
    assert engine.ask("SELECT sum(len(stages))::INT FROM actions") == [[own]]
    assert own > 150


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), batches=st.integers(1, 8), repeated=st.integers(0, 200))
def test_all_captures_give_the_same_rows_in_any_order_and_any_batches(
    telemetry: list[Item], in_order: Counter[str], seed: int, batches: int, repeated: int
):
    chance = random.Random(seed)
    shuffled = telemetry + chance.sample(telemetry, repeated)
    chance.shuffle(shuffled)
    parts: list[list[Item]] = [[] for _ in range(batches)]
    for item in shuffled:
        chance.choice(parts).append(item)
    found = joined(parts)
    assert found - in_order == in_order - found == Counter()


def test_the_join_is_made_anew_when_the_rest_of_a_trace_comes_later(
    telemetry: list[Item], in_order: Counter[str]
):
    """A query between two batches sees what is there; the next one sees the whole."""
    engine = Joined()
    half = len(telemetry) // 2
    take(engine, telemetry[half:])
    assert rows(engine) != in_order
    take(engine, telemetry[:half])
    assert rows(engine) == in_order
