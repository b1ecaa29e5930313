"""`agent-ledger gateway`."""

import asyncio
import hashlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.exits import CommandError
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
from ledger.client import Ledger
from ledger.gateway import stdio
from ledger.gateway.approval import Approver
from ledger.gateway.definitions import Definitions
from ledger.gateway.gate import Caller, Gate
from ledger.gateway.policy import Policy, PolicyError, load_policy

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


def gateway(
    command: Command = None,
    *,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    server: Server = None,
    policy: PolicyFile = None,
    agent_id: AgentId = None,
    principal: Principal = None,
    state: State = None,
) -> None:
    """Stand between an MCP client and its server, and record what is done.

    The client starts `agent-ledger gateway -- command args` instead of `command args`. A call that cannot be recorded is not made.
    """
    if not command:
        raise CommandError("which server? end with -- and its command")
    logging.basicConfig(stream=sys.stderr, format="agent-ledger gateway: %(message)s", level=logging.WARNING)
    rules = _policy(policy, server)
    approver = _approver(rules)
    address, token = _ledger(data, url, token_file)
    identity = {"agent_id": agent_id}
    if principal is not None:
        identity |= {"principal": principal, "principal_source": PRINCIPAL_SOURCE}
    known = Definitions(state or _state(json.dumps(command)))
    with Ledger(address, token, source=f"mcp-gateway/{server or 'stdio'}", identity=identity) as ledger:
        gate = Gate(ledger, known, rules, approver, server=server)
        withheld = [rules.approval.token_variable] if rules is not None and rules.approval is not None else []
        status = asyncio.run(stdio.run(command, gate, Caller("stdio"), withheld=withheld))
    raise typer.Exit(status)


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
