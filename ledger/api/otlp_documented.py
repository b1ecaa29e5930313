"""What OpenAPI says of OTLP/HTTP."""

from typing import Any, Final

_STATUS: Final = {
    "type": "object",
    "description": "google.rpc.Status",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "details": {"type": "array"}},
}
_OTLP_ENCODINGS: Final = {"application/x-protobuf": {"schema": {"type": "string", "format": "binary"}}}
_OTLP_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    code: {
        "description": f"{what}: a google.rpc.Status, in the encoding of the request.",
        "content": {"application/json": {"schema": _STATUS}, **_OTLP_ENCODINGS},
    }
    for code, what in (
        ("4XX", "A problem with the request; only 429 is to be sent again"),
        ("5XX", "A problem of the ledger"),
    )
}
POST_OTLP: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "Durable, and under a signed checkpoint; what is not is said in `partialSuccess`.",
            "content": {
                "application/json": {
                    "example": {
                        "partialSuccess": {"rejectedSpans": "1", "errorMessage": "1 refused: spanId: …"}
                    }
                },
                **_OTLP_ENCODINGS,
            },
        },
        **_OTLP_REFUSALS,
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "examples": {"empty": {"value": {"resourceSpans": []}}},
                },
                **_OTLP_ENCODINGS,
            },
        }
    },
}
POST_OTLP_METRICS: Final[dict[str, Any]] = {
    **POST_OTLP,
    "status_code": 404,
    "responses": {404: {**_OTLP_REFUSALS["4XX"], "description": "Always."}, **_OTLP_REFUSALS},
}
