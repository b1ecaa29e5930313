"""Reads a request's body from somebody who may want to hurt us: bounded in bytes (also decompressed), alone and in all.

How long it may take is the protocol's affair: see `ledger.api.serving`.
"""

import asyncio
import io
import zlib
from typing import Final

import zstandard
from starlette.requests import Request
from starlette.types import Message

from ledger.api.service import header
from ledger.core.errors import Code, LedgerError
from ledger.records.limits import BODY_BYTES

BODIES_BYTES: Final = 256 * 1024 * 1024  # of all requests being read at once
RETRY_AFTER_S: Final = 1

_ZSTD_WINDOW: Final = 32 * 1024 * 1024
_GZIP: Final = 31  # zlib's way to say: a gzip header, any window
_INLINE_BYTES: Final = 64 * 1024  # decompressing more is worth a thread


class Bodies:
    """How much is being read right now."""

    def __init__(self) -> None:
        self._reading_bytes = 0

    async def read(self, request: Request, *, limit: int = BODY_BYTES) -> bytes:
        """The body, decompressed.

        Raises:
            LedgerError: `body-too-large`, `unsupported-encoding`, `too-slow`, `queue-full`, `malformed-json` (not the encoding it names).
        """
        encoding = header(request, b"content-encoding").lower() or "identity"
        if encoding not in {"identity", "gzip", "zstd"}:
            raise LedgerError(
                Code.UNSUPPORTED_ENCODING,
                f"Content-Encoding {encoding!a}: gzip and zstd are understood, one at a time",
            )
        stated = header(request, b"content-length")
        if (
            stated.isascii()
            and stated.isdigit()
            and len(stated) < len(str(limit)) + 8
            and int(stated) > limit
        ):
            raise _too_large(limit)
        body = await self._received(request, limit)
        if encoding == "identity":
            return body
        expand = _gunzip if encoding == "gzip" else _unzstd
        if len(body) <= _INLINE_BYTES:
            return expand(body, limit)
        return await asyncio.to_thread(expand, body, limit)

    async def _received(self, request: Request, limit: int) -> bytes:
        first = await request.receive()
        if first["type"] == "http.request" and not first.get("more_body") and len(first["body"]) <= limit:
            return bytes(first["body"])  # nearly always: it came in one piece
        return await self._in_pieces(request, first, limit)

    async def _in_pieces(self, request: Request, message: Message, limit: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise LedgerError(
                        Code.TOO_SLOW,
                        "the connection ended, or its time was up, within the body; nothing was taken",
                    )
                chunk = message.get("body", b"")
                size += len(chunk)
                self._reading_bytes += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                if self._reading_bytes > BODIES_BYTES:
                    raise LedgerError(
                        Code.QUEUE_FULL,
                        "too much is being sent at once; nothing was taken: send it again later",
                        retry_after=RETRY_AFTER_S,
                    )
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)
                message = await request.receive()
        finally:
            self._reading_bytes -= size


def _gunzip(body: bytes, limit: int) -> bytes:
    expanded = b""
    try:
        while body:
            stream = zlib.decompressobj(_GZIP)
            expanded += stream.decompress(body, limit + 1 - len(expanded))
            if len(expanded) > limit:
                raise _too_large(limit)
            if not stream.eof:
                raise _broken("gzip", "it ends too early")
            body = stream.unused_data
    except zlib.error as error:
        raise _broken("gzip", str(error)) from None
    return expanded


def _unzstd(body: bytes, limit: int) -> bytes:
    try:
        frames = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(
            io.BytesIO(body), read_across_frames=True
        )
        expanded = frames.read(limit + 1)
    except zstandard.ZstdError as error:
        raise _broken("zstd", str(error)) from None
    if len(expanded) > limit:
        raise _too_large(limit)
    return expanded


def _too_large(limit: int) -> LedgerError:
    return LedgerError(
        Code.BODY_TOO_LARGE,
        f"the body is over {limit} bytes (decompressed); send it in several requests",
        limit=limit,
    )


def _broken(encoding: str, why: str) -> LedgerError:
    return LedgerError(Code.MALFORMED_JSON, f"the body is not {encoding}: {why}")
