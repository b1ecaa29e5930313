"""The bodies of the routes about access, for OpenAPI."""

from typing import Any, Final

from ledger.api.documented import PROBLEMS, json_body
from ledger.log.access import MAX_CLAIMS, MAX_ID_CHARACTERS, MAX_PATTERNS, MAX_RATE, NAME
from ledger.trust.granting import MAX_OVERLAP_S
from ledger.trust.roles import Role

_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 256}
_PATTERN: Final = NAME.replace(r"\Z", "$")
_SHA256: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_RATE: Final = {"type": "integer", "minimum": 1, "maximum": MAX_RATE}
_PATTERNS: Final = {"type": "array", "items": _TEXT, "maxItems": MAX_PATTERNS}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": required | (optional or {}),
    }


_BEARER: Final = _object({"type": {"const": "bearer"}, "sha256": _SHA256})
_JWT: Final = _object(
    {
        "type": {"const": "jwt"},
        "issuer": _TEXT,
        "audience": _TEXT,
        "claims": {
            "type": "object",
            "additionalProperties": _TEXT,
            "minProperties": 1,
            "maxProperties": MAX_CLAIMS,
        },
    }
)
_SPIFFE: Final = _object(
    {"type": {"const": "spiffe"}, "id": {"type": "string", "maxLength": MAX_ID_CHARACTERS}}
)

_GRANT: Final = _object(
    {
        "name": {"type": "string", "pattern": _PATTERN},
        "roles": {"type": "array", "items": {"enum": [role.value for role in Role]}, "minItems": 1},
        "credential": {"oneOf": [_BEARER, _JWT, _SPIFFE]},
    },
    {
        "expires_at": {"type": "string", "format": "date-time"},
        "quota": _object({}, {"records_per_s": _RATE, "bytes_per_s": _RATE}),
        "may": _object({}, {"agents": _PATTERNS, "sources": _PATTERNS, "tenants": _PATTERNS}),
        "outside": {"enum": ["refuse", "flag"], "default": "refuse"},
    },
)
_EXAMPLE: Final = {
    "name": "finance-agent",
    "roles": ["writer"],
    "credential": {"type": "bearer", "sha256": "9f" * 32},
    "may": {"agents": ["finance-*"]},
}

POST_ACCESS: Final[dict[str, Any]] = {
    "responses": {201: {"description": "Granted, by the entry `seq`."}, **PROBLEMS},
    "openapi_extra": {"requestBody": json_body(_GRANT, writer=_EXAMPLE)},
}
POST_ROTATE: Final[dict[str, Any]] = {
    "responses": {200: {"description": "Granted, by the entry `seq`."}, **PROBLEMS},
    "openapi_extra": {
        "requestBody": json_body(
            _object(
                {
                    "credential": _BEARER,
                    "overlap_s": {"type": "integer", "minimum": 0, "maximum": MAX_OVERLAP_S},
                }
            ),
            day={"credential": {"type": "bearer", "sha256": "4a" * 32}, "overlap_s": 86_400},
        )
    },
}
POST_KEYS: Final[dict[str, Any]] = {
    "responses": {201: {"description": "Granted, by the entry `seq`."}, **PROBLEMS},
    "openapi_extra": {
        "requestBody": json_body(
            _object(
                {
                    "key_id": {"type": "string", "minLength": 1, "maxLength": 128},
                    "public_key": {"type": "string", "description": "Ed25519, 32 bytes in base64."},
                },
                {"subject": {"type": "string", "maxLength": 256}},
            ),
            agent={"key_id": "agent-7", "public_key": "Kay64UG8yvCyLhqU000LxzYeUm0L/hLIl5S8kyKWbdc="},
        )
    },
}
