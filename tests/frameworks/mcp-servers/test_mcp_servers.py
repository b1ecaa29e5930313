"""A server of each of the two MCP libraries over streamable HTTP, a checked bearer token, the official client."""

import asyncio
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
import uvicorn
from fastmcp import Client as FastClient
from fastmcp import FastMCP
from fastmcp.client.transports import StreamableHttpTransport
from fastmcp.exceptions import ToolError
from fastmcp.server.auth.providers.jwt import StaticTokenVerifier
from fastmcp.server.middleware import Middleware
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError

from ledger.client.adapters import fastmcp as fastmcp_adapter
from ledger.client.adapters import mcp_server as mcp_adapter

TOKEN = "token-of-alice"
CLAIMS = {
    "client_id": "travel-app", "sub": "alice@example.com", "scopes": ["files"], "iss": "https://id.example.com", "jti": "t-1",
}  # fmt: skip
ACTIONS = "SELECT * FROM actions WHERE tool_protocol = 'mcp' ORDER BY time"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class Files:
    """What both servers offer."""

    def __init__(self):
        self.ran = []
        self.before = lambda: None

    def read_file(self, path: str) -> str:
        """Read a file."""
        self.before()
        self.ran.append(path)
        if path == "/forbidden":
            raise PermissionError("not yours")
        return f"{path} is empty"


def made_with_fastmcp(files, ledger, deny):
    class Deny(Middleware):
        async def on_call_tool(self, context, call_next):
            if deny:
                raise ToolError("P-17 says no")
            return await call_next(context)

    server = FastMCP("files", auth=StaticTokenVerifier({TOKEN: CLAIMS}), middleware=[Deny()])
    server.tool(files.read_file)
    server.resource("report://q3", name="q3")(lambda: "revenue,10")
    server.prompt(name="summarise")(lambda what: f"Summarise {what}")
    fastmcp_adapter.record(server, ledger)
    return server.http_app()


def made_with_mcp(files, ledger, deny):
    async def refuse(ctx, call_next):
        if deny and ctx.method == "tools/call":
            raise MCPError(-32001, "P-17 says no")
        return await call_next(ctx)

    server = MCPServer(
        "files",
        middleware=[refuse],
        token_verifier=StaticTokenVerifier({TOKEN: CLAIMS}),
        auth=AuthSettings(
            issuer_url="https://id.example.com",
            resource_server_url="http://127.0.0.1/mcp",
            required_scopes=[],
            validate_token_resource=False,
        ),
    )
    server.tool()(files.read_file)
    server.resource("report://q3", name="q3")(lambda: "revenue,10")
    server.prompt(name="summarise")(lambda what: f"Summarise {what}")
    mcp_adapter.record(server, ledger)
    return server.streamable_http_app()


MAKERS = {"fastmcp": made_with_fastmcp, "mcp": made_with_mcp}


@contextmanager
def listening(app):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/mcp"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(params=MAKERS)
def made(request):
    return MAKERS[request.param]


def use(url, ask):
    async def run():
        async with FastClient(StreamableHttpTransport(url, auth=TOKEN)) as client:
            return await ask(client)

    return asyncio.run(run())


def test_a_call_is_one_row_with_who_was_checked_and_what_was_done(made, ledger, rows):
    files = Files()
    with listening(made(files, ledger, deny=False)) as url:
        use(url, lambda client: client.call_tool("read_file", {"path": "/q3"}))
    (row,) = rows(ACTIONS)
    told = {
        "tool_name": "read_file",
        "tool_server": "files",
        "tool_operation": "tools/call",
        "identity_principal": "alice@example.com",
        "identity_principal_source": "sub of the bearer token, checked by the MCP server",
        "identity_client_id": "travel-app",
        "identity_issuer": "https://id.example.com",
        "outcome_status": "success",
    }
    assert {name: row[name] for name in told} == told
    assert json.loads(row["tool_arguments"]) == {"path": "/q3"}
    assert "/q3 is empty" in row["outcome_result"]
    credential = (
        json.loads(row["identity_credential"])
        if isinstance(row["identity_credential"], str)
        else row["identity_credential"]
    )
    assert credential["id"] == "t-1"
    assert credential["thumbprint"].startswith("sha256:")
    assert TOKEN not in json.dumps(row, default=str)
    assert "decision" not in row["facets_missing"]  # explained: it is made on the client's side


def test_the_intent_is_in_the_log_before_the_tool_runs(made, ledger, logged):
    files, seen = Files(), []
    files.before = lambda: seen.extend(logged(ACTIONS))
    with listening(made(files, ledger, deny=False)) as url:
        use(url, lambda client: client.call_tool("read_file", {"path": "/q3"}))
    assert [(row["tool_name"], row["outcome_status"]) for row in seen] == [("read_file", None)]


def test_what_another_middleware_refuses_is_denied(made, ledger, rows):
    async def refused(client):
        with suppress(MCPError):
            assert (await client.call_tool("read_file", {"path": "/q3"}, raise_on_error=False)).is_error

    files = Files()
    with listening(made(files, ledger, deny=True)) as url:
        use(url, refused)
    assert files.ran == []
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["policy_effect"]) == ("denied", "deny")


def test_a_tool_that_raises_and_one_that_does_not_exist_failed_and_were_not_denied(made, ledger, rows):
    async def ask(client):
        await client.call_tool("read_file", {"path": "/forbidden"}, raise_on_error=False)
        with suppress(MCPError):
            await client.call_tool("no_such_tool", {}, raise_on_error=False)

    files = Files()
    with listening(made(files, ledger, deny=False)) as url:
        use(url, ask)
    found = rows(ACTIONS)
    assert [(row["tool_name"], row["outcome_status"], row["policy_effect"]) for row in found] == [
        ("read_file", "failure", None),
        ("no_such_tool", "failure", None),
    ]


def test_reading_a_resource_and_getting_a_prompt_are_recorded_and_listing_is_not(made, ledger, rows):
    async def ask(client):
        await client.list_tools()
        await client.read_resource("report://q3")
        await client.get_prompt("summarise", {"what": "q3"})

    with listening(made(Files(), ledger, deny=False)) as url:
        use(url, ask)
    read, prompt = rows(ACTIONS)
    assert (read["tool_operation"], read["resource_id"], read["outcome_status"]) == (
        "resources/read",
        "report://q3",
        "success",
    )
    assert "revenue,10" in read["outcome_result"]
    assert (prompt["tool_operation"], prompt["tool_name"]) == ("prompts/get", "summarise")


def test_the_clients_trace_is_joined(made, ledger, rows):
    with listening(made(Files(), ledger, deny=False)) as url:
        use(
            url,
            lambda client: client.call_tool("read_file", {"path": "/q3"}, meta={"traceparent": TRACEPARENT}),
        )
    (row,) = rows(ACTIONS)
    assert row["trace_trace_id"] == TRACE


def test_nothing_is_done_while_the_ledger_is_away(made, ledger, server):
    files = Files()
    server.stop()

    async def ask(client):
        try:
            await client.call_tool("read_file", {"path": "/q3"})
        except Exception as error:  # noqa: BLE001
            return str(error)

    with listening(made(files, ledger, deny=False)) as url:
        assert "could not be recorded" in use(url, ask)
    assert files.ran == []


def test_the_lines_of_the_page_record_an_action(page, logged):
    server = page("mcp-servers")["server"]

    async def ask():
        async with FastClient(server) as client:
            await client.call_tool("read_file", {"path": "/q3"})

    asyncio.run(ask())
    deadline = time.monotonic() + 10  # the page's own recorder sends the outcome in the background
    while time.monotonic() < deadline:
        (row,) = logged(ACTIONS)
        if row["outcome_status"] is not None:
            break
    assert (row["tool_name"], row["tool_server"], row["outcome_status"]) == ("read_file", "files", "success")
