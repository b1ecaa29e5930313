"""OpenTelemetry: every span of this process goes to the ledger, beside whoever else gets them.

from ledger.client.adapters.otel import attach
attach()  # AGENT_LEDGER_URL, AGENT_LEDGER_TOKEN

A span is told when it has ended: nothing here can hold a tool back whose intent is not on record. The adapters of the frameworks can.
"""

import logging
import os
import random
import threading
import time
from collections import deque
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from ledger.client.http import LedgerClient, ProblemError, UnreachableError
from ledger.client.ledger import DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE

QUEUE_SPANS: Final = 8_192
BATCH_SPANS: Final = 512
GATHER_S: Final = 0.5
FLUSH_S: Final = 30.0
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
CANARY: Final = "agent-ledger canary"
_SCOPE: Final = "ledger.client.adapters.otel"
_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
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
        lost: spans that did not get into the log: the queue was full, the process ended, or the ledger refused them. Each loss is also
            an ERROR in the log of `ledger.client.adapters.otel`.
    """

    provider: trace.TracerProvider

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self._client = LedgerClient(
            url or os.environ.get(URL_VARIABLE) or DEFAULT_URL,
            token or (os.environ.get(TOKEN_VARIABLE) or "").strip() or None,
        )
        self.lost = 0
        self._spans: deque[ReadableSpan] = deque()
        self._changed = threading.Condition()
        self._in_flight = 0
        self._urgent = self._ending = False
        self._ended = threading.Event()
        self._problem = ""
        self._canary: tuple[int, int] | None = None
        self._process = -1
        self._deadline = float("inf")

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span. Never waits, never raises."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        with self._changed:
            if self._ending or len(self._spans) >= QUEUE_SPANS:
                self._lose(1, "the processor was shut down" if self._ending else "the queue is full")
                return
            self._spans.append(span)
            self._canary = (context.trace_id, context.span_id) if span.name == CANARY else self._canary
            if self._process != os.getpid():
                self._start()
            if len(self._spans) == 1 or len(self._spans) >= BATCH_SPANS:
                self._changed.notify_all()

    def force_flush(self, timeout_millis: int = int(FLUSH_S * 1_000)) -> bool:
        """Wait until everything queued is acknowledged. False when that took too long."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            done = self._changed.wait_for(
                lambda: not self._spans and not self._in_flight, timeout_millis / 1_000
            )
            self._urgent = False
        return done

    def shutdown(self) -> None:
        """Send what is queued, for at most FLUSH_S, and end. What is left is lost, and told."""
        with self._changed:
            if self._ending:
                return
            self._ending = True
            self._ended.set()
            self._deadline = time.monotonic() + FLUSH_S
            self._changed.notify_all()
            if self._process == os.getpid():
                self._changed.wait_for(lambda: not self._spans and not self._in_flight, FLUSH_S)
            if self._spans:
                self._lose(len(self._spans), "the process ends and the ledger was not reached")
                self._spans.clear()
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
            raise NotAttachedError(
                f"the ledger at {self._client.url} did not take a span: {self._problem or 'no answer'}"
            )

    # ---- the thread that sends

    def _start(self) -> None:
        """Begin sending; also in a child process, which a fork leaves without the thread."""
        self._process, self._in_flight = os.getpid(), 0
        threading.Thread(target=self._send_all, name="agent-ledger-spans", daemon=True).start()

    def _send_all(self) -> None:
        # What sends spans makes none.
        otel_context.attach(otel_context.set_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY, True))  # noqa: SLF001 - as the SDK's own processors do
        wait_s = FIRST_WAIT_S
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._ending or self._urgent or len(self._spans) >= BATCH_SPANS, GATHER_S
                )
                batch = [self._spans[n] for n in range(min(BATCH_SPANS, len(self._spans)))]
                self._in_flight = len(batch)
                if not batch:
                    self._changed.notify_all()
                    if self._ending:
                        return
                    self._changed.wait_for(lambda: self._ending or self._spans or self._urgent)
                    continue
            if self._post(batch):
                wait_s = FIRST_WAIT_S
                continue
            if time.monotonic() > self._deadline:
                return
            if self._ended.wait(wait_s * random.uniform(0.5, 1)):  # noqa: S311 - jitter
                time.sleep(FIRST_WAIT_S)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _post(self, batch: list[ReadableSpan]) -> bool:
        """Whether the batch is off the queue: acknowledged, or refused for good."""
        refused, why = 0, ""
        try:
            answer = self._client.post_spans(encode_spans(batch).SerializeToString())
            success = ExportTraceServiceResponse.FromString(answer).partial_success
            refused, why = success.rejected_spans, success.error_message
        except UnreachableError as error:
            return self._away(str(error))
        except ProblemError as problem:
            if problem.status in _TRANSIENT:
                return self._away(problem.detail)
            refused, why = len(batch), problem.detail
        except Exception as error:  # noqa: BLE001 - a span that cannot be encoded must not stop those behind it
            refused, why = len(batch), repr(error)
        with self._changed:
            for _ in batch[: len(self._spans)]:  # none is left where the process gave up meanwhile
                self._spans.popleft()
            self._in_flight = 0
            if refused:
                self._lose(refused, why)
            self._changed.notify_all()
        return True

    def _away(self, why: str) -> bool:
        if why != self._problem:
            _log.warning("spans wait for the ledger: %s", why)
        self._problem = why
        return False

    def _lose(self, spans: int, why: str) -> None:
        self.lost += spans
        self._problem = why
        _log.error("%d spans are not in the ledger: %s (%d so far)", spans, why, self.lost)
