"""Which entries somebody wants to hear of: a few members, each with the values that are wanted.

Several values of one name are alternatives; several names must all hold. A value that ends with `.*` stands for everything that begins
with what is before the star (`action.*`, `log.*`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.records.limits import MAX_FACT_CHARACTERS
from ledger.records.members import nearest

MAX_VALUES: Final = 20

SELECTABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "type": ("type",),
    "submitter": (),  # the entry's, not the record's
    "agent": ("identity.agent_id", "identity.agent_name"),
    "tool": ("tool.name",),
    "effect": ("tool.effect",),
    "resource": ("resource.id", "resource.destination"),
    "policy": ("policy.effect",),
    "outcome": ("outcome.status",),
    "conversation": ("request.conversation_id",),
}
"""What can be selected by: the name, and the members one of which must have the value."""


class Selection(NamedTuple):
    """What is wanted: for each name of `SELECTABLE` that matters, its values. Without any, everything is."""

    wanted: Mapping[str, tuple[str, ...]]

    def matches(self, submitter: str, record: Mapping[str, Any]) -> bool:
        """Whether an entry is wanted, by its submitter and its record's members."""
        return all(
            any(_is(value, values) for value in _values(name, submitter, record))
            for name, values in self.wanted.items()
        )


EVERYTHING: Final = Selection({})


def parse_selection(given: Mapping[str, Sequence[str]]) -> Selection:
    """Check what somebody wants.

    Raises:
        LedgerError: `invalid-parameter`, with the name as path.
    """
    for name, values in given.items():
        if name not in SELECTABLE:
            known = ", ".join(SELECTABLE)
            raise LedgerError(
                Code.INVALID_PARAMETER, f"{name!a} is nothing to select by; there are {known}", path=name
            )
        if not 1 <= len(values) <= MAX_VALUES or not all(
            0 < len(value) <= MAX_FACT_CHARACTERS for value in values
        ):
            raise LedgerError(
                Code.INVALID_PARAMETER,
                f"{name} has 1 to {MAX_VALUES} values, each of 1 to {MAX_FACT_CHARACTERS} characters",
                path=name,
            )
    return Selection({name: tuple(values) for name, values in given.items()})


def member(record: Mapping[str, Any], path: str) -> Any:
    """The value at a member's path (`tool.name`), None where there is none."""
    facet, _, name = path.partition(".")
    value = record.get(facet)
    if not name:
        return value
    return value.get(name) if isinstance(value, dict) else None


def suggestion(path: str) -> str:
    """What to say after the name of a member that does not exist."""
    near = nearest(path)
    return f"; is it {near}?" if near else ""


def _values(name: str, submitter: str, record: Mapping[str, Any]) -> list[Any]:
    paths = SELECTABLE[name]
    return [member(record, path) for path in paths] if paths else [submitter]


def _is(value: Any, wanted: Sequence[str]) -> bool:
    return isinstance(value, str) and any(
        value.startswith(each[:-1]) if each.endswith(".*") else value == each for each in wanted
    )
