"""Tells the ledger what the agent does: plain JSON over HTTP, as any agent can without a library.

Each call is three records: the intent before anything happens, the policy's decision, the outcome. `post` returns when the
ledger has the record on disk and signed, so that no tool runs whose intent is not on record.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from demo import model
from demo.policy import VERSION, Verdict

AGENT = {"agent_id": "invoice-agent", "agent_name": "Invoice agent", "agent_version": "1.4.0"}
MIN_FLOW_CHARS = 8

# What each tool does, and the argument that names what it does it to.
EFFECTS: Mapping[str, tuple[str, Mapping[str, str], str | None]] = {
    "list_documents": ("read", {"type": "folder", "id": "inbox"}, None),
    "read_document": ("read", {"type": "document", "trust": "external_content"}, "name"),
    "get_balance": ("read", {"type": "bank_account"}, "account"),
    "send_payment": ("pay", {"type": "bank_account"}, "iban"),
    "send_email": ("send", {"type": "email_address"}, "to"),
}


@dataclass
class Recorder:
    """The ledger's view of one conversation.

    Attributes:
        ledger: where records are posted; carries the agent's own token.
        user: whom the agent works for.
        task: the user's words.
        tools: the tools offered to the model, by name: their definitions as the server gave them.
        posted: what was recorded, in order.
        checkpoint: the log's signed head as the agent saw it last: what it can hold against the log later.
    """

    ledger: httpx.AsyncClient
    user: str
    task: str
    tools: Mapping[str, Mapping[str, Any]]
    conversation: str = field(default_factory=lambda: f"conv-{secrets.token_hex(6)}")
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    posted: list[dict[str, Any]] = field(default_factory=list)
    checkpoint: str = ""
    _results: dict[str, str] = field(default_factory=dict)

    async def post(self, record: dict[str, Any]) -> None:
        """Have a record made durable. The source's counter shows if one never arrives."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        source = {"id": f"invoice-agent/{self.conversation}", "seq": len(self.posted)}
        complete = {"id": f"demo-{secrets.token_hex(8)}", "time": now, "source": source, **record}
        answer = await self.ledger.post("/v1/records", json=complete)
        if not answer.is_success:
            raise RuntimeError(f"the ledger refused a record: {answer.text}")
        self.posted.append(complete)

    async def keep_checkpoint(self) -> None:
        """Take the log's signed head along: a writer may, and needs nothing else to prove what it recorded."""
        answer = await self.ledger.get("/checkpoint")
        answer.raise_for_status()
        self.checkpoint = answer.text

    def denied(self) -> dict[str, Any]:
        """The first intent that policy denied, as it was recorded."""
        action_id = next(
            record["action_id"] for record in self.posted if record.get("policy", {}).get("effect") == "deny"
        )
        return next(record for record in self.posted if record.get("action_id") == action_id)

    async def request(self) -> None:
        """Record what the user asked for, before any of it is done."""
        await self.post({"type": "request", "request": self._request(), "identity": self._identity()})

    async def intent(self, reply: model.Reply) -> str:
        """Record what the model wants to do. Returns the action's id, which joins its three records."""
        name = reply.tool or ""
        action_id = f"act-{secrets.token_hex(8)}"
        effect, resource, named_by = EFFECTS[name]
        record = {
            "type": "action.intent",
            "action_id": action_id,
            "request": self._request(),
            "decision": {"provider": "demo", "request_model": model.NAME, "output": reply.text},
            "tool": self._tool(name, effect, reply.arguments),
            "identity": self._identity(),
            "resource": _resource(resource, reply.arguments, named_by, effect),
            "trace": self._trace(reply.arguments),
        }
        await self.post(record)
        return action_id

    async def decision(self, action_id: str, verdict: Verdict, arguments: Mapping[str, str]) -> None:
        """Record what the policy said."""
        policy: dict[str, Any] = {
            "effect": verdict.effect,
            "engine": "demo-policy",
            "id": "office",
            "version": VERSION,
        }
        policy |= {"rule": verdict.rule, "mode": verdict.mode, "input": dict(arguments)}
        if verdict.reason:
            policy["reason"] = verdict.reason
        await self.post({"type": "action.decision", "action_id": action_id, "policy": policy})

    async def outcome(self, action_id: str, status: str, result: str | None, duration_ns: int) -> None:
        """Record what came of it."""
        outcome: dict[str, Any] = {"status": status, "duration_ns": duration_ns}
        if result is not None:
            outcome["result"] = result
            self._results[action_id] = result
        if status == "failure":
            outcome["error_type"] = "tool_error"
        await self.post({"type": "action.outcome", "action_id": action_id, "outcome": outcome})

    def _request(self) -> dict[str, Any]:
        who = {"user": self.user, "origin": "human", "channel": "chat"}
        return {**who, "conversation_id": self.conversation, "text": self.task}

    def _identity(self) -> dict[str, Any]:
        return {**AGENT, "principal": self.user, "scopes": ["documents:read", "payments:write", "mail:send"]}

    def _tool(self, name: str, effect: str, arguments: Mapping[str, str]) -> dict[str, Any]:
        definition = json.dumps(self.tools[name], sort_keys=True).encode()
        tool: dict[str, Any] = {"name": name, "type": "function", "effect": effect, "protocol": "mcp"}
        tool |= {"server": "office", "call_id": f"call_{secrets.token_hex(6)}", "arguments": dict(arguments)}
        tool["definition_digest"] = f"sha256:{hashlib.sha256(definition).hexdigest()}"
        if "amount_eur" in arguments:
            minor = arguments["amount_eur"].replace(".", "")
            tool["facts"] = {"amount_minor": int(minor), "currency": "EUR"}
        return tool

    def _trace(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Where the call stands, and the actions whose results reappear word for word in its arguments."""
        long = [value for value in arguments.values() if len(value) >= MIN_FLOW_CHARS]
        flowed = [
            action for action, result in self._results.items() if any(value in result for value in long)
        ]
        trace: dict[str, Any] = {"trace_id": self.trace_id, "span_id": secrets.token_hex(8)}
        return trace | ({"derived_from": flowed} if flowed else {})


def _resource(
    kind: Mapping[str, str], arguments: Mapping[str, str], named_by: str | None, effect: str
) -> dict[str, str]:
    resource = dict(kind)
    if named_by:
        resource["id"] = arguments[named_by]
        if effect in {"pay", "send"}:
            resource["destination"] = arguments[named_by]
    return resource
