"""CrewAI: the user's words are a task's description, and only there."""

from typing import Any, Final

from ledger.ingest.draft import Draft
from ledger.ingest.otlp.embedded import structure
from ledger.ingest.otlp.sheet import Sheet

_SCOPE: Final = "openinference.instrumentation.crewai"


def task_of(sheet: Sheet) -> str | None:
    """The task's description: of the task's own span (Traceloop), of the run's result or of a crew with a single task (OpenInference)."""
    if "crewai.task.description" in sheet.bag.left:
        return _text(sheet.bag.left, "crewai.task.description")
    if sheet.span.scope != _SCOPE:
        return None
    tasks = structure(sheet.bag.left.get("crew_tasks"))
    if isinstance(tasks, list) and len(tasks) == 1:
        return _text(tasks[0], "description")
    return (
        _text(structure(sheet.bag.left.get("output.value")), "description") if sheet.kind == "agent" else None
    )


def agent_of(sheet: Sheet, draft: Draft) -> None:
    """Put in the agent's id and role."""
    if sheet.span.scope != _SCOPE:
        return
    given = structure(sheet.bag.left.get("input.value"))
    described = given.get("agent") if isinstance(given, dict) else None
    draft.put("identity.agent_id", _text(described, "id"))
    draft.put("identity.agent_name", _text(described, "role"))


def _text(value: Any, name: str) -> str | None:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) and found else None
