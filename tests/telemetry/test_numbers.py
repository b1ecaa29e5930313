"""The numbers are right, and Prometheus can read them."""

import re
import time

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.telemetry import Telemetry
from ledger.telemetry.numbers import Histogram, Sample, family_text
from ledger.telemetry.telemetry import MAX_TOKENS

LINE = re.compile(r'[a-z_]+(\{([a-z]+="(\\[\\"n]|[^"\\\n])*",?)+\})? -?[0-9.e+-]+')


class Log:
    """A log as far as telemetry looks at it, in a state that a test chooses."""

    def __init__(self, anchor, **status):
        self.origin = 'example.com/"quoted"'
        self.anchor = anchor
        self.numbers = {
            "queue_bytes": 0,
            "queue_limit_bytes": 64,
            "queue_credentials": 3,
            "size": 7,
            "held_clock": 0,
            "stopped": None,
            "unsigned": None,
        }
        self.numbers |= status

    def status(self):
        return self.numbers

    def anchored_size(self):
        return self.anchor


@pytest.fixture
def anchor():
    return 6


def values(text):
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line[0] != "#"
    }


def test_every_line_is_one_that_prometheus_reads(anchor):
    telemetry = Telemetry()
    telemetry.observe(Log(anchor))
    telemetry.committed(3, 0.002, 10)
    telemetry.refused(Code.QUEUE_FULL)
    telemetry.refused('odd "code"\\\n')
    text = telemetry.metrics_text()
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        assert line.startswith(("# HELP ", "# TYPE ")) or LINE.fullmatch(line), line


def test_each_family_is_announced_once_and_before_its_lines(anchor):
    telemetry = Telemetry()
    telemetry.observe(Log(anchor))
    telemetry.refused(Code.QUEUE_FULL)
    announced = []
    for line in telemetry.metrics_text().splitlines():
        if line.startswith("# TYPE "):
            announced.append(line.split()[2])
        elif not line.startswith("#"):
            assert line.startswith(announced[-1])
    assert len(announced) == len(set(announced)) == 13


def test_a_log_shows_its_size_its_anchor_and_its_queue(anchor):
    telemetry = Telemetry()
    telemetry.observe(Log(anchor, queue_bytes=12, held_clock=2))
    shown = values(telemetry.metrics_text())
    assert shown["agent_ledger_size"] == 7
    assert shown["agent_ledger_anchored_size"] == 6
    assert shown["agent_ledger_queue_bytes"] == 12
    assert shown["agent_ledger_queue_credentials"] == 3
    assert shown["agent_ledger_queue_limit_bytes"] == 64
    assert shown["agent_ledger_held_clock_total"] == 2
    assert shown["agent_ledger_writable"] == 1


def test_a_log_that_stopped_is_not_writable(anchor):
    telemetry = Telemetry()
    telemetry.observe(Log(anchor, stopped="the disk is full"))
    text = telemetry.metrics_text()
    assert values(text)["agent_ledger_writable"] == 0
    assert "disk" not in text


def test_commits_are_counted_by_size_and_by_seconds():
    telemetry = Telemetry()
    for records, seconds in ((1, 0.001), (2, 0.0011), (3_000, 9.0)):
        telemetry.committed(records, seconds, records)
    shown = values(telemetry.metrics_text())
    assert shown['agent_ledger_batch_records_bucket{le="1"}'] == 1
    assert shown['agent_ledger_batch_records_bucket{le="2"}'] == 2
    assert shown['agent_ledger_batch_records_bucket{le="2000"}'] == 2
    assert (
        shown['agent_ledger_batch_records_bucket{le="+Inf"}']
        == shown["agent_ledger_batch_records_count"]
        == 3
    )
    assert shown["agent_ledger_batch_records_sum"] == 3_003
    assert shown['agent_ledger_commit_seconds_bucket{le="0.001"}'] == 1
    assert shown['agent_ledger_commit_seconds_bucket{le="0.002"}'] == 2
    assert shown["agent_ledger_commit_seconds_sum"] == pytest.approx(9.0021)


def test_refusals_are_counted_by_code():
    telemetry = Telemetry()
    for code in (Code.QUEUE_FULL, Code.QUEUE_FULL, Code.ID_CONFLICT):
        telemetry.refused(code)
    shown = values(telemetry.metrics_text())
    assert shown['agent_ledger_refusals_total{code="queue-full"}'] == 2
    assert shown['agent_ledger_refusals_total{code="id-conflict"}'] == 1


def test_what_dialects_drop_is_counted_by_reason():
    telemetry = Telemetry()
    telemetry.dropped("a2a transport", 62)
    telemetry.dropped("a2a transport", 2)
    assert telemetry.drops() == {"a2a transport": 64}
    assert values(telemetry.metrics_text())['agent_ledger_dropped_total{reason="a2a transport"}'] == 64


def test_a_value_on_a_bound_counts_as_within_it():
    histogram = Histogram((1, 2))
    for value in (0, 1, 1.5, 2, 2.5):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]


def test_who_was_refused_for_how_much_they_send_is_counted_by_token_and_only_so_many_have_a_line(anchor):
    telemetry = Telemetry()
    telemetry.observe(Log(anchor))
    for number in range(MAX_TOKENS + 50):
        telemetry.throttled(f"t-{number}", Code.QUEUE_FULL)
    telemetry.throttled("t-0", Code.QUEUE_FULL)
    shown = values(telemetry.metrics_text())
    counted = {name: count for name, count in shown.items() if "throttled" in name}
    assert counted['agent_ledger_throttled_total{token="t-0",code="queue-full"}'] == 2
    assert counted['agent_ledger_throttled_total{token="(others)",code="queue-full"}'] == 50
    assert (len(counted), sum(counted.values())) == (MAX_TOKENS + 1, MAX_TOKENS + 51)


def test_a_label_cannot_end_its_line():
    text = family_text("x", "y", "gauge", [Sample({"a": 'b"} 1\nz 2\\'}, 1)])
    assert text.split("\n")[2:] == ['x{a="b\\"} 1\\nz 2\\\\"} 1', ""]


def test_telling_costs_a_commit_next_to_nothing():
    telemetry = Telemetry()
    rounds = 2_000
    best_us = min(_timed(telemetry, rounds) for _ in range(10)) * 1e6 / rounds
    assert best_us < 5


def _timed(telemetry, rounds):
    started = time.perf_counter()
    for _ in range(rounds):
        telemetry.committed(10, 0.003, 100)
    return time.perf_counter() - started


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "ftp://collector", "http://", "file:///etc/passwd", "http://c/?x=1"]
)
def test_an_endpoint_that_is_not_a_url_is_refused(endpoint):
    with pytest.raises(LedgerError) as caught:
        Telemetry(endpoint=endpoint)
    assert caught.value.code == Code.INVALID_PARAMETER
