"""Reads a request's body from somebody who may want to hurt us: bounded in bytes (also decompressed), alone, for each token, and in all.

How long it may take is the protocol's affair: see `ledger.api.serving`.
"""

import asyncio
import time
import zlib
from typing import Final

import zstandard
from starlette.requests import Request

from ledger.api.service import header
from ledger.api.turns import Turns
from ledger.core.errors import Code, LedgerError
from ledger.log.fair import Shares
from ledger.log.queue import retry_after
from ledger.records.limits import BODY_BYTES

BODIES_BYTES: Final = 256 * 1024 * 1024  # of all requests that are being read or worked on
EXPANDING: Final = 2  # at once: what comes out is counted when it is there
NOBODY: Final = ""  # in particular: questions, whose bodies are small

MAX_MEMBERS: Final = 100  # compressed streams one after another in one body

_ZSTD_PIECE: Final = 1024  # no more than 32 MB come out of it at once
_ZSTD_WINDOW: Final = 32 * 1024 * 1024
_GZIP: Final = 31  # zlib's way to say: a gzip header, any window
_LENGTH_DIGITS: Final = 15
_STEP_BYTES: Final = 64 * 1024
_INLINE_BYTES: Final = 64 * 1024  # decompressing more is worth a thread


class Bodies:
    """How much of what clients sent is in memory right now, decompressed."""

    def __init__(self, limit: int = BODIES_BYTES) -> None:
        self._shares = Shares(limit)
        self.expanding = Turns(EXPANDING)
        self._let_go_bytes, self._since, self._bytes_per_s = 0, time.monotonic(), 0.0

    @property
    def held_bytes(self) -> int:
        """All of them."""
        return self._shares.held_bytes

    def read(self, request: Request, who: str = NOBODY, *, limit: int = BODY_BYTES) -> "Body":
        """A body to be used as `async with`: it counts until its request is done with it, because so long it is in memory.

        Args:
            request: whose body.
            who: the token's name: each has its share of what may be in memory (`ledger.log.fair.Shares`).
            limit: of this body, decompressed.
        """
        return Body(self, request, who, limit)

    def take(self, who: str, size: int) -> None:
        """Count `size` more.

        Raises:
            LedgerError: `queue-full`.
        """
        missing = self._shares.missing(who, size)
        if missing:
            raise LedgerError(
                Code.QUEUE_FULL,
                f"{self._shares.held(who)} bytes of bodies of this token are in memory, {self.held_bytes} in all: more would be beyond its "
                "share; nothing was taken: send it again later",
                retry_after=retry_after(missing, self._bytes_per_s),
            )
        self._shares.take(who, size)

    def let_go(self, who: str, size: int) -> None:
        """Count `size` less."""
        self._shares.give(who, size)
        self._let_go_bytes += size
        seconds = time.monotonic() - self._since
        if seconds >= 1:
            self._bytes_per_s = self._let_go_bytes / seconds
            self._let_go_bytes, self._since = 0, time.monotonic()


class Body:
    """One request's body, decompressed."""

    def __init__(self, bodies: Bodies, request: Request, who: str, limit: int) -> None:
        self._bodies, self._request, self._who, self._limit = bodies, request, who, limit
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
        if self._size:
            self._bodies.let_go(self._who, self._size)
            self._size = 0

    def _hold(self, size: int) -> None:
        """Have `size` counted in all, if it is not by now."""
        if size > self._size:
            self._bodies.take(self._who, size - self._size)
            self._size = size

    def _hold_too(self, size: int) -> None:
        """Have `size` more counted, bit by bit: a share is what somebody may come to hold, not what they may take at once."""
        for start in range(0, size, _STEP_BYTES):
            self._hold(self._size + min(size - start, _STEP_BYTES))

    async def _read(self) -> bytes:
        encoding = header(self._request, b"content-encoding").lower() or "identity"
        if encoding not in {"identity", "gzip", "zstd"}:
            raise LedgerError(
                Code.UNSUPPORTED_ENCODING,
                f"Content-Encoding {encoding!a}: gzip and zstd are understood, one at a time",
            )
        stated = _stated_bytes(self._request)
        if stated > self._limit:
            raise _too_large(self._limit)
        self._hold(stated)  # refused now, or not while it comes: half a body is work for nothing
        body = await self._received()
        if encoding == "identity":
            return body
        expand = _gunzip if encoding == "gzip" else _unzstd
        if len(body) <= _INLINE_BYTES:
            expanded = expand(body, self._limit)
            self._hold_too(len(expanded))
            return expanded
        async with self._bodies.expanding.of(self._who, len(body)):
            expanded = await asyncio.to_thread(expand, body, self._limit)
            self._hold_too(len(expanded))
        return expanded

    async def _received(self) -> bytes:
        chunks: list[bytes] = []
        received = 0
        while True:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise LedgerError(
                    Code.TOO_SLOW,
                    "the connection ended, or its time was up, within the body; nothing was taken",
                )
            chunk = message.get("body", b"")
            received += len(chunk)
            if received > self._limit:
                raise _too_large(self._limit)
            self._hold(received)
            if not chunks and not message.get("more_body"):
                return bytes(chunk)  # nearly always: it came in one piece
            chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks)


def _stated_bytes(request: Request) -> int:
    """What Content-Length says; 0 where it says nothing, or nothing that fits into 15 digits: then it is counted as it comes."""
    stated = header(request, b"content-length")
    return int(stated) if stated.isascii() and stated.isdigit() and len(stated) <= _LENGTH_DIGITS else 0


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
