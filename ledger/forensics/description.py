"""What queries see, described: tables, columns, what they mean, and whose term each follows. For `GET /v1/schema`, the command line, the docs.

The columns of `records` come from the model (ledger/records/model.py), those of the views from the headers of their files (schemas/views).
"""

from functools import cache
from typing import Any, Final, NamedTuple

from ledger.forensics.views import Described, View, load_views
from ledger.records.columns import COMMITMENT, column_name
from ledger.records.members import MEMBERS, Member

_TIME: Final = "TIMESTAMP WITH TIME ZONE"
_FACETS: Final = ("request", "decision", "tool", "identity", "resource")
_RULES: Final = (
    f"STRUCT({', '.join(f'{facet} VARCHAR' for facet in (*_FACETS, 'policy', 'approval', 'outcome'))})"
)
_PLACE: Final = (
    Described("seq", "UBIGINT", "fact", "The entry's place in the log, from 0", "RFC 6962 leaf index"),
    Described("leaf_hash", "VARCHAR", "fact", "Its leaf hash in the Merkle tree, hex", "RFC 6962 leaf hash"),
    Described("recorded_at", _TIME, "fact", "When the ledger took it: never decreases with seq", "OCSF metadata.logged_time"),
    Described("submitter", "VARCHAR", "fact", "The credential that wrote it, as the ledger knows it", "OCSF metadata.logged_by"),
)  # fmt: skip
_MISSING: Final = Described(
    "facets_missing", "VARCHAR[]", "fact",
    "Which of request, decision, tool, identity, resource nothing tells, and no `absent` explains; empty for what is no action", "",
    _FACETS,
)  # fmt: skip
_JOINED: Final = (
    Described("first_seq", "UBIGINT", "fact", "The first of the action's own records, by their time", ""),
    Described("last_seq", "UBIGINT", "fact", "The last of them", ""),
    Described("stages", "VARCHAR[]", "fact", "The types of its own records, in order", "Kubernetes audit stage"),
    Described("submitters", "VARCHAR[]", "fact", "Who wrote them; more than one only by the rule both_sides", ""),
    Described("conflicts", "VARCHAR[]", "fact", "Members on which its own records disagree", ""),
    Described("joined_by", _RULES, "fact", "For each facet the rule that brought it here (docs/queries.md); NULL where it is missing", ""),
    Described("execution", "VARCHAR", "fact", "Whether an outcome was seen. not_observed is no denial", "", ("observed", "not_observed")),
    Described("session_id", "VARCHAR", "fact", "With `submitter` its row in `sessions`: the conversation, else the only one of its trace, else the trace", "OTel gen_ai.conversation.id"),
)  # fmt: skip


class Table(NamedTuple):
    """What queries see under one name: what a row is, and its columns in order."""

    name: str
    answers: str
    columns: tuple[Described, ...]

    def describe(self) -> dict[str, Any]:
        """As `GET /v1/schema` shows it."""
        columns = [{**column._asdict(), "values": list(column.values)} for column in self.columns]
        return {"name": self.name, "answers": self.answers, "columns": columns}


@cache
def tables() -> dict[str, Table]:
    """Every table that queries see, by name: `records`, `actions`, then the views.

    Raises:
        LedgerError: `invalid-query-file`: the file of a view is malformed.
    """
    committed = [member for member in MEMBERS if member.kind != "fact"]
    of_a_record = (*map(_of_member, MEMBERS), *map(_commitment, committed))
    told = [
        Table("records", "One row per entry of the log.", (*_PLACE, *of_a_record, _MISSING)),
        Table(
            "actions",
            "One row per action, filled from every record that is about it: its stages, its spans, both its sides.",
            (*_PLACE, *of_a_record, _MISSING, *_JOINED),
        ),
    ]
    return {table.name: table for table in (*told, *map(_of_view, load_views().values()))}


def _of_view(view: View) -> Table:
    return Table(view.name, view.answers, view.columns)


def _of_member(member: Member) -> Described:
    return Described(
        column_name(member.path), _type(member), member.kind, member.description, member.term, member.values
    )


def _type(member: Member) -> str:
    if member.kind != "fact":
        return "VARCHAR"
    if member.path == "time":
        return _TIME
    return {"text": "VARCHAR", "integer": "BIGINT"}.get(member.type, "JSON")


def _commitment(member: Member) -> Described:
    return Described(
        column_name(member.path) + COMMITMENT,
        "VARCHAR",
        "commitment",
        f"The commitment of {member.path}, hex: it stays when the value is erased, withheld or not to be seen",
        "",
    )
