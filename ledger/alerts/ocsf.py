"""An alert as an OCSF event: API Activity (class 6003) of OCSF 1.8.0, with the profile `ai_operation`.

What 1.8.0 has no place for stands in `unmapped`: which agent, what the rule found, and how the record is proven. The profile `record_integrity`, which is in
OCSF's next version, attests the event itself; this event is made anew at each delivery, and what is proven is the ledger's entry: so the name is
used, in `unmapped`, with what a verifier of this log needs.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ledger import __version__

VERSION: Final = "1.8.0"
CATEGORY: Final = 6  # Application Activity
CLASS: Final = 6003  # API Activity
OTHER: Final = 99
ACTIVITIES: Final = {
    "create": (1, "Create"),
    "read": (2, "Read"),
    "update": (3, "Update"),
    "delete": (4, "Delete"),
}
SEVERITIES: Final = {
    "informational": (1, "Informational"),
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
STATUSES: Final = {
    "success": (1, "Success"),
    "failure": (2, "Failure"),
    "denied": (2, "Failure"),
    "timeout": (2, "Failure"),
    "unknown": (0, "Unknown"),
}


def event(body: Mapping[str, Any]) -> dict[str, Any]:
    """The event of an alert (`ledger.alerts.alert.describe`)."""
    facts: Mapping[str, Any] = body.get("facts", {})
    effect = facts.get("tool.effect")
    activity, activity_name = ACTIVITIES.get(str(effect), (OTHER if effect else 0, str(effect or "Unknown")))
    severity_id, severity = SEVERITIES[body["severity"]]
    agent = facts.get("identity.agent_id") or facts.get("identity.agent_name")
    who = str(agent or body.get("submitter", "unknown"))
    made: dict[str, Any] = {
        "metadata": _metadata(body, facts),
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": CLASS * 100 + activity,
        "type_name": f"API Activity: {'Other' if activity == OTHER else activity_name}",
        "time": _ms(body.get("recorded_at", body["raised_at"])),
        "severity_id": severity_id,
        "severity": severity,
        "message": f"{body['rule']}: {body['kind']} at entry {body['seq']}",
        "actor": {"app_name": who, "app_uid": str(body.get("submitter", "unknown"))},
        "api": _api(facts),
        "src_endpoint": {"svc_name": who},
        "unmapped": _unmapped(body, facts),
    }
    return made | _status(facts) | _touched(facts) | _model(facts)


def _metadata(body: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    made = {
        "version": VERSION,
        "profiles": ["ai_operation"],
        "product": {"name": "Agent Ledger", "vendor_name": "Agent Ledger", "version": __version__},
        "uid": body["id"],
        "event_code": body["rule"],
        "log_name": body["log"],
        "sequence": body["seq"],
        "logged_time": _ms(body["raised_at"]),
    }
    joined = facts.get("action_id") or facts.get("trace.trace_id")
    if "time" in facts:
        made["original_time"] = facts["time"]
    return made | ({"correlation_uid": joined} if joined else {})


def _api(facts: Mapping[str, Any]) -> dict[str, Any]:
    operation = facts.get("tool.operation") or facts.get("tool.name") or facts.get("type") or "unknown"
    server = facts.get("tool.server")
    return {"operation": str(operation)} | ({"service": {"name": str(server)}} if server else {})


def _status(facts: Mapping[str, Any]) -> dict[str, Any]:
    said = facts.get("outcome.status")
    if said is None:
        return {}
    status_id, status = STATUSES.get(str(said), (OTHER, str(said)))
    return {"status_id": status_id, "status": status, "status_detail": str(said)}


def _touched(facts: Mapping[str, Any]) -> dict[str, Any]:
    named = {
        ours: str(facts[path])
        for ours, path in (("type", "resource.type"), ("uid", "resource.id"))
        if facts.get(path) is not None
    }
    destination = facts.get("resource.destination")
    return ({"resources": [named]} if "uid" in named else {}) | (  # OCSF has none without a name or an id
        {"dst_endpoint": {"name": str(destination)}} if destination else {}
    )


def _model(facts: Mapping[str, Any]) -> dict[str, Any]:
    provider, model = facts.get("decision.provider"), facts.get("decision.request_model")
    return {"ai_model": {"ai_provider": str(provider), "name": str(model)}} if provider and model else {}


def _unmapped(body: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    agent = {
        ours: facts[path]
        for ours, path in (("uid", "identity.agent_id"), ("name", "identity.agent_name"))
        if path in facts
    }
    integrity = {
        "log": body["log"],
        "entry": body["seq"],
        "leaf_hash": body["leaf_hash"],
        "leaf_hash_algorithm": "RFC 6962 SHA-256",
        "alert_entry": body["recorded_in"],
    }
    alert = {name: body[name] for name in ("id", "rule", "kind", "because")}
    kept = {name: body[name] for name in ("record_id", "contents", "retired") if name in body}
    return {"record_integrity": integrity, "alert": alert | kept, "facts": dict(facts)} | (
        {"ai_agent": agent} if agent else {}
    )


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
