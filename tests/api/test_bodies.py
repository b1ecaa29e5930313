"""What is in memory for clients is bounded for all of them together, for as long as it is in memory."""

import asyncio
import contextlib
import gzip
import time

import pytest
import zstandard
from starlette.requests import Request

from ledger.api.bodies import MAX_MEMBERS, Bodies
from ledger.core.errors import Code, LedgerError

LIMIT = 1_000_000


def request(body: bytes, encoding: str = "identity") -> Request:
    async def receive() -> dict:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-encoding", encoding.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_body_counts_until_its_request_is_done_with_it(encoding):  # threat 31
    body = b" " * 250_000
    sent = gzip.compress(body) if encoding == "gzip" else body

    async def three_at_once():
        bodies = Bodies(LIMIT)
        async with (
            bodies.read(request(sent, encoding), "a") as first,
            bodies.read(request(sent, encoding), "b"),
        ):
            assert first == body
            with pytest.raises(LedgerError) as refused:
                async with bodies.read(request(sent, encoding), "a"):
                    pass
            assert (refused.value.code, refused.value.members["retry_after"]) == (Code.QUEUE_FULL, 1)
            assert bodies.held_bytes >= 500_000
        assert bodies.held_bytes == 0
        async with bodies.read(request(sent, encoding)) as again:
            assert again == body

    asyncio.run(three_at_once())


def test_one_token_may_have_a_half_in_memory_and_another_still_gets_in():
    async def flooded():
        bodies, held = Bodies(LIMIT), []
        for _ in range(LIMIT // 10_000):
            flood = bodies.read(request(b" " * 10_000), "hog")
            with contextlib.suppress(LedgerError):
                await flood.__aenter__()
                held.append(flood)
        assert 0.45 * LIMIT < bodies.held_bytes <= 0.5 * LIMIT
        async with bodies.read(request(b" " * 30_000), "polite") as body:
            assert len(body) == 30_000
        for each in held:
            await each.__aexit__()
        assert bodies.held_bytes == 0

    asyncio.run(flooded())


def test_a_body_that_is_refused_is_no_longer_counted():
    async def refused():
        bodies = Bodies(LIMIT)
        for sent, encoding in [(b"x" * 50_000, "gzip"), (b"x" * 50_000, "identity")]:
            with pytest.raises(LedgerError):
                async with bodies.read(request(sent, encoding), limit=49_999):
                    pass
        assert bodies.held_bytes == 0

    asyncio.run(refused())


COMPRESS = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


def read(body: bytes, encoding: str) -> bytes:
    async def reading() -> bytes:
        async with Bodies().read(request(body, encoding)) as found:
            return found

    return asyncio.run(reading())


@pytest.mark.parametrize("encoding", COMPRESS)
def test_several_compressed_streams_are_one_body(encoding):
    compress = COMPRESS[encoding]
    long = bytes(range(256)) * 20_000
    assert read(compress(b"a" * 70_000) + compress(b"") + compress(long), encoding) == b"a" * 70_000 + long
    assert read(compress(b"x") * MAX_MEMBERS, encoding) == b"x" * MAX_MEMBERS


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_million_empty_streams_are_refused_before_they_take_time(encoding):  # threat 31
    body = COMPRESS[encoding](b"") * 1_000_000
    began = time.monotonic()
    with pytest.raises(LedgerError) as refused:
        read(body, encoding)
    assert refused.value.code == Code.MALFORMED_JSON
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_compressed_body_that_ends_too_early_is_refused_wherever_it_ends(encoding):
    whole = COMPRESS[encoding](b"".join(b'{"n":%d}\n' % number for number in range(300)))
    for end in range(0, len(whole), 7):
        with pytest.raises(LedgerError) as refused:
            read(whole[:end], encoding)
        assert refused.value.code == Code.MALFORMED_JSON
