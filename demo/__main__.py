"""`make demo`: a small real agent works for an hour of office life, the ledger sees it, and then somebody asks what happened.

1 the ledger starts · 2 the agent works, an invoice tells it to do more · 3 the log is verified · 4 three questions · 5 where to look
"""

import argparse
import asyncio
import json
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from demo import agent, screen
from demo.model import ScriptedModel
from demo.questions import QUESTIONS
from demo.recorder import Recorder
from demo.service import DemoError, Service
from ledger.client.http import LedgerClient, ProblemError, UnreachableError
from ledger.client.questions import Question
from ledger.core.errors import LedgerError

ROOT = Path(__file__).resolve().parent.parent
USER = "dana@alder-finch.example"
TASK = "Please pay the open invoices in the inbox."
AGENT = "invoice-agent"
VERIFIED_WITHIN_S = 120


def main() -> int:
    """Run the demo. The exit status is 0 when everything held, 1 when verification found something, 2 when a part did not start."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))  # an exception, so that the ledger is stopped in order
    try:
        with Service(options.data.absolute(), options.port) as service:
            held = _show(service, once=options.once)
            if not options.once:
                screen.say("Serving until you press Ctrl-C.", "bold")
                service.wait_for_end()
    except KeyboardInterrupt:
        return 0
    except (DemoError, LedgerError, ProblemError, UnreachableError) as error:
        screen.say(f"The demo stopped: {error}", "bold red")
        return 2
    return 0 if held else 1


def _show(service: Service, *, once: bool) -> bool:
    with LedgerClient(service.url, service.admin_token()) as auditor:
        screen.step(1, "A ledger")
        log = auditor.log()
        size = "1 entry" if log["size"] == 1 else f"{log['size']} entries"
        screen.say(f"{log['origin']} on {service.url}, {size}, verifier key {log['verifier_key']}")

        screen.step(2, f"An agent with MCP tools. {USER} says: {TASK}")
        recorder = asyncio.run(_work(service))
        kept = recorder.checkpoint
        screen.say(f"{len(recorder.posted)} records, each on disk and signed before the agent's next step.")

        screen.step(3, "The log verified, against the checkpoint that the agent kept")
        held = _verify(auditor, kept)

        screen.step(4, "A week later somebody asks")
        for asked in QUESTIONS:
            screen.say(asked.words)
            _ask(auditor, asked.sql, recorder.conversation)

        screen.step(5, "Where to look next")
        _next_steps(service, recorder, once=once)
    return held


async def _work(service: Service) -> Recorder:
    """Let the agent do its task, with tools from a real MCP server and a ledger over HTTP."""
    office_server = StdioServerParameters(command=sys.executable, args=["-m", "demo.office"], cwd=ROOT)
    headers = {"Authorization": f"Bearer {service.agent_token(AGENT)}"}
    async with (
        Client(office_server) as office,
        httpx.AsyncClient(base_url=service.url, headers=headers, trust_env=False) as ledger,
    ):
        offered = (await office.list_tools()).tools
        tools = {tool.name: tool.model_dump(mode="json", exclude_none=True) for tool in offered}
        recorder = Recorder(ledger, USER, TASK, tools)
        words = await agent.run(office, ScriptedModel(TASK), recorder, screen.call)
        await recorder.keep_checkpoint()
    screen.say(f"The agent says: {words}")
    return recorder


def _verify(auditor: LedgerClient, kept: str) -> bool:
    """Have everything verified, against a checkpoint that was kept outside."""
    job = auditor.start_verification(checkpoint=kept)
    deadline = time.monotonic() + VERIFIED_WITHIN_S
    state = auditor.verification(job)
    while state["state"] == "running":
        if time.monotonic() > deadline:
            raise DemoError(f"the verification is not finished after {VERIFIED_WITHIN_S} s")
        time.sleep(0.05)
        state = auditor.verification(job)
    report: dict[str, Any] = state.get("report") or {}
    if state["state"] != "finished" or not report:
        raise DemoError(f"the verification {state['state']}")
    held = not report["findings"]
    screen.say(f"{report['verdict']} ({report['size']} entries)", "green" if held else "bold red")
    for words in report["words"]:
        screen.say(words, "dim")
    return held


def _ask(auditor: LedgerClient, sql: str, conversation: str) -> None:
    answer = json.loads(auditor.query(Question(sql, None, {"conversation": conversation})))
    screen.answer([column["name"] for column in answer["columns"]], answer["rows"])


def _next_steps(service: Service, recorder: Recorder, *, once: bool) -> None:
    installed = Path(sys.executable).with_name("agent-ledger")
    command = _short(installed) if installed.exists() else "python -m ledger.cli"
    here = f"--data {_short(service.data)}"
    denied = recorder.denied()
    account = denied["resource"]["id"]
    steps = {
        "the denied call": f"{command} get {denied['id']} {here}",
        "what led to it": f"{command} query what-was-read-before-acting -p resource_id={account} {here}",
        "every question": f"{command} query {here}",
        "your own SQL": f'{command} sql "SELECT time, tool_name, outcome_status FROM actions" {here}',
        "verify it yourself": f"{command} verify {here}",
        "every route": f'curl -H "Authorization: Bearer $(cat {_short(service.token_file)})" {service.url}/openapi.json',
        "what is signed": "docs/format.md",
        "see it all": f"{service.url}/console in a browser",
        "sign in there with": f"what this prints: cat {_short(service.token_file)}",
    }
    screen.pairs({"first, serve it again": f"{command} serve {here}"} | steps if once else steps)


def _short(path: Path) -> str:
    """A path as one would type it here."""
    relative = os.path.relpath(path)
    return shlex.quote(relative if not relative.startswith("..") else str(path))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="A small agent, its ledger, and what can be asked of it."
    )
    parser.add_argument("--once", action="store_true", help="end afterwards instead of serving")
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT / ".demo" / "ledger",
        help="the ledger's folder (default: .demo/ledger)",
    )
    parser.add_argument("--port", type=int, help="the ledger's port (default: 8731, or any that is free)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
