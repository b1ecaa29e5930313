"""Every capture posted into a real ledger, as its exporter sent it, and what `actions` says then."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.captures.truth import Action
from tests.faults.server import Server

KEPT_HEADERS = ("content-type", "content-encoding")
COLUMNS = """
SELECT regexp_replace(tool_name, '^Files-', ''), request_text, decision_provider || '/' || coalesce(decision_response_model, decision_request_model),
    tool_arguments, coalesce(identity_agent_name, identity_agent_id), identity_principal, resource_id, policy_effect, outcome_status
FROM actions WHERE list_contains(submitters, $submitter) ORDER BY "time", first_seq
"""


class Ledger:
    """A running ledger with one sender per capture."""

    def __init__(self, server: Server, tokens: Mapping[str, str]) -> None:
        self._server = server
        self._tokens = tokens

    def post(self, capture: Path) -> None:
        """Each body as it was sent, in its order."""
        headers = {"Authorization": f"Bearer {self._tokens[capture.name]}"}
        with httpx.Client(base_url=self._server.url, headers=headers, timeout=30, trust_env=False) as client:
            for about in sorted(capture.glob("*.hdr.json")):
                sent = json.loads(about.read_bytes())
                [body] = (path for path in capture.glob(f"{about.name[:3]}.*") if path != about)
                kept = {
                    name: value for name, value in sent["headers"].items() if name.lower() in KEPT_HEADERS
                }
                answer = client.post(f"/v1/{sent['signal']}", content=body.read_bytes(), headers=kept)
                answer.raise_for_status()

    def actions(self, name: str) -> list[Action]:
        """The rows that a capture's sender is in."""
        return [_action(row) for row in self.ask(COLUMNS, submitter=f"token:{name}")]

    def ask(self, sql: str, **parameters: str) -> list[list[Any]]:
        """The rows of a query."""
        with self._server.client() as client:
            answer = client.post("/v1/query", json={"sql": sql, "parameters": parameters})
        answer.raise_for_status()
        rows: list[list[Any]] = answer.json()["rows"]
        return rows


def _action(row: list[str | None]) -> Action:
    """Contents come as JSON text."""
    tool, request, decision, arguments, *others = row
    return Action(tool, _parsed(request), decision, _parsed(arguments), *others)


def _parsed(content: str | None) -> object:
    return None if content is None else json.loads(content)


@contextmanager
def ledger_of(folder: Path, captures: list[Path]) -> Iterator[Ledger]:
    """A ledger in an empty folder, with all captures in it."""
    data = folder / "data"
    server = Server(data)
    try:
        tokens = {capture.name: server.grant(capture.name, "writer") for capture in captures}
        ledger = Ledger(server, tokens)
        for capture in captures:
            ledger.post(capture)
        yield ledger
    finally:
        server.stop()
