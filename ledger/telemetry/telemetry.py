"""The ledger watched: what was committed and refused, how far the log has come, how much waits.

`Telemetry` is what the sequencer (as its observer) and the service tell. Telling costs them microseconds: numbers are counted here;
whatever OpenTelemetry does with them happens on a thread of its own.
"""

import threading
from collections import Counter
from typing import Any, Protocol

from ledger import __version__
from ledger.telemetry.numbers import (
    BATCH_RECORDS_BOUNDS,
    COMMIT_SECONDS_BOUNDS,
    Histogram,
    Sample,
    family_text,
    histogram_text,
)

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_TOKENS = 200
OTHERS = "(others)"  # no token's name


class Watched(Protocol):
    """What telemetry asks of a log when somebody looks."""

    @property
    def origin(self) -> str:
        """The log's name."""

    def status(self) -> dict[str, Any]:
        """`queue_bytes`, `queue_limit_bytes`, `queue_credentials`, `size`, `held_clock`, `stopped`."""

    def anchored_size(self) -> int:
        """The size that the head anchor outside the data folder vouches for."""


class Scrubbing(Protocol):
    """What telemetry asks of the scrub (`ledger.audit.scrub.Scrub`)."""

    def state(self) -> Any:
        """`size`, `findings`, `at`."""


class Alerting(Protocol):
    """What telemetry asks of alerts (`ledger.alerts.service.Alerts`)."""

    def status(self) -> dict[str, Any]:
        """`rules`: `name`, `raised`, `behind` of each; `targets`: `name`, `delivered`, `waiting`, `missed`, `failures` of each."""


class Witnessing(Protocol):
    """What telemetry asks of witnesses (`ledger.witness.rounds.Witnesses`)."""

    def status(self) -> dict[str, Any]:
        """`witnessed_size`, `lag_entries`, `lag_seconds`; `witnesses`: `name`, `size`, `failures` of each."""


class Exporter(Protocol):
    """Who takes the numbers elsewhere: `ledger.telemetry.export.OtlpExporter`."""

    @property
    def tracer(self) -> Any:
        """Makes the ledger's own spans (an OpenTelemetry `Tracer`)."""

    def committed(self, records: int, seconds: float, size: int) -> None:
        """A group of records became durable."""

    def close(self) -> None:
        """Send what is left."""


class Telemetry:
    """Counts, and tells who asks.

    Attributes:
        exporter: sends traces and metrics; None unless an endpoint is configured.
    """

    def __init__(self, *, endpoint: str | None = None) -> None:
        """Start counting.

        Args:
            endpoint: an OTLP/HTTP collector's base URL (`http://127.0.0.1:4318`); None: nothing leaves this process.

        Raises:
            LedgerError: `invalid-parameter` when it is not an http(s) URL, or the exporter is not installed.
        """
        self._lock = threading.Lock()
        self._batches = Histogram(BATCH_RECORDS_BOUNDS)
        self._seconds = Histogram(COMMIT_SECONDS_BOUNDS)
        self._refusals: Counter[str] = Counter()
        self._drops: Counter[str] = Counter()
        self._throttled: Counter[tuple[str, str]] = Counter()
        self._log: Watched | None = None
        self._scrub: Scrubbing | None = None
        self._alerts: Alerting | None = None
        self._witnesses: Witnessing | None = None
        self.exporter: Exporter | None = None
        if endpoint:
            # OpenTelemetry is loaded only by who uses it: it doubles the time a command takes to start.
            from ledger.telemetry.export import OtlpExporter  # noqa: PLC0415

            self.exporter = OtlpExporter(self, endpoint)

    # -- being told --------------------------------------------------------------------------------------------------

    def observe(self, log: Watched) -> None:
        """Answer for this log from now on."""
        self._log = log

    def observe_scrub(self, scrub: "Scrubbing") -> None:
        """Answer for this scrub too."""
        self._scrub = scrub

    def observe_alerts(self, alerts: "Alerting | None") -> None:
        """Answer for these alerts too, where there are any."""
        self._alerts = alerts

    def observe_witnesses(self, witnesses: "Witnessing | None") -> None:
        """Answer for these witnesses too, where any are asked."""
        self._witnesses = witnesses

    def committed(self, records: int, seconds: float, size: int) -> None:
        """A group of `records` became durable in `seconds`; the log now has `size` entries. The sequencer's `Observer`."""
        with self._lock:
            self._batches.observe(records)
            self._seconds.observe(seconds)
        if self.exporter is not None:
            self.exporter.committed(records, seconds, size)

    def refused(self, code: str) -> None:
        """A record or request was refused for this reason (a `Code`)."""
        with self._lock:
            self._refusals[str(code)] += 1

    def throttled(self, token: str, code: str) -> None:
        """What a token sent was refused because of how much it sends.

        Args:
            token: its name. The first MAX_TOKENS have a series each; what others were refused is counted under OTHERS.
            code: `queue-full` or `quota-exceeded`.
        """
        with self._lock:
            known = len(self._throttled) < MAX_TOKENS or (token, str(code)) in self._throttled
            self._throttled[token if known else OTHERS, str(code)] += 1

    def dropped(self, reason: str, number: int) -> None:
        """A dialect did not record this many things, because by their kind they are no agent's action.

        Args:
            reason: one of the few that the dialects know: it becomes a label.
            number: how many.
        """
        with self._lock:
            self._drops[reason] += number

    # -- being asked -------------------------------------------------------------------------------------------------

    def refusals(self) -> dict[str, int]:
        """How often each code was the answer."""
        with self._lock:
            return dict(self._refusals)

    def drops(self) -> dict[str, int]:
        """How much the dialects did not record, by reason."""
        with self._lock:
            return dict(self._drops)

    def gauges(self) -> dict[str, int]:
        """The state of the log now: sizes in entries, the queue in bytes, `writable` 1 or 0; empty before `observe`."""
        if self._log is None:
            return {}
        status = self._log.status()
        scrubbed = self._scrub.state() if self._scrub is not None else None
        scrub = {}
        if scrubbed is not None:
            scrub = {
                "scrub_size": scrubbed.size,
                "scrub_findings": scrubbed.findings,
                "scrub_finished": int(scrubbed.at),
            }
        return scrub | {
            "queue_bytes": status["queue_bytes"],
            "queue_limit_bytes": status["queue_limit_bytes"],
            "queue_credentials": status["queue_credentials"],
            "size": status["size"],
            "anchored_size": self._log.anchored_size(),
            "writable": int(status["stopped"] is None and status["unsigned"] is None),
        }

    def metrics_text(self) -> str:
        """Everything, as Prometheus reads it (`METRICS_TYPE`)."""
        gauges = self.gauges()
        parts = [
            family_text(f"agent_ledger_{name}", about, "gauge", [Sample({}, gauges[name])])
            for name, about in _GAUGES.items()
            if name in gauges
        ]
        if self._log is not None:
            info = {"version": __version__, "origin": self._log.origin}
            parts.append(family_text("agent_ledger_info", "Which log this is.", "gauge", [Sample(info, 1)]))
            held = Sample({}, self._log.status()["held_clock"])
            parts.append(family_text("agent_ledger_held_clock_total", _HELD_CLOCK, "counter", [held]))
        with self._lock:
            refusals = [Sample({"code": code}, count) for code, count in sorted(self._refusals.items())]
            throttled = [
                Sample({"token": token, "code": code}, count)
                for (token, code), count in sorted(self._throttled.items())
            ]
            drops = [Sample({"reason": reason}, count) for reason, count in sorted(self._drops.items())]
            parts += [
                family_text(
                    "agent_ledger_refusals_total",
                    "Records and requests refused, by code.",
                    "counter",
                    refusals,
                ),
                family_text("agent_ledger_throttled_total", _THROTTLED, "counter", throttled),
                family_text("agent_ledger_dropped_total", _DROPPED, "counter", drops),
                histogram_text("agent_ledger_batch_records", "Records per group commit.", self._batches),
                histogram_text(
                    "agent_ledger_commit_seconds", "From a group's first byte to its anchor.", self._seconds
                ),
            ]
        return "".join(parts) + self._alerts_text() + self._witnesses_text()

    def _witnesses_text(self) -> str:
        if self._witnesses is None:
            return ""
        status = self._witnesses.status()
        of_the_log = (
            family_text(f"agent_ledger_{name}", about, "gauge", [Sample({}, status[member])])
            for name, (member, about) in _WITNESSED.items()
        )
        of_each = (
            family_text(
                f"agent_ledger_witness_{name}",
                about,
                "gauge",
                [Sample({"witness": each["name"]}, each[name]) for each in status["witnesses"]],
            )
            for name, about in _WITNESS.items()
        )
        return "".join([*of_the_log, *of_each])

    def _alerts_text(self) -> str:
        if self._alerts is None:
            return ""
        status = self._alerts.status()
        return "".join(
            family_text(
                f"agent_ledger_alerts_{metric}",
                about,
                kind,
                [Sample({one: each["name"]}, each[member]) for each in status[f"{one}s"]],
            )
            for metric, (one, member, kind, about) in _ALERTS.items()
        )

    def close(self) -> None:
        """Send what is left to send, for a few seconds at most."""
        if self.exporter is not None:
            self.exporter.close()


_GAUGES = {
    "queue_bytes": "Bytes of records that wait to be written.",
    "queue_limit_bytes": "Bytes that may wait, in shares, before records are refused with queue-full.",
    "queue_credentials": "Credentials of which records wait to be written.",
    "size": "Entries of the log, each durable and under a signed checkpoint.",
    "anchored_size": "Entries that the head anchor outside the data folder vouches for; 0 where it cannot be read.",
    "scrub_size": "Sealed entries that the last round of the scrub verified.",
    "scrub_findings": "Things that it found wrong.",
    "scrub_finished": "When it ended, in seconds since 1970; 0 for never.",
    "writable": "1 while the log takes records, 0 when it has stopped and needs a restart, or the last group was not signed.",
}
_ALERTS = {
    "raised_total": ("rule", "raised", "counter", "Alerts that a rule raised."),
    "behind_entries": ("rule", "behind", "gauge", "Entries that a rule has not looked at yet."),
    "delivered_total": ("target", "delivered", "counter", "Alerts that a target has taken."),
    "waiting": ("target", "waiting", "gauge", "Alerts that a target has not heard of yet."),
    "missed_total": ("target", "missed", "counter", "Alerts that a target missed because too many waited."),
    "failures_total": ("target", "failures", "counter", "Attempts that failed since the server started."),
}
_WITNESSED = {
    "witnessed_size": ("witnessed_size", "Entries under a checkpoint that the quorum of witnesses cosigned."),
    "witness_lag_entries": ("lag_entries", "Entries that the quorum of witnesses has not cosigned yet."),
    "witness_lag_seconds": ("lag_seconds", "For how long at most one of them has waited for that."),
}
_WITNESS = {
    "size": "Entries that a witness cosigned since the server started.",
    "failures": "Questions in a row that it did not answer with a cosignature.",
}
_THROTTLED = "Submissions refused with 429 because of how much their token sends, by token and code."
_DROPPED = "Spans and events that are no agent's action by their kind and were not recorded, by reason."
_HELD_CLOCK = "Group commits whose clock had stepped back and was held."
