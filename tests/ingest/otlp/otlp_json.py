"""A protobuf request as OTLP's JSON says it: the standard mapping, with ids in hex."""

import base64
import json

from google.protobuf.json_format import MessageToDict

IDS = {"traceId", "spanId", "parentSpanId"}


def as_json(message):
    return json.dumps(_hex(MessageToDict(message, use_integers_for_enums=True))).encode()


def _hex(value):
    if isinstance(value, dict):
        return {
            name: base64.b64decode(inner).hex() if name in IDS and isinstance(inner, str) else _hex(inner)
            for name, inner in value.items()
        }
    return [_hex(inner) for inner in value] if isinstance(value, list) else value
