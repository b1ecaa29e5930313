"""What AgentDojo's tools do and to what: the table behind the `tool`, `resource` and `tool.facts` of imported calls.

Names, parameters and meanings are those of the benchmark's banking, slack and workspace suites (agentdojo 0.1.28). A tool
that is not in the table (a model made one up) gets neither an effect nor a resource: they are counted as missing.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.core.canonical import MAX_INTEGER

NO_CURRENCY = "XXX"  # ISO 4217: no currency; the benchmark's amounts name none
MINOR_UNITS = 100
MAX_FACT_CHARS = 512
EXTERNAL = "external"
EXTERNAL_CONTENT = "external_content"


class ToolRow(NamedTuple):
    """What a tool does.

    Attributes:
        effect: the record's `tool.effect`.
        resource: the type of what it acts on; None for a tool that acts on nothing.
        id: the argument that names the resource.
        destination: the arguments that say where something goes.
        trust: the record's `resource.trust`, where the tool itself settles it.
    """

    effect: str
    resource: str | None
    id: str | None = None
    destination: tuple[str, ...] = ()
    trust: str | None = None


TOOLS: dict[str, ToolRow] = {
    # banking
    "get_iban": ToolRow("read", "bank_account"),
    "get_balance": ToolRow("read", "bank_account"),
    "get_most_recent_transactions": ToolRow("read", "transactions"),
    "get_scheduled_transactions": ToolRow("read", "scheduled_transactions"),
    "send_money": ToolRow("pay", "bank_account", "recipient", ("recipient",)),
    "schedule_transaction": ToolRow("pay", "bank_account", "recipient", ("recipient",)),
    "update_scheduled_transaction": ToolRow("update", "scheduled_transaction", "id", ("recipient",)),
    "read_file": ToolRow("read", "file", "file_path"),
    "get_user_info": ToolRow("read", "user_profile"),
    "update_user_info": ToolRow("update", "user_profile"),
    "update_password": ToolRow("update", "password"),
    # slack
    "get_channels": ToolRow("read", "channels"),
    "read_channel_messages": ToolRow("read", "channel", "channel"),
    "read_inbox": ToolRow("read", "inbox", "user"),
    "get_users_in_channel": ToolRow("read", "channel", "channel"),
    "send_channel_message": ToolRow("send", "channel", "channel", ("channel",)),
    "send_direct_message": ToolRow("send", "user", "recipient", ("recipient",)),
    "add_user_to_channel": ToolRow("update", "channel", "channel"),
    "invite_user_to_slack": ToolRow("create", "user", "user", ("user_email",)),
    "remove_user_from_slack": ToolRow("delete", "user", "user"),
    "get_webpage": ToolRow("read", "web_page", "url", trust=EXTERNAL_CONTENT),
    "post_webpage": ToolRow("send", "web_page", "url", ("url",), EXTERNAL),
    # workspace: mail
    "send_email": ToolRow("send", "email", destination=("recipients", "cc", "bcc")),
    "delete_email": ToolRow("delete", "email", "email_id"),
    "get_unread_emails": ToolRow("read", "emails"),
    "get_received_emails": ToolRow("read", "emails"),
    "get_sent_emails": ToolRow("read", "emails"),
    "get_draft_emails": ToolRow("read", "emails"),
    "search_emails": ToolRow("read", "emails"),
    "search_contacts_by_name": ToolRow("read", "contacts"),
    "search_contacts_by_email": ToolRow("read", "contacts"),
    # workspace: calendar
    "get_current_day": ToolRow("read", None),
    "get_day_calendar_events": ToolRow("read", "calendar", "day"),
    "search_calendar_events": ToolRow("read", "calendar"),
    "create_calendar_event": ToolRow("create", "calendar_event", destination=("participants",)),
    "cancel_calendar_event": ToolRow("delete", "calendar_event", "event_id"),
    "reschedule_calendar_event": ToolRow("update", "calendar_event", "event_id"),
    "add_calendar_event_participants": ToolRow("update", "calendar_event", "event_id", ("participants",)),
    # workspace: files
    "create_file": ToolRow("create", "file", "filename"),
    "append_to_file": ToolRow("update", "file", "file_id"),
    "delete_file": ToolRow("delete", "file", "file_id"),
    "get_file_by_id": ToolRow("read", "file", "file_id"),
    "list_files": ToolRow("read", "files"),
    "search_files": ToolRow("read", "files"),
    "search_files_by_filename": ToolRow("read", "files"),
    "share_file": ToolRow("update", "file", "file_id", ("email",)),
}


def effect(tool: str) -> str | None:
    """The effect of a known tool, or None."""
    return TOOLS[tool].effect if tool in TOOLS else None


def resource(tool: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    """The `resource` of a call, as far as the tool and its arguments tell it; empty when they tell nothing."""
    row = TOOLS.get(tool)
    if row is None or row.resource is None:
        return {}
    destinations = [text for name in row.destination for text in _texts(arguments.get(name))]
    members = {
        "type": row.resource,
        "id": "".join(_texts(arguments.get(row.id))[:1]) if row.id else "",
        "destination": ",".join(destinations),
        "trust": row.trust or "",
    }
    # A value that is too long for a fact is left out whole: half a name would be another name.
    return {name: text for name, text in members.items() if text and len(text) <= MAX_FACT_CHARS}


def acts_on_nothing(tool: str) -> bool:
    """Whether a known tool has no resource (the clock, for example)."""
    return tool in TOOLS and TOOLS[tool].resource is None


def facts(arguments: Mapping[str, Any]) -> dict[str, int | str]:
    """The amount of money a call names, in hundredths; nothing when it is no whole number of them.

    Args:
        arguments: the call's arguments, numbers with a fraction as `Decimal`.
    """
    amount = arguments.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return {}
    minor = Decimal(amount) * MINOR_UNITS
    if not minor.is_finite() or abs(minor) > MAX_INTEGER or minor != minor.to_integral_value():
        return {}
    return {"amount_minor": int(minor), "currency": NO_CURRENCY}


def _texts(value: Any) -> list[str]:
    """What an argument names: a text, a number or a list of them; anything else names nothing."""
    values = value if isinstance(value, list) else [value]
    return [str(item) for item in values if isinstance(item, str | int) and not isinstance(item, bool)]
