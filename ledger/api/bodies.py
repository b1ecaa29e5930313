"""Reads a request's body from somebody who may want to hurt us: bounded in bytes (also decompressed), alone and in all.

How long it may take is the protocol's affair: see `ledger.api.serving`.
"""

import asyncio
import zlib
from typing import Final

import zstandard
from starlette.requests import Request

from ledger.api.service import header
from ledger.core.errors import Code, LedgerError
from ledger.records.limits import BODY_BYTES

BODIES_BYTES: Final = 256 * 1024 * 1024  # of all requests that are being read or worked on
RETRY_AFTER_S: Final = 1

MAX_MEMBERS: Final = 100  # compressed streams one after another in one body

_ZSTD_PIECE: Final = 1024  # no more than 32 MB come out of it at once
_ZSTD_WINDOW: Final = 32 * 1024 * 1024
_GZIP: Final = 31  # zlib's way to say: a gzip header, any window
_INLINE_BYTES: Final = 64 * 1024  # decompressing more is worth a thread


class Bodies:
    """How much of what clients sent is in memory right now, decompressed."""

    def __init__(self, limit: int = BODIES_BYTES) -> None:
        self.held_bytes = 0
        self._limit = limit

    def read(self, request: Request, *, limit: int = BODY_BYTES) -> "Body":
        """A body to be used as `async with`: it counts until its request is done with it, because so long it is in memory."""
        return Body(self, request, limit)

    def take(self, size: int) -> None:
        """Count `size` more.

        Raises:
            LedgerError: `queue-full`.
        """
        if self.held_bytes + size > self._limit:
            raise LedgerError(
                Code.QUEUE_FULL,
                "too much is being sent at once; nothing was taken: send it again later",
                retry_after=RETRY_AFTER_S,
            )
        self.held_bytes += size


class Body:
    """One request's body, decompressed."""

    def __init__(self, bodies: Bodies, request: Request, limit: int) -> None:
        self._bodies, self._request, self._limit = bodies, request, limit
        self._size = 0

    async def __aenter__(self) -> bytes:
        """Read it.

        Raises:
            LedgerError: `body-too-large`, `unsupported-encoding`, `too-slow`, `queue-full`, `malformed-json` (not the encoding it names).
        """
        try:
            return await self._read()
        except BaseException:
            self._let_go()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._let_go()

    def _let_go(self) -> None:
        self._bodies.held_bytes -= self._size
        self._size = 0

    def _hold(self, size: int) -> None:
        self._bodies.take(size)
        self._size += size

    async def _read(self) -> bytes:
        encoding = header(self._request, b"content-encoding").lower() or "identity"
        if encoding not in {"identity", "gzip", "zstd"}:
            raise LedgerError(
                Code.UNSUPPORTED_ENCODING,
                f"Content-Encoding {encoding!a}: gzip and zstd are understood, one at a time",
            )
        stated = header(self._request, b"content-length")
        if (
            stated.isascii()
            and stated.isdigit()
            and len(stated) < len(str(self._limit)) + 8
            and int(stated) > self._limit
        ):
            raise _too_large(self._limit)
        body = await self._received()
        if encoding == "identity":
            return body
        expand = _gunzip if encoding == "gzip" else _unzstd
        inline = len(body) <= _INLINE_BYTES
        expanded = expand(body, self._limit) if inline else await asyncio.to_thread(expand, body, self._limit)
        self._hold(len(expanded))
        return expanded

    async def _received(self) -> bytes:
        chunks: list[bytes] = []
        while True:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise LedgerError(
                    Code.TOO_SLOW,
                    "the connection ended, or its time was up, within the body; nothing was taken",
                )
            chunk = message.get("body", b"")
            self._hold(len(chunk))
            if self._size > self._limit:
                raise _too_large(self._limit)
            if not chunks and not message.get("more_body"):
                return bytes(chunk)  # nearly always: it came in one piece
            chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks)


def _gunzip(body: bytes, limit: int) -> bytes:
    expanded = b""
    try:
        for _ in range(MAX_MEMBERS):  # each one copies what comes after it
            stream = zlib.decompressobj(_GZIP)
            expanded += stream.decompress(body, limit + 1 - len(expanded))
            if len(expanded) > limit:
                raise _too_large(limit)
            if not stream.eof:
                raise _broken("gzip", "it ends too early")
            body = stream.unused_data
            if not body:
                return expanded
    except zlib.error as error:
        raise _broken("gzip", str(error)) from None
    raise _broken("gzip", f"it has more than {MAX_MEMBERS} members")


def _unzstd(body: bytes, limit: int) -> bytes:
    expanded = bytearray()
    frames = 0
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    stream = decompressor.decompressobj()
    try:
        for start in range(0, len(body), _ZSTD_PIECE):
            piece = body[start : start + _ZSTD_PIECE]
            while piece:
                if stream.eof:
                    stream, frames = decompressor.decompressobj(), frames + 1
                expanded += stream.decompress(piece)
                if len(expanded) > limit:
                    raise _too_large(limit)
                if frames >= MAX_MEMBERS:
                    raise _broken("zstd", f"it has more than {MAX_MEMBERS} frames")
                piece = stream.unused_data if stream.eof else b""
    except zstandard.ZstdError as error:
        raise _broken("zstd", str(error)) from None
    if not stream.eof:
        raise _broken("zstd", "it ends too early")
    return bytes(expanded)


def _too_large(limit: int) -> LedgerError:
    return LedgerError(
        Code.BODY_TOO_LARGE,
        f"the body is over {limit} bytes (decompressed); send it in several requests",
        limit=limit,
    )


def _broken(encoding: str, why: str) -> LedgerError:
    return LedgerError(Code.MALFORMED_JSON, f"the body is not {encoding}: {why}")
