import re

import pytest

from ledger.core.errors import LedgerError
from ledger.ingest.arrow.prepare import prepare_stream
from ledger.log.persons import Persons
from ledger.records.prepare import prepare, recommit


class Judge:
    """Reads records both ways, with the same persons."""

    def __init__(self, **options):
        self.given = {
            "submitter": "token:test",
            "persons": Persons(lambda _: None),
            "origin": "ledger.example/test",
            "agent_key": lambda _: None,
            **options,
        }

    def arrow(self, body):
        return prepare_stream(body, **self.given)

    def json(self, lines):
        read = []
        for line in lines:
            try:
                read.append(prepare(line, **self.given))
            except LedgerError as error:
                read.append(error)
        return read


def judged(outcome):
    """What two ways of sending the same record must agree on."""
    if isinstance(outcome, LedgerError):
        # A column holds a content without the white space around it, so that it stands elsewhere in its record's line.
        return outcome.code, outcome.path, re.sub(r"column \d+", "column *", outcome.detail)
    record = recommit(outcome, {content.member: bytes(16) for content in outcome.contents})
    if outcome.generated_id:
        record = record.replace(outcome.id.encode(), b"*")
    return (
        record,
        None if outcome.generated_id else outcome.id,
        outcome.type,
        outcome.submitter,
        [(content.member, content.value) for content in outcome.contents],
        outcome.persons,
        sorted(outcome.withheld),
        outcome.signature,
        outcome.generated_id,
    )


@pytest.fixture
def judge():
    return Judge()


@pytest.fixture
def same():
    """Refuse two outcomes of the same records that differ."""

    def same(arrow, json):
        assert [judged(outcome) for outcome in arrow] == [judged(outcome) for outcome in json]

    return same
