"""A real log, and rules that look at it."""

import contextlib
import json

import pytest

from ledger.alerts.service import Alerts
from ledger.alerts.settings import parse_settings
from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from tests.alerts.receivers import until
from tests.log.conftest import ORIGIN, post, prepared, submit

FILE = '[[target]]\nname = "lines"\nkind = "file"\npath = "{}"\nformat = "alert"\n'


def nobody(rule):
    raise LedgerError(Code.QUERY_REFUSED, "no query is asked here")


class Watched:
    """A log with alerts that go to a file; it can be restarted."""

    def __init__(self, folder):
        self.folder, self.lines = folder, folder / "alerts.jsonl"
        Log.create(folder / "data", ORIGIN)
        self.log = Log.open(folder / "data")
        self.alerts = None
        self.numbers = iter(range(10_000))

    def start(self, rules, ask=nobody):
        self.rules, self.ask = rules, ask
        settings = parse_settings(rules + FILE.format(self.lines))
        self.alerts = Alerts(settings, self.log, self.folder / "data")
        self.alerts.start(ask)

    def stop(self):
        if self.alerts is not None:
            self.alerts.close()
            self.alerts = None

    def restart(self):
        """End rules and log, and begin again from what is on the disk."""
        self.stop()
        self.log.close()
        self.log = Log.open(self.folder / "data")
        self.start(self.rules, self.ask)

    def post(self, *records, submitter="token:test"):
        """Post records; their seqs."""
        given = [
            {"id": f"w-{next(self.numbers)}", "type": "action", "time": "2026-11-21T09:30:00Z", **each}
            for each in records
        ]
        answers = submit(self.log, [prepared(self.log, each, submitter) for each in given])
        assert not [each for each in answers if isinstance(each, LedgerError)], answers
        return [answer.seq for answer in answers]

    def delivered(self):
        """What the target got, each alert's data."""
        if not self.lines.exists():
            return []
        return [json.loads(line)["data"] for line in self.lines.read_text().splitlines() if line]

    def settled(self):
        """Everything delivered, once all rules have seen everything and the target has heard of it."""
        size = self.log.head().size

        def quiet():
            ready, status = self.alerts._engine.ready, self.alerts.status()  # in this order
            seen = all(rule["position"] >= size for rule in status["rules"] if rule["kind"] != "query")
            newest = max((each["number"] for each in status["alerts"]), default=0)
            return seen and ready == newest and status["targets"][0]["waiting"] == 0

        until(quiet)
        return self.delivered()

    def places(self):
        return [alert["seq"] for alert in self.settled()]


@pytest.fixture
def watched(tmp_path):
    made = Watched(tmp_path)
    yield made
    with contextlib.suppress(Exception):
        made.stop()
    made.log.close()


__all__ = ["post"]
