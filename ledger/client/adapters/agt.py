"""Microsoft's Agent Governance Toolkit (agent-governance-toolkit-core 5.0): a governance event sink.

    sink = LedgerSink()  # AGENT_LEDGER_URL, AGENT_LEDGER_TOKEN
    processor.add_sink(sink)

The ledger reads the events itself (`POST /v1/ingest/agt`). AGT's processor queues 1,024 events and drops the oldest when sinks are slow,
and passes over a sink that failed: so this one answers SUCCESS as soon as it holds the events, keeps them until the ledger has them, and says
how many it could not keep. Nothing here can hold a tool back; AGT's own policies do.
"""

import json
import logging
from collections.abc import Sequence
from typing import Final

from agent_os.event_sink import GovernanceEvent, SinkExportResult

from ledger.client.adapters.backlog import Backlog, Refused, client_of

PATH: Final = "/v1/ingest/agt"
NDJSON: Final = "application/x-ndjson"
QUEUE_EVENTS: Final = 65_536
BATCH_EVENTS: Final = 500
GATHER_S: Final = 0.05
PROBLEM_CHARACTERS: Final = 500
_log = logging.getLogger(__name__)


class LedgerSink:
    """Keeps governance events until the ledger has acknowledged them."""

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        """A sink; nothing is sent yet.

        Args:
            url: the ledger's address; $AGENT_LEDGER_URL when None.
            token: a writer's token; $AGENT_LEDGER_TOKEN when None.

        Raises:
            ValueError: the url is none.
        """
        self._client = client_of(url, token)
        self._backlog = Backlog(
            self._post,
            what="governance events",
            limit=QUEUE_EVENTS,
            batch=BATCH_EVENTS,
            gather_s=GATHER_S,
            log=_log,
        )

    @property
    def lost(self) -> int:
        """Events that did not get into the log; each time it grows, an ERROR says why."""
        return self._backlog.lost

    def emit(self, events: Sequence[GovernanceEvent]) -> SinkExportResult:
        """Take events. DROPPED where the sink was shut down or is full."""
        try:
            lines = [json.dumps(event.to_dict(), default=str).encode() for event in events]
        except (TypeError, ValueError) as error:
            self._backlog.lose(len(events), f"they are no JSON: {error}")
            return SinkExportResult.DROPPED
        taken = self._backlog.add(lines)
        return SinkExportResult.SUCCESS if taken == len(lines) else SinkExportResult.DROPPED

    def force_flush(self, timeout_ms: int = 30_000) -> bool:
        """Wait until the ledger has everything. False when that took too long."""
        return self._backlog.flush(timeout_ms / 1_000)

    def shutdown(self, timeout_ms: int = 5_000) -> bool:
        """Send what is held and end. False where something was lost."""
        self._backlog.close(timeout_ms / 1_000)
        self._client.close()
        return self.lost == 0

    def _post(self, lines: list[bytes]) -> Refused:
        answer = self._client.post_events(PATH, b"\n".join(lines), NDJSON)
        return Refused(
            int(answer.get("refused", 0)), json.dumps(answer.get("problems", answer))[:PROBLEM_CHARACTERS]
        )
