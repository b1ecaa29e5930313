"""What OpenAPI says of the log's own keys."""

from typing import Any, Final

from ledger.api.documented import EXAMPLE_LOG, PROBLEMS, json_body

_REASON: Final = {"type": "string", "maxLength": 2000, "description": "Why: stands in the log."}
_KEY: Final = {"type": "string", "description": "A verifier key: name+id+key."}
_DONE: Final = {
    200: {"description": "Done, by the entry `seq`; `current_key` is in force."},
    202: {"description": "Another administrator has to confirm it: at `Location`."},
    **PROBLEMS,
}


def _body(properties: dict[str, Any], required: tuple[str, ...] = (), **examples: Any) -> dict[str, Any]:
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return {"requestBody": json_body(schema | ({"required": [*required]} if required else {}), **examples)}


GET_KEYS: Final[dict[str, Any]] = {"responses": PROBLEMS}
POST_NEXT: Final[dict[str, Any]] = {
    "responses": {200: {"description": "The next verifier key."}, **PROBLEMS},
    "openapi_extra": _body({}, nothing={}),
}
POST_ROTATE: Final[dict[str, Any]] = {
    "responses": _DONE,
    "openapi_extra": _body({"reason": _REASON}, yearly={"reason": "as every year"}),
}
POST_REVOKE: Final[dict[str, Any]] = {
    "responses": _DONE,
    "openapi_extra": _body(
        {
            "verifier_key": _KEY,
            "from": {
                "type": "integer",
                "minimum": 0,
                "description": "The first entry that it signs for no more.",
            },
            "reason": _REASON,
        },
        ("verifier_key", "from"),
        stolen={
            "verifier_key": EXAMPLE_LOG["verifier_key"],
            "from": 17,
            "reason": "a copy of it left with a disk",
        },
    ),
}
POST_CONFIRM: Final[dict[str, Any]] = {"responses": _DONE, "openapi_extra": _body({}, nothing={})}
