import json

import pytest

from ledger.log.persons import Persons
from ledger.records.prepare import prepare

ORIGIN = "ledger.example/test"


@pytest.fixture
def persons():
    return Persons(lambda _: None)


@pytest.fixture
def submit(persons):
    """Prepare a record given as a dict, or as JSON text."""

    def submit(record, *, agent_key=lambda _: None, **options):
        data = record if isinstance(record, bytes) else json.dumps(record).encode()
        return prepare(
            data, submitter="token:test", persons=persons, origin=ORIGIN, agent_key=agent_key, **options
        )

    return submit
