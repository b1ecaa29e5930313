"""Who calls, as far as a message and its HTTP request say. Nothing here is checked: that is the server's part, and each value says so.

A token itself never leaves this module: what is kept is a thumbprint (the first 128 bits of SHA-256, enough to recognise one, nothing to
replay) and claims that name, not prove.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from ledger.core.errors import FormatError
from ledger.records.strict import strict

BEARER: Final = re.compile(r"\s*bearer\s+(\S+)\s*", re.IGNORECASE)
TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
UNVERIFIED: Final = "sub of a bearer token, not verified by the gateway"
CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
MAX_TOKEN_CHARACTERS: Final = 16 * 1024
MIN_TOKEN_CHARACTERS: Final = 24
MAX_SCHEME_CHARACTERS: Final = 32
JWT_PARTS: Final = 3
THUMBPRINT_CHARACTERS: Final = 32

Facet = dict[str, Any]


def of_credential(authorization: str | None) -> Facet:
    """The identity that an `Authorization` header tells: thumbprint, and of a JWT (RFC 7519) its unverified claims."""
    if not authorization or len(authorization) > MAX_TOKEN_CHARACTERS:
        return {}
    match = BEARER.fullmatch(authorization)
    if match is None:
        return {"credential": {"type": authorization.split(maxsplit=1)[0].lower()[:MAX_SCHEME_CHARACTERS]}}
    token = match[1]
    claims = _claims(token)
    found: Facet = {"credential": {"type": "bearer"}}
    # The hash of a short token tells the token to whoever tries them all.
    if len(token) >= MIN_TOKEN_CHARACTERS:
        found["credential"]["thumbprint"] = thumbprint(token)
    if jti := _text(claims.get("jti")):
        found["credential"]["id"] = jti
    if subject := _text(claims.get("sub")):
        found |= {"principal": subject, "principal_source": UNVERIFIED}
    if issuer := _text(claims.get("iss")):
        found["issuer"] = issuer
    if client := _text(claims.get("client_id")) or _text(claims.get("azp")):
        found["client_id"] = client
    if scopes := _text(claims.get("scope")):
        found["scopes"] = scopes.split()
    return found


def of_client(info: object) -> Facet:
    """The agent that a `clientInfo` names: from `initialize`, or from `_meta` of a request (2026-07-28)."""
    if not isinstance(info, Mapping):
        return {}
    named = {"agent_name": _text(info.get("name")), "agent_version": _text(info.get("version"))}
    return {member: value for member, value in named.items() if value}


def of_trace(meta: Mapping[str, Any], header: str | None) -> Facet:
    """The span above, by W3C Trace Context: `_meta.traceparent`, or the header of that name."""
    for traceparent in (meta.get("traceparent"), header):
        match = TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
        if match and match[1].strip("0") and match[2].strip("0"):
            return {"trace_id": match[1], "parent_span_id": match[2]}
    return {}


def thumbprint(secret: str) -> str:
    """What recognises a secret and does not tell it, where the secret is long and random."""
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()[:THUMBPRINT_CHARACTERS]}"


def _claims(token: str) -> Mapping[str, Any]:
    """What a JWT claims, nothing of any other token."""
    parts = token.split(".")
    if len(parts) != JWT_PARTS:
        return {}
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = strict(payload)
    except (binascii.Error, ValueError, FormatError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
