"""Traces and metrics by OTLP/HTTP, with providers of their own: an embedding program's global ones are never touched.

One span per group commit, one per request that `TracedRequests` sees. Who commits only appends to a bounded list; a thread turns that
into spans and measurements once a second, and drops the oldest where a collector is away for long.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ledger import __version__
from ledger.core.errors import Code, LedgerError
from ledger.telemetry.numbers import BATCH_RECORDS_BOUNDS, COMMIT_SECONDS_BOUNDS

RELAY_EVERY_S = 1.0
MAX_WAITING = 10_000
SEND_TIMEOUT_S = 3
_GAUGES = {
    "queue_bytes": ("agent_ledger.queue.size", "By"),
    "size": ("agent_ledger.log.size", "{entry}"),
    "anchored_size": ("agent_ledger.log.anchored_size", "{entry}"),
    "writable": ("agent_ledger.log.writable", "1"),
}


class Source(Protocol):
    """Whose numbers these are: `Telemetry`."""

    def gauges(self) -> dict[str, int]:
        """The state of the log now."""

    def refusals(self) -> dict[str, int]:
        """How often each code was the answer."""

    def drops(self) -> dict[str, int]:
        """How much the dialects did not record, by reason."""


class _Commit(NamedTuple):
    records: int
    seconds: float
    size: int
    ended_ns: int


class OtlpExporter:
    """Sends what telemetry is told.

    Attributes:
        tracer: makes the ledger's own spans.
    """

    def __init__(
        self,
        source: Source,
        endpoint: str,
        *,
        reader: MetricReader | None = None,
        processor: SpanProcessor | None = None,
    ) -> None:
        """Start sending to `endpoint`; a test may give its own `reader` and `processor`.

        Raises:
            LedgerError: `invalid-parameter`.
        """
        self._source = source
        reader, processor = reader or _reader(endpoint), processor or _processor(endpoint)
        resource = Resource.create({"service.name": "agent-ledger", "service.version": __version__})
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._traces.add_span_processor(processor)
        self._metrics = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self.tracer = self._traces.get_tracer("agent-ledger", __version__)
        self._instruments()
        self._waiting: deque[_Commit] = deque(maxlen=MAX_WAITING)
        self._closing = threading.Event()
        self._relay = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._relay.start()

    def committed(self, records: int, seconds: float, size: int) -> None:
        """A group of records became durable just now."""
        self._waiting.append(_Commit(records, seconds, size, time.time_ns()))

    def close(self) -> None:
        """Send what is left; a collector that does not answer costs a few seconds."""
        self._closing.set()
        self._relay.join()
        self._metrics.shutdown(timeout_millis=SEND_TIMEOUT_S * 1000)
        self._traces.shutdown()

    def _run(self) -> None:
        while not self._closing.wait(RELAY_EVERY_S):
            self._pass_on()
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            commit = self._waiting.popleft()
            started_ns = commit.ended_ns - int(commit.seconds * 1e9)
            members = {"agent_ledger.records": commit.records, "agent_ledger.size": commit.size}
            span = self.tracer.start_span("commit", start_time=started_ns, attributes=members)
            span.end(commit.ended_ns)
            self._batches.record(commit.records)
            self._seconds.record(commit.seconds)

    def _instruments(self) -> None:
        meter = self._metrics.get_meter("agent-ledger", __version__)
        self._batches = meter.create_histogram(
            "agent_ledger.commit.records",
            "{record}",
            explicit_bucket_boundaries_advisory=_floats(BATCH_RECORDS_BOUNDS),
        )
        self._seconds = meter.create_histogram(
            "agent_ledger.commit.duration",
            "s",
            explicit_bucket_boundaries_advisory=_floats(COMMIT_SECONDS_BOUNDS),
        )
        meter.create_observable_counter("agent_ledger.refusals", [self._refusals], "{refusal}")
        meter.create_observable_counter("agent_ledger.dropped", [self._drops], "{item}")
        for name, (instrument, unit) in _GAUGES.items():
            meter.create_observable_gauge(instrument, [_Gauge(self._source, name)], unit)

    def _refusals(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"code": code}) for code, count in self._source.refusals().items()]

    def _drops(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"reason": reason}) for reason, count in self._source.drops().items()]


class _Gauge:
    """Reads one number when a collection asks for it."""

    def __init__(self, source: Source, name: str) -> None:
        self._source, self._name = source, name

    def __call__(self, _options: CallbackOptions) -> Iterable[Observation]:
        value = self._source.gauges().get(self._name)
        return [] if value is None else [Observation(value)]


def _floats(bounds: Sequence[float]) -> list[float]:
    return [float(bound) for bound in bounds]


def _reader(endpoint: str) -> MetricReader:
    base = _base(endpoint)
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    except ImportError:
        raise _not_installed() from None
    sender = OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=SEND_TIMEOUT_S)
    return PeriodicExportingMetricReader(sender)


def _processor(endpoint: str) -> SpanProcessor:
    base = _base(endpoint)
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ImportError:
        raise _not_installed() from None
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=SEND_TIMEOUT_S))


def _base(endpoint: str) -> str:
    with contextlib.suppress(ValueError):  # brackets that hold no address
        parts = urlsplit(endpoint)
        if "@" in parts.netloc:
            raise LedgerError(
                Code.INVALID_PARAMETER,
                "the OTLP endpoint has a user or a password in it, which others could read: OTEL_EXPORTER_OTLP_HEADERS is for what the collector asks",
            )
        if parts.scheme in {"http", "https"} and parts.hostname and not parts.query and not parts.fragment:
            return endpoint.rstrip("/")
    raise LedgerError(
        Code.INVALID_PARAMETER, "the OTLP endpoint is a collector's base URL, like http://127.0.0.1:4318"
    )


def _not_installed() -> LedgerError:
    return LedgerError(
        Code.INVALID_PARAMETER,
        "an OTLP endpoint is set, but the exporter is not installed: pip install '.[otlp]' in its checkout, or unset it",
    )
