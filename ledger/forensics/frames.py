"""How the service and its worker talk: frames over two pipes, each a JSON header and a body of bytes."""

import json
import struct
from typing import IO, Any, NamedTuple

_LENGTHS = struct.Struct(">IQ")
MAX_HEADER_BYTES = 4 * 1024 * 1024


class Frame(NamedTuple):
    """One message: `header` says what it is, `body` is what it carries."""

    header: dict[str, Any]
    body: bytes


def write_frame(pipe: IO[bytes], header: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Send one frame.

    Raises:
        OSError: the other side is gone.
    """
    head = json.dumps(header).encode()
    pipe.write(_LENGTHS.pack(len(head), len(body)) + head)
    pipe.write(body)
    pipe.flush()


def read_frame(pipe: IO[bytes], max_body_bytes: int | None = None) -> Frame | None:
    """The next frame; None at the end of the stream, also when it ends inside a frame.

    Raises:
        ValueError: a header that is no JSON object, or lengths beyond the limits. The other side is not to be trusted further.
    """
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_bytes, body_bytes = _LENGTHS.unpack(lengths)
    if header_bytes > MAX_HEADER_BYTES or (max_body_bytes is not None and body_bytes > max_body_bytes):
        raise ValueError(f"a frame of {header_bytes} + {body_bytes} bytes")
    head, body = pipe.read(header_bytes), pipe.read(body_bytes)
    if len(head) < header_bytes or len(body) < body_bytes:
        return None
    header = json.loads(head)
    if type(header) is not dict:
        raise ValueError("a header that is no object")
    return Frame(header, body)
