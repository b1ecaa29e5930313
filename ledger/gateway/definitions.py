"""What each tool was said to be, when it was listed: its digest goes onto every call, and a change is recorded.

A tool whose description changes after it was approved is a rug pull: the model is told something else under the same name. So digests
outlive the gateway, in one small file per server.
"""

import fcntl
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.gateway.jcs import canonical

MAX_TOOLS: Final = 10_000
MAX_NAME_CHARACTERS: Final = 1_024
MAX_STATE_BYTES: Final = 16 * 1024 * 1024
VERSION: Final = 1

log = logging.getLogger(__name__)


class Change(NamedTuple):
    """A tool seen for the first time, or with another definition than before.

    Attributes:
        name: the tool's name.
        digest: SHA-256 (hex, after "sha256:") of its definition in RFC 8785 form.
        before: the digest it had, None the first time.
        definition: as the server sent it.
    """

    name: str
    digest: str
    before: str | None
    definition: Mapping[str, Any]


class Definitions:
    """The digests of one server's tools."""

    def __init__(self, state: Path | None) -> None:
        """Those that were seen before, where `state` is a file; a file that cannot be read counts as none, never as an error."""
        self._state = state
        self._doubted = False
        self._known: dict[str, str] = _read(state)

    def digest(self, tool: str) -> str | None:
        """What the tool was last listed as; None when that is not known."""
        return None if self._doubted else self._known.get(tool)

    def doubt(self) -> None:
        """A list was passed on that parsers read differently: until the next one nobody knows what the client was told."""
        self._doubted = True

    def see(self, tools: object) -> list[Change]:
        """Take in a page of `tools/list`; returns what is new or changed."""
        self._doubted = False
        changes = []
        for definition in tools if isinstance(tools, Sequence) else ():
            change = self._see(definition)
            if change is not None:
                changes.append(change)
        return changes

    def keep(self, changes: Sequence[Change]) -> None:
        """Remember changes for the next start, once they are recorded: a crash before it has them recorded twice, not never."""
        if changes and self._state is not None:
            try:
                _merge(self._state, {change.name: change.digest for change in changes})
            except OSError as error:
                log.warning(
                    "%s: %s; its tools will count as new at the next start", self._state, error.strerror
                )

    def forget(self, changes: Sequence[Change]) -> None:
        """Take changes back that were not recorded: the next list brings them again."""
        for change in changes:
            if change.before is None:
                self._known.pop(change.name, None)
            else:
                self._known[change.name] = change.before

    def _see(self, definition: object) -> Change | None:
        if not isinstance(definition, dict):
            return None
        name = definition.get("name")
        if not isinstance(name, str) or not name or len(name) > MAX_NAME_CHARACTERS:
            return None
        before = self._known.get(name)
        if before is None and len(self._known) >= MAX_TOOLS:
            return None
        found = digest_of(definition)
        if found == before:
            return None
        self._known[name] = found
        return Change(name, found, before, definition)


def digest_of(definition: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical definition (RFC 8785), `_meta` apart: it is about the message."""
    named = {key: value for key, value in definition.items() if key != "_meta"}
    try:
        form = canonical(named)
    except ValueError:  # a number beyond a double has no such form: whoever writes one does not escape for it
        form = json.dumps(named, sort_keys=True).encode()
    return "sha256:" + hashlib.sha256(form).hexdigest()


def _read(state: Path | None) -> dict[str, str]:
    if state is None:
        return {}
    try:
        with state.open("rb") as file:
            found = json.loads(file.read(MAX_STATE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    tools = found.get("tools") if isinstance(found, dict) and found.get("version") == VERSION else None
    if not isinstance(tools, dict):
        return {}
    return {name: value for name, value in list(tools.items())[:MAX_TOOLS] if isinstance(value, str)}


def _merge(state: Path, news: Mapping[str, str]) -> None:
    """Write what is new over what is there by now: each client of one server may have a gateway of its own."""
    state.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(state):
        known = {**_read(state), **news}
        with tempfile.NamedTemporaryFile("w", dir=state.parent, prefix=state.name, delete=False) as file:
            json.dump({"version": VERSION, "tools": known}, file)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(state)


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    with Path(f"{state}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
