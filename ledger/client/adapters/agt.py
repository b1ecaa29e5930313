"""Microsoft's Agent Governance Toolkit (agent-governance-toolkit-core 5.0): a governance event sink.

    sink = LedgerSink()  # AGENT_LEDGER_URL, AGENT_LEDGER_TOKEN
    processor.add_sink(sink)

The ledger reads the events itself (`POST /v1/ingest/agt`). AGT's processor queues 1,024 events and drops the oldest when sinks are slow,
and passes over a sink that failed: so this one answers SUCCESS as soon as it holds the events, keeps them until the ledger has them, and says
how many it could not keep. Nothing here can hold a tool back; AGT's own policies do.
"""

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from agent_os.event_sink import GovernanceEvent, SinkExportResult

from ledger.client.http import LedgerClient, ProblemError, UnreachableError
from ledger.client.ledger import DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE

PATH: Final = "/v1/ingest/agt"
NDJSON: Final = "application/x-ndjson"
QUEUE_EVENTS: Final = 65_536
BATCH_EVENTS: Final = 500
LONGEST_WAIT_S: Final = 30.0
_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
_log = logging.getLogger(__name__)


class LedgerSink:
    """Keeps governance events until the ledger has acknowledged them.

    Attributes:
        lost: events that did not get into the log; each time it grows, an ERROR says why.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        """A sink; nothing is sent yet.

        Args:
            url: the ledger's address; $AGENT_LEDGER_URL when None.
            token: a writer's token; $AGENT_LEDGER_TOKEN when None.

        Raises:
            ValueError: the url is none.
        """
        self._client = LedgerClient(
            url or os.environ.get(URL_VARIABLE) or DEFAULT_URL,
            token or (os.environ.get(TOKEN_VARIABLE) or "").strip() or None,
        )
        self.lost = 0
        self._events: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._thread: threading.Thread | None = None

    def emit(self, events: Sequence[GovernanceEvent]) -> SinkExportResult:
        """Take events. DROPPED where the sink was shut down or is full."""
        try:
            lines = [json.dumps(event.to_dict(), default=str).encode() for event in events]
        except (TypeError, ValueError) as error:
            with self._changed:
                self._lose(len(events), f"they are no JSON: {error}")
            return SinkExportResult.DROPPED
        with self._changed:
            room = 0 if self._ending else max(QUEUE_EVENTS - len(self._events), 0)
            self._events.extend(lines[:room])
            if len(lines) > room:
                self._lose(
                    len(lines) - room, "the sink was shut down" if self._ending else "the queue is full"
                )
            if self._thread is None and room:
                self._thread = threading.Thread(target=self._send_all, name="agent-ledger-agt", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return SinkExportResult.SUCCESS if len(lines) <= room else SinkExportResult.DROPPED

    def force_flush(self, timeout_ms: int = 30_000) -> bool:
        """Wait until the ledger has everything. False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._events, timeout_ms / 1_000)

    def shutdown(self, timeout_ms: int = 5_000) -> bool:
        """Send what is held and end. False where something was lost."""
        self.force_flush(timeout_ms)
        with self._changed:
            if self._events:
                self._lose(len(self._events), "the process ends and the ledger was not reached")
                self._events.clear()
            self._ending = True
            self._changed.notify_all()
        self._client.close()
        return self.lost == 0

    def _send_all(self) -> None:
        wait_s = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending or self._events)
                if self._ending:
                    return
                batch = [self._events[n] for n in range(min(BATCH_EVENTS, len(self._events)))]
            wait_s = 0.0 if self._post(batch) else min(max(wait_s * 2, 0.25), LONGEST_WAIT_S)
            time.sleep(wait_s)

    def _post(self, batch: list[bytes]) -> bool:
        refused, why = 0, ""
        try:
            answer = self._client.post_events(PATH, b"\n".join(batch), NDJSON)
            refused = int(answer.get("refused", 0))
            why = json.dumps(answer.get("problems", answer))[:500]
        except UnreachableError as error:
            _log.warning("events wait for the ledger: %s", error)
            return False
        except ProblemError as problem:
            if problem.status in _TRANSIENT:
                _log.warning("events wait for the ledger: %s", problem.detail)
                return False
            refused, why = len(batch), problem.detail
        with self._changed:
            for _ in batch[: len(self._events)]:
                self._events.popleft()
            if refused:
                self._lose(refused, why)
            self._changed.notify_all()
        return True

    def _lose(self, events: int, why: str) -> None:
        self.lost += events
        _log.error("%d governance events are not in the ledger: %s (%d so far)", events, why, self.lost)
