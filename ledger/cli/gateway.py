"""`agent-ledger gateway`."""

import asyncio
import hashlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.target import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    Data,
    TokenFile,
    Url,
    data_folder,
    find_token,
    serving_url,
)
from ledger.client import AgentKey, Ledger, RecordsLost, Spool
from ledger.core.errors import Code, LedgerError
from ledger.gateway import stdio
from ledger.gateway.approval import Approver
from ledger.gateway.definitions import Definitions
from ledger.gateway.gate import Caller, Gate
from ledger.gateway.policy import Policy, PolicyError, load_policy

MAX_SPOOLS = 64
TIMEOUT_S = 5.0  # how long a client waits to hear that the ledger is away
PRINCIPAL_SOURCE = "agent-ledger gateway --principal"

Command = Annotated[
    list[str] | None,
    typer.Argument(help="After --, the server's command and its arguments.", show_default=False),
]
Server = Annotated[
    str | None,
    typer.Option("--server", help="What records and rules call the server (default: what it calls itself)."),
]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="A TOML file: what is denied, what needs approval.")
]
AgentId = Annotated[str | None, typer.Option("--agent-id", help="The agent's id, for every record.")]
Principal = Annotated[str | None, typer.Option("--principal", help="The person that the agent acts for.")]
State = Annotated[
    Path | None,
    typer.Option(
        "--state", help="Where the digests of tool definitions are kept (default: one file per server)."
    ),
]


Upstream_ = Annotated[
    str | None,
    typer.Option("--upstream", help="The server's URL, where it is reached over HTTP and not started here."),
]
Host = Annotated[str, typer.Option("--host", help="With --upstream: the address to listen on.")]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65_535, help="With --upstream: the port; 0 takes a free one.")
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host", help="A further name by which the gateway may be called: name, or name:port."
    ),
]


SpoolFolder = Annotated[
    Path | None,
    typer.Option(
        "--spool",
        help="While the ledger is away, keep records in this folder and go on; without it no call is made.",
    ),
]
Key = Annotated[
    Path | None, typer.Option("--key", help="Sign the records with the agent's key in this file.")
]
VerifierKey = Annotated[
    str | None, typer.Option("--verifier-key", help="The log's verifier key, which --key needs.")
]


def gateway(
    command: Command = None,
    *,
    upstream: Upstream_ = None,
    host: Host = DEFAULT_HOST,
    port: Port = 0,
    allow_host: AllowHost = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    server: Server = None,
    policy: PolicyFile = None,
    agent_id: AgentId = None,
    principal: Principal = None,
    state: State = None,
    spool: SpoolFolder = None,
    key: Key = None,
    verifier_key: VerifierKey = None,
) -> None:
    """Stand between an MCP client and its server, and record what is done. A call that cannot be recorded is not made.

    On stdio the client starts `agent-ledger gateway -- command args` instead of `command args`. Over HTTP the gateway listens, and the
    client is given its address instead of the server's: `agent-ledger gateway --upstream http://127.0.0.1:8000/mcp --port 9000`.
    """
    if bool(command) == bool(upstream):
        raise CommandError("which server? either --upstream with its URL, or -- and its command at the end")
    if command and not stdio.has_streams():
        raise CommandError(
            "stdin and stdout must be pipes: an MCP client starts this and talks over them (docker run: -i)"
        )
    logging.basicConfig(stream=sys.stderr, format="agent-ledger gateway: %(message)s", level=logging.WARNING)
    rules = _policy(policy, server)
    approver = _approver(rules)
    address, token = _ledger(data, url, token_file)
    known = Definitions(state or _state(upstream or json.dumps(command)))
    identity: dict[str, Any] = {"agent_id": agent_id} if agent_id else {}
    if principal is not None:
        identity |= {"principal": principal, "principal_source": PRINCIPAL_SOURCE}
    options = {
        "source": f"mcp-gateway/{server or 'server'}",
        "identity": identity,
        "timeout_s": TIMEOUT_S,
        **_known_log(key, verifier_key),
    }
    try:
        with _recorder(address, token, spool, options) as ledger:
            gate = Gate(ledger, known, rules, approver, server=server, sealed=key is not None)
            if upstream:
                asyncio.run(_http(gate, upstream, host, port, allow_host or []))
                return
            withheld = (
                [rules.approval.token_variable] if rules is not None and rules.approval is not None else []
            )
            status = asyncio.run(stdio.run(command or [], gate, Caller("stdio"), withheld=withheld))
    except RecordsLost as lost:
        raise CommandError(str(lost), Exit.UNREACHABLE) from None
    raise typer.Exit(status)


def _known_log(key: Path | None, verifier_key: str | None) -> dict[str, Any]:
    if key is not None and verifier_key is None:
        raise CommandError("--key needs --verifier-key: a seal is for one log (`agent-ledger keys show`)")
    return {"key": AgentKey(key) if key is not None else None, "verifier_key": verifier_key}


def _recorder(address: str, token: str | None, spool: Path | None, options: dict[str, Any]) -> Ledger:
    """The SDK's recorder. Each gateway needs a spool of its own: the first in the folder that no other holds."""
    if spool is None:
        return Ledger(address, token, **options)
    for number in range(MAX_SPOOLS):
        try:
            return Ledger(address, token, away=Spool(spool / str(number)), **options)
        except LedgerError as error:
            if error.code is not Code.LOCKED:
                raise
    raise CommandError(f"{spool}: {MAX_SPOOLS} gateways use it already")


async def _http(gate: Gate, url: str, host: str, port: int, names: list[str]) -> None:
    # Imported here: a gateway on stdio starts with its client, and needs no web server.
    from ledger.gateway.front import Hosts  # noqa: PLC0415
    from ledger.gateway.http import Endpoint  # noqa: PLC0415
    from ledger.gateway.serving import bound, serve  # noqa: PLC0415
    from ledger.gateway.upstream import Upstream  # noqa: PLC0415

    try:
        upstream = Upstream(url)
        at = bound(host, port)
    except ValueError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    own = at.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    endpoint = Endpoint(gate, upstream, Hosts(host, own, names))
    await serve(
        endpoint,
        at,
        lambda: terminal.say(f"gateway to {upstream.name} on http://{shown}:{own}{upstream.path}"),
    )


def _policy(file: Path | None, server: str | None) -> Policy | None:
    if file is None:
        return None
    try:
        policy = load_policy(file)
    except PolicyError as error:
        raise CommandError(str(error)) from None
    rules = [*policy.deny, *policy.require_approval]
    if server is None and any(rule.servers != ["*"] for rule in rules):
        raise CommandError(f"{file}: its rules name servers: give this one's name with --server")
    return policy


def _approver(policy: Policy | None) -> Approver | None:
    if policy is None or policy.approval is None:
        return None
    try:
        return Approver(policy.approval)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _ledger(data: Path | None, url: str | None, token_file: Path | None) -> tuple[str, str | None]:
    folder = data_folder(data)
    address = url or serving_url(folder) or f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"
    return address, find_token(folder, address, token_file)


def _state(upstream: str) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return (
        Path(base) / "agent-ledger" / "gateway" / f"{hashlib.sha256(upstream.encode()).hexdigest()[:32]}.json"
    )
