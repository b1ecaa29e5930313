"""The agent: a loop of model, policy and tools, with the ledger told of every step before the next."""

import json
import time
from collections.abc import Callable
from typing import Any

from mcp import Client

from demo.model import Reply, ScriptedModel
from demo.policy import Verdict, decide
from demo.recorder import Recorder

MAX_STEPS = 20

# Told of each step: the model's reply, the policy's verdict, the status and the tool's result.
Watcher = Callable[[Reply, Verdict, str, str], None]


async def run(office: Client, model: ScriptedModel, recorder: Recorder, watch: Watcher) -> str:
    """Work on the model's task until it has nothing more to do. Returns its closing words."""
    # The policy's own reading: the model does not see it.
    register = _text(await office.call_tool("read_document", {"name": "vendors.txt"}))
    await recorder.request()
    for _ in range(MAX_STEPS):
        reply = model.reply()
        if reply.tool is None:
            return reply.text
        verdict, status, result = await _step(office, recorder, reply, register)
        model.take_in(reply, result, ok=status == "success")
        watch(reply, verdict, status, result)
    return "I stopped: this takes too many steps."


async def _step(office: Client, recorder: Recorder, reply: Reply, register: str) -> tuple[Verdict, str, str]:
    """One call: its intent on record, then the policy's word on record, and only then the tool itself."""
    tool = reply.tool or ""
    action_id = await recorder.intent(reply)
    verdict = decide(tool, reply.arguments, register)
    await recorder.decision(action_id, verdict, reply.arguments)
    if verdict.effect == "deny":
        await recorder.outcome(action_id, "denied", None, 0)
        return verdict, "denied", verdict.reason or ""
    started_ns = time.perf_counter_ns()
    answer = await office.call_tool(tool, dict(reply.arguments))
    status = "failure" if answer.is_error else "success"
    result = _text(answer)
    await recorder.outcome(action_id, status, result, time.perf_counter_ns() - started_ns)
    return verdict, status, result


def _text(answer: Any) -> str:
    """A tool's result as the model sees it: text as it is, anything else as JSON."""
    structured = (answer.structured_content or {}).get("result")
    if structured is not None and not isinstance(structured, str):
        return json.dumps(structured)
    return "\n".join(part.text for part in answer.content if part.type == "text")
