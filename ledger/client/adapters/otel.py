"""OpenTelemetry: every span of this process goes to the ledger, beside whoever else gets them.

from ledger.client.adapters.otel import attach
attach()  # AGENT_LEDGER_URL, AGENT_LEDGER_TOKEN

A span is told when it has ended: nothing here can hold a tool back whose intent is not on record. The adapters of the frameworks can.
"""

import logging
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from ledger.client.adapters.backlog import Backlog, Refused, client_of

QUEUE_SPANS: Final = 8_192
BATCH_SPANS: Final = 512
GATHER_S: Final = 0.5
FLUSH_S: Final = 30.0
CANARY: Final = "agent-ledger canary"
_SCOPE: Final = "ledger.client.adapters.otel"
_log = logging.getLogger(__name__)


class NotAttachedError(Exception):
    """The spans of this process would not reach the ledger."""


def attach(
    url: str | None = None,
    token: str | None = None,
    *,
    provider: TracerProvider | None = None,
    timeout_s: float = FLUSH_S,
) -> "LedgerSpanProcessor":
    """Send the spans of a provider to the ledger, and prove it: one span is made, and has to arrive and be acknowledged.

    The global provider is never replaced. Where there is none yet, the processor gets a provider of its own, `processor.provider`, to be
    handed to the instrumentation (`tracer_provider=…`) or set by the application itself.

    Args:
        url: the ledger's address; $AGENT_LEDGER_URL when None.
        token: a writer's token; $AGENT_LEDGER_TOKEN when None.
        provider: attach to this one, and not to the global one.
        timeout_s: how long the proof may take.

    Raises:
        NotAttachedError: the processor was not given the span, or the ledger did not acknowledge it.
        ValueError: the url is none.
    """
    found = provider or trace.get_tracer_provider()
    if not hasattr(found, "add_span_processor"):
        _log.warning(
            "no tracer provider is set: the ledger has one of its own, hand `processor.provider` to what makes spans"
        )
        found = TracerProvider()
    processor = LedgerSpanProcessor(url, token)
    processor.provider = found
    found.add_span_processor(processor)
    sampler = getattr(found, "sampler", ALWAYS_ON)
    if sampler is not ALWAYS_ON and getattr(sampler, "_root", sampler) is not ALWAYS_ON:
        _log.warning("%s: spans that it does not sample never reach the ledger", sampler.get_description())
    try:
        processor.prove(timeout_s)
    except NotAttachedError:
        processor.shutdown()
        raise
    return processor


class LedgerSpanProcessor(SpanProcessor):
    """Queues ended spans and posts them as OTLP, in batches, until the ledger has acknowledged them.

    Attributes:
        provider: what it is attached to.
    """

    provider: trace.TracerProvider

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        """A processor; nothing is sent yet. `url` and `token` as of `attach`.

        Raises:
            ValueError: the url is none.
        """
        self._client = client_of(url, token)
        self._backlog = Backlog(
            self._post, what="spans", limit=QUEUE_SPANS, batch=BATCH_SPANS, gather_s=GATHER_S, log=_log
        )
        self._canary: tuple[int, int] | None = None

    @property
    def lost(self) -> int:
        """Spans that did not get into the log: the queue was full, the process ended, or the ledger refused them. Each loss is an ERROR."""
        return self._backlog.lost

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span. Never waits, never raises."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        if span.name == CANARY:
            self._canary = (context.trace_id, context.span_id)
        self._backlog.add([span])

    def force_flush(self, timeout_millis: int = int(FLUSH_S * 1_000)) -> bool:
        """Wait until everything queued is acknowledged. False when that took too long."""
        return self._backlog.flush(timeout_millis / 1_000)

    def shutdown(self) -> None:
        """Send what is queued, for at most FLUSH_S, and end. What is left is lost, and told."""
        self._backlog.close(FLUSH_S)
        self._client.close()

    def prove(self, timeout_s: float) -> None:
        """Make a span through the provider and see it acknowledged.

        Raises:
            NotAttachedError: it did not come here, or did not get through.
        """
        span = trace.get_tracer(_SCOPE, tracer_provider=self.provider).start_span(
            CANARY, context=otel_context.Context()
        )
        made = span.get_span_context()
        span.end()
        if self._canary != (made.trace_id, made.span_id):
            raise NotAttachedError(
                "a span made through the tracer provider did not come to the ledger's processor: the provider samples it away, is not "
                "the one that is in use, or was shut down; give attach(provider=…) the one that is"
            )
        lost = self.lost
        if not self.force_flush(int(timeout_s * 1_000)) or self.lost > lost:
            why = self._backlog.problem or "no answer"
            raise NotAttachedError(f"the ledger at {self._client.url} did not take a span: {why}")

    def _post(self, spans: list[ReadableSpan]) -> Refused:
        # What sends spans makes none.
        quiet = otel_context.attach(otel_context.set_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY, True))  # noqa: SLF001 - as the SDK's own do
        try:
            answer = self._client.post_spans(encode_spans(spans).SerializeToString())
        finally:
            otel_context.detach(quiet)
        success = ExportTraceServiceResponse.FromString(answer).partial_success
        return Refused(success.rejected_spans, success.error_message)
