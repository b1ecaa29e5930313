"""What the two MCP server adapters share: a request of a client, as an action of whoever's token it came with.

Source: https://modelcontextprotocol.io/specification/2026-07-28. A server sees who calls and what is done; the model that decided and
the words it was asked for stay with the client, which may tell its trace in `params._meta`.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from ledger.client.action import Action
from ledger.client.context import current
from ledger.client.ledger import Ledger
from ledger.client.members import Facet

RECORDED: Final = ("tools/call", "resources/read", "prompts/get")
VERIFIED: Final = "sub of the bearer token, checked by the MCP server"
CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
POLICY: Final = {"engine": "mcp.middleware"}
_THUMBPRINT_DIGITS: Final = 32


def action(
    ledger: Ledger,
    server: str,
    method: str,
    params: Mapping[str, Any],
    *,
    token: Any,
    client: Mapping[str, Any],
) -> Action:
    """The action that a request asks for, not yet started.

    Args:
        ledger: where it is recorded.
        server: the server's name.
        method: one of RECORDED.
        params: the request's, as they came.
        token: the access token as the SDK's or FastMCP's authentication checked it, or None.
        client: the client's implementation info (`name`, `version`) where it is known.
    """
    info = meta_of(params).get(CLIENT_INFO) or client
    name, arguments = params.get("name"), params.get("arguments")
    tool: dict[str, Any] = {"name": name, "operation": method, "protocol": "mcp", "server": server}
    resource: dict[str, Any] | None = None
    if method == "resources/read":
        uri = str(params.get("uri", ""))
        tool |= {"name": "resources/read", "effect": "read", "arguments": {"uri": uri}}
        resource = {"type": "mcp.resource", "id": uri}
    elif arguments is not None:
        tool["arguments"] = arguments
    return ledger.action(
        {key: value for key, value in tool.items() if value is not None},
        resource=resource,
        identity={**_client(info), **_identity(token)},
        absent=None if current().decision else {"decision": "made by the MCP client's model"},
    )


def meta_of(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """A request's `_meta`, in which the client may tell its trace: `traceparent` and `baggage`, as HTTP headers do."""
    meta = params.get("_meta")
    return meta if isinstance(meta, Mapping) else {}


def _identity(token: Any) -> Facet:
    """Who the checked token is for. Of the token itself a thumbprint stays: enough to recognise it, nothing to replay."""
    if token is None:
        return {}
    claims = getattr(token, "claims", None) or {}
    digest = hashlib.sha256(str(token.token).encode()).hexdigest()[:_THUMBPRINT_DIGITS]
    credential = {"type": "bearer", "id": claims.get("jti"), "thumbprint": f"sha256:{digest}"}
    subject = getattr(token, "subject", None) or claims.get("sub")
    return {
        "principal": subject,
        "principal_source": VERIFIED if subject else None,
        "issuer": claims.get("iss"),
        "client_id": token.client_id,
        "scopes": list(token.scopes or ()) or None,
        "credential": {key: value for key, value in credential.items() if value},
    }


def _client(info: object) -> Facet:
    if not isinstance(info, Mapping):
        return {}
    return {"agent_name": info.get("name"), "agent_version": info.get("version")}
