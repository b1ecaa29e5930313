"""What the server says, heard as it passes: what came of calls, what it calls itself, what it says its tools are."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ledger.client import ForkError, Ledger, LedgerAway
from ledger.client.http import ProblemError
from ledger.core.errors import LedgerError
from ledger.gateway import raw
from ledger.gateway.definitions import Change, Definitions
from ledger.gateway.message import Answer, answers
from ledger.gateway.session import Session, Waiting

SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
UNRECORDED: Final = (LedgerAway, ForkError, ProblemError, LedgerError, OSError)

log = logging.getLogger(__name__)


class Hearing:
    """Listens to one server, for all its clients."""

    def __init__(self, ledger: Ledger, definitions: Definitions, server: str | None) -> None:
        """Nothing was heard yet.

        Args:
            ledger: the SDK's recorder.
            definitions: what the server's tools were said to be.
            server: what it is called in records; what it calls itself when None.
        """
        self._ledger = ledger
        self._definitions = definitions
        self._server = server
        self._said: str | None = None
        self._recording: set[asyncio.Task[None]] = set()

    def name(self) -> str | None:
        """What the server is called."""
        return self._server or self._said

    def digest(self, tool: str) -> str | None:
        """What a tool was last listed as."""
        return self._definitions.digest(tool)

    def observe(self, data: bytes, session: Session) -> None:
        """Take in what a server sent, as it is passed to the client."""
        for answer in answers(data):
            waiting = session.settle(answer.id)
            if waiting is None:
                self._late(session.withdrawn(answer.id), answer)
            else:
                try:
                    self._settled(waiting, answer, session)
                except UNRECORDED as error:
                    log.error("what came of %s could not be recorded: %s", waiting.method, error)  # noqa: TRY400

    def _late(self, waiting: Waiting | None, answer: Answer) -> None:
        """An answer to a call that was cancelled: the tool ran, and a client may read it although it should not."""
        if waiting is not None and waiting.call is not None:
            said = raw.kept(msgspec.Raw(answer.data)) if answer.plain else raw.unreadable(answer.data)
            record = {
                "type": "mcp.late_answer",
                "action_id": waiting.call.action.id,
                "source": {"original": said},
            }
            self._ledger.record(record)

    def _settled(self, waiting: Waiting, answer: Answer, session: Session) -> None:
        if isinstance(answer.result, Mapping) and answer.plain:
            self._learn(waiting, answer.result, session)
        elif waiting.method == "tools/list" and not answer.plain:
            self._definitions.doubt()
            tool = {"operation": waiting.method, "protocol": "mcp", "server": self.name()}
            doubtful = {"original": raw.unreadable(answer.data)}
            self._ledger.record({"type": "mcp.ambiguous_answer", "tool": tool, "source": doubtful})
        if waiting.call is not None:
            waiting.call.answered(answer)

    def _learn(self, waiting: Waiting, result: Mapping[str, Any], session: Session) -> None:
        meta = result.get("_meta")
        info = meta.get(SERVER_INFO) if isinstance(meta, Mapping) else None  # 2026-07-28: on every result
        if waiting.method == "initialize":
            info = result.get("serverInfo")
            version = result.get("protocolVersion")
            session.version = version if isinstance(version, str) else session.version
        named = info.get("name") if isinstance(info, Mapping) else None
        self._said = named if isinstance(named, str) and named else self._said
        if waiting.method == "tools/list":
            changes = self._definitions.see(result.get("tools"))
            if changes:
                task = asyncio.create_task(self._record_changes(changes))
                self._recording.add(task)
                task.add_done_callback(self._recording.discard)

    async def _record_changes(self, changes: Sequence[Change]) -> None:
        """Record what tools are said to be; it is known from then on, and not before."""
        for done, change in enumerate(changes):
            try:
                await asyncio.to_thread(self._ledger.record, self._changed(change), wait=True)
            except UNRECORDED as error:
                log.error("what the tool %r is said to be could not be recorded: %s", change.name, error)  # noqa: TRY400
                self._definitions.forget(changes[done:])
                return
            self._definitions.keep([change])

    async def close(self) -> None:
        """Wait for what is being recorded."""
        if self._recording:
            await asyncio.wait(self._recording)

    def _changed(self, change: Change) -> dict[str, Any]:
        record: dict[str, Any] = {
            "type": "mcp.tool_definition" if change.before is None else "mcp.tool_definition_changed",
            "tool": {
                "name": change.name,
                "protocol": "mcp",
                "server": self.name(),
                "definition_digest": change.digest,
            },
            "source": {"original": change.definition},
        }
        if change.before is not None:
            record["ext"] = {"mcp.previous_digest": change.before}
            log.warning("the definition of the tool %r has changed", change.name)
        return record
