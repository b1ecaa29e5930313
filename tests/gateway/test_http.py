"""The official client and server with the gateway between them, over streamable HTTP."""

import asyncio
import base64
import json
import signal

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult

from tests.gateway.running import gateway, shop


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, 60))


@pytest.fixture(scope="module", params=[(), ("--json",)], ids=["stream", "json"])
def upstream(request):
    with shop(*request.param) as url:
        yield url


@pytest.fixture
def front(environment, upstream):
    with gateway(environment, upstream) as (url, _):
        yield url


async def answer(context, params):
    return ElicitResult(action="accept", content={"name": "Ada"})


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_call_passes_and_its_arguments_and_result_are_in_the_ledger(front, book, mode):
    async def scenario():
        async with Client(front, mode=mode) as client:
            assert (await client.list_tools()).tools[0].name == "add"
            assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
            assert (await client.call_tool("fail", {"why": "no stock"})).is_error
            assert (await client.read_resource("shop://stock/pear")).contents[0].text == "pear: 3"
            assert (await client.get_prompt("greeting", {"name": "A"})).messages[0].content.text == "Greet A."
            with pytest.raises(MCPError):
                await client.get_prompt("nobody-knows")
            many = await asyncio.gather(*[client.call_tool("echo", {"text": str(n)}) for n in range(20)])
            assert [one.content[0].text for one in many] == [str(n) for n in range(20)]

    run(scenario())
    calls = {call["intent"]["tool"]["name"]: call for call in book.calls()}
    assert len(book.calls()) == 25
    assert calls["add"]["intent"]["tool"]["arguments"] == {"a": 2, "b": 3}
    assert calls["add"]["intent"]["tool"]["definition_digest"].startswith("sha256:")
    assert calls["add"]["intent"]["ext"]["mcp.transport"] == "http"
    assert calls["add"]["outcome"]["outcome"]["result"]["structuredContent"] == {"result": 5}
    assert calls["fail"]["outcome"]["outcome"]["error_type"] == "tool_error"
    ends = {name: call["outcome"]["outcome"]["status"] for name, call in calls.items()}
    assert ends == {
        "add": "success",
        "fail": "failure",
        "resources/read": "success",
        "greeting": "success",
        "nobody-knows": "failure",
        "echo": "success",
    }


def noting(seen):
    async def progress(done, total, message):
        seen.append(done)

    return progress


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_what_streams_and_what_the_server_asks_passes_as_it_does_without_the_gateway(upstream, front, mode):
    async def scenario(url):
        seen, said = [], []
        async with Client(url, mode=mode, elicitation_callback=answer) as client:
            said.append(
                (await client.call_tool("wait", {"seconds": 0.2}, progress_callback=noting(seen))).content
            )
            try:
                said.append((await client.call_tool("ask", {})).content)
            except MCPError as error:  # a server that answers in JSON cannot ask before 2026-07-28
                said.append(str(error))
            said.append(client.server_info)
            said.append(client.protocol_version)
        return seen, said

    assert run(scenario(front)) == run(scenario(upstream))


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_call_that_the_client_cancels_is_recorded_as_cancelled(front, book, mode):
    async def scenario():
        async with Client(front, mode=mode) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.call_tool("wait", {"seconds": 3}), 1)
            assert (await client.call_tool("add", {"a": 1, "b": 1})).structured_content == {"result": 2}

    run(scenario())
    ends = {call["intent"]["tool"]["name"]: call["outcome"]["outcome"]["status"] for call in book.calls()}
    assert ends == {"wait": "cancelled", "add": "success"}


def jwt(claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part(claims)}.c2lnbmF0dXJlLW9mLXNvbWVib2R5"


def calling_as(front, headers, mode="legacy"):
    async def scenario():
        async with httpx2.AsyncClient(headers=headers) as http:
            transport = streamable_http_client(front, http_client=http)
            async with Client(transport, mode=mode) as client:
                meta = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
                await client.call_tool("add", {"a": 1, "b": 1}, meta=meta)

    run(scenario())


def test_of_a_bearer_token_only_what_is_safe_is_recorded_and_as_unverified(front, book):
    claims = {
        "sub": "alice",
        "iss": "https://idp.example",
        "client_id": "app",
        "scope": "read write",
        "jti": "t-1",
    }
    token = jwt(claims)
    calling_as(front, {"Authorization": f"Bearer {token}"})
    (call,) = book.calls()
    identity = call["intent"]["identity"]
    assert (identity["principal"], identity["issuer"], identity["client_id"]) == (
        "alice",
        "https://idp.example",
        "app",
    )
    assert identity["principal_source"] == "sub of a bearer token, not verified by the gateway"
    assert identity["scopes"] == ["read", "write"]
    assert identity["credential"]["type"] == "bearer"
    assert identity["credential"]["id"] == "t-1"
    assert identity["credential"]["thumbprint"].startswith("sha256:")
    everything = json.dumps(book.all())
    assert token not in everything
    assert token.split(".")[1] not in everything


def test_the_trace_of_the_client_is_joined(front, book):
    calling_as(front, {})
    (call,) = book.calls()
    assert call["intent"]["trace"]["trace_id"] == "a" * 32
    assert call["intent"]["trace"]["parent_span_id"] == "b" * 16


def test_the_sessions_id_is_recorded_by_its_thumbprint_alone(front, book):
    calling_as(front, {})
    (call,) = book.calls()
    assert call["intent"]["ext"]["mcp.session"].startswith("sha256:")
    assert call["intent"]["ext"]["mcp.protocol_version"] == "2025-11-25"


def test_a_denied_call_never_reaches_the_server(environment, upstream, book, tmp_path):
    rules = tmp_path / "policy.toml"
    rules.write_text('[[deny]]\nrule = "no-echo"\ntools = ["echo"]\n')

    async def scenario(url):
        for mode in ("legacy", "2026-07-28"):
            async with Client(url, mode=mode) as client:
                denied = await client.call_tool("echo", {"text": "x"})
                assert denied.is_error
                assert denied.content[0].text == "denied by policy, rule no-echo"

    with gateway(environment, upstream, "--policy", rules) as (url, _):
        run(scenario(url))
    assert [call["outcome"]["outcome"]["status"] for call in book.calls()] == ["denied", "denied"]


def test_no_call_is_made_while_the_ledger_cannot_record_it(environment, upstream):
    async def scenario(url):
        async with Client(url) as client:
            assert (await client.list_tools()).tools
            with pytest.raises(MCPError, match="the ledger could not record it"):
                await client.call_tool("add", {"a": 1, "b": 1})

    with gateway({**environment, "AGENT_LEDGER_URL": "http://127.0.0.1:9"}, upstream) as (url, _):
        run(scenario(url))


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_server_that_dies_in_a_call_leaves_its_outcome_unknown(environment, book, mode):
    async def scenario(url):
        async with Client(url, mode=mode) as client:
            with pytest.raises((MCPError, TimeoutError)):
                await asyncio.wait_for(client.call_tool("die", {}), 5)

    with shop() as upstream, gateway(environment, upstream) as (url, process):
        try:
            run(scenario(url))
        except* (MCPError, httpx2.HTTPError):  # the client has no server to say goodbye to
            pass
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    (call,) = book.calls()
    assert call["outcome"]["outcome"]["status"] in {"unknown", "cancelled"}
