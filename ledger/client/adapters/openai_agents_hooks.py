"""The hooks of one run of the OpenAI Agents SDK: what LedgerRunner gives it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agents import (
    Agent,
    Handoff,
    ModelResponse,
    RunContextWrapper,
    RunHooks,
    ToolInputGuardrailTripwireTriggered,
)
from agents.lifecycle import RunHooksBase
from agents.models.fake_id import FAKE_RESPONSES_ID
from agents.run_config import ToolErrorFormatterArgs
from agents.tracing import get_current_span

from ledger.client.action import Action
from ledger.client.adapters.run import Run, answer_part, call_part, parsed, text_part

_LOCAL: Final = (  # items of a model's answer that this process carries out
    "function_call",
    "custom_tool_call",
    "computer_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
)
_POLICY: Final = {"engine": "openai_agents.tool_input_guardrail"}
Begin = Callable[[object, str | None, str], Run]
"""Begins a run: the app's context, the user's words, the agent's name."""


@dataclass(eq=False)
class Call:
    """A call that the model made and that has not ended."""

    act: Action
    name: str
    guardrails: Sequence[Any] = ()
    reached: bool = False
    waited: bool = False  # for an approval
    error: Exception | None = None


class Hooks(RunHooks[Any]):
    """The hooks of one run, and its calls that have not ended, by their ids."""

    def __init__(self, begin: Begin, calls: dict[str, Call], model: object) -> None:
        self.calls = calls
        self._begin, self._model = begin, model
        self._run: Run | None = None
        self._prompts: dict[str, list[dict[str, Any]]] = {}

    def _run_of(self, context: Any, agent: Any, items: Sequence[Any] = ()) -> Run:
        if self._run is None:
            self._run = self._begin(context.context, _last_words(items), agent.name)
        return self._run.by({"agent_name": agent.name})

    async def on_llm_start(
        self, context: Any, agent: Any, system_prompt: str | None, input_items: list[Any]
    ) -> None:
        """The model is asked: what of its last turn has not run by now will not run."""
        self.settle(context)
        self._run_of(context, agent, input_items)
        system = [{"role": "system", "parts": [text_part(system_prompt)]}] if system_prompt else []
        self._prompts[agent.name] = [*system, *_messages(input_items)]

    async def on_llm_end(self, context: Any, agent: Any, response: ModelResponse) -> None:
        """The model has answered: record the decision, and the intent of each call that this process carries out."""
        run = self._run_of(context, agent)
        items = response.to_input_items()
        local = {str(item["call_id"]): item for item in items if item.get("type") in _LOCAL}
        decision = _decision(self._model or agent.model, response)
        run.decided(decision, local, prompt=self._prompts.pop(agent.name, None), output=_messages(items))
        made = {call_id: _call(run, agent, call_id, item) for call_id, item in local.items()}
        self.calls.update(made)
        await asyncio.gather(*(call.act.astart() for call in made.values()))

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        """A call got through its guardrails and its approval."""
        call = self._find(context, tool)
        if call is None:  # it was decided in another process, which did not wait for its approval
            call_id = getattr(context, "tool_call_id", None)
            act = self._run_of(context, agent).action(
                tool.name, getattr(context, "tool_arguments", None), call_id
            )
            call = Call(await act.astart(), tool.name, waited=True)
            self.calls[call_id or act.id] = call
        if call.waited:
            call.act.approve("approved")
        call.reached = True

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: object) -> None:
        """Its tool has answered, or its error was worded."""
        call = self._find(context, tool)
        if call is None:
            return
        span = get_current_span()
        if call.error is not None:
            call.act.fail(call.error)
        elif span is not None and span.error is not None:  # a tool that words its own failures
            call.act.fail(str(result))
        else:
            call.act.succeed(result)
        self._forget(call)

    async def on_handoff(self, context: Any, from_agent: Any, to_agent: Any) -> None:
        """A call was the handing over to another agent."""
        names = {_tool_of(other) for other in from_agent.handoffs if _target_of(other) == to_agent.name}
        call = next((call for call in self.calls.values() if call.name in names), None)
        if call is not None:
            call.act.succeed({"agent": to_agent.name})
            self._forget(call)

    async def on_agent_end(self, context: Any, agent: Any, output: Any) -> None:
        """The run's last answer: no call is to come."""
        self.settle(context)

    def formatter(self, inner: Any) -> Any:
        """What the SDK asks for the words of a tool's error: it hears the error, and leaves the words to `inner`."""

        async def words(args: ToolErrorFormatterArgs[Any]) -> Any:
            call = self.calls.get(args.call_id)
            if call is not None and args.kind == "tool_exception":
                call.error = args.error
            elif call is not None and args.kind == "tool_not_found":
                call.act.end("failure", error_type=args.kind)
                self._forget(call)
            said = inner(args) if inner is not None else None
            return await said if asyncio.iscoroutine(said) else said

        return words

    def settle(self, context: RunContextWrapper[Any]) -> None:
        """The model's next turn begins, or none does: a call that has not run by now was refused, or passed over."""
        for call_id, call in [*self.calls.items()]:
            if call.reached:
                call.act.end("unknown")
            elif call.waited and context.is_tool_approved(call.name, call_id) is False:
                call.act.approve("rejected")
                call.act.deny("approval_rejected")
            elif call.guardrails:
                rules = ", ".join(guardrail.get_name() for guardrail in call.guardrails)
                call.act.deny("reject_content", policy={**_POLICY, "rule": rules})
            else:
                call.act.end("cancelled")
            self._forget(call)

    def broke(self, error: BaseException) -> None:
        """The run is over by an error: of a tool, of a guardrail, or any other."""
        refused = error.guardrail if isinstance(error, ToolInputGuardrailTripwireTriggered) else None
        reached = [call for call in self.calls.values() if call.reached]
        for call in [*self.calls.values()]:
            if refused is not None and refused in call.guardrails and not call.reached:
                call.act.deny("tripwire", policy={**_POLICY, "rule": refused.get_name()})
            elif reached == [call] and not isinstance(error, asyncio.CancelledError):
                call.act.fail(error.__cause__ or error)
            else:  # which of several failed is not told
                call.act.end("unknown" if call.reached else "cancelled")
            self._forget(call)

    def _find(self, context: Any, tool: Any) -> Call | None:
        """A call by its id, or of a tool whose calls come without one, by its name."""
        call_id = getattr(context, "tool_call_id", None)
        if call_id is not None:
            return self.calls.get(call_id)
        return next((call for call in self.calls.values() if tool.name.startswith(call.name)), None)

    def _forget(self, done: Call) -> None:
        for call_id in [call_id for call_id, call in self.calls.items() if call is done]:
            del self.calls[call_id]


class Both(RunHooks[Any]):
    """Two hooks in the place of one."""

    def __init__(self, *hooks: RunHooks[Any]) -> None:
        self.hooks = hooks


def _call_each(name: str) -> Any:
    async def each(self: Both, *args: Any) -> None:
        for hooks in self.hooks:
            await getattr(hooks, name)(*args)

    return each


for _name in [name for name in vars(RunHooksBase) if name.startswith("on_")]:
    setattr(Both, _name, _call_each(_name))


def _decision(model: Any, response: ModelResponse) -> dict[str, Any]:
    openai = isinstance(model, str) or type(model).__module__.startswith("agents.models.openai")
    made_up = response.response_id == FAKE_RESPONSES_ID
    return {
        "provider": "openai" if openai else None,
        "request_model": model if isinstance(model, str) else getattr(model, "model", None),
        "response_id": None if made_up else response.response_id,
        "input_tokens": response.usage.input_tokens,
        "output_tokens": response.usage.output_tokens,
    }


def _call(run: Run, agent: Agent[Any], call_id: str, item: Mapping[str, Any]) -> Call:
    name = str(item.get("name") or item["type"].removesuffix("_call"))
    tool = next((tool for tool in agent.tools if tool.name == name), None)
    effect = "delegate" if name in {_tool_of(other) for other in agent.handoffs} else None
    act = run.action(name, _arguments(item), call_id, effect=effect)
    return Call(act, name, getattr(tool, "tool_input_guardrails", None) or ())


def _arguments(item: Mapping[str, Any]) -> Any:
    given = [item[name] for name in ("arguments", "input", "action", "operation") if name in item]
    return parsed(given[0]) if given else None


def _tool_of(handoff: Any) -> str:
    return str(handoff.tool_name if isinstance(handoff, Handoff) else Handoff.default_tool_name(handoff))


def _target_of(handoff: Any) -> str:
    return str(handoff.agent_name if isinstance(handoff, Handoff) else handoff.name)


def _last_words(items: Iterable[Any]) -> str | None:
    """What the user said last."""
    words = [_text(item.get("content")) for item in items if item.get("role") == "user"]
    return words[-1] if words else None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or [] if isinstance(part, dict))


def _messages(items: Iterable[Any]) -> list[dict[str, Any]]:
    """Items of the responses API as messages."""
    return [_message(item) for item in items]


def _message(item: Any) -> dict[str, Any]:
    kind = item.get("type")
    if kind == "function_call":
        part = call_part(item.get("call_id"), item.get("name"), parsed(item.get("arguments")))
        return {"role": "assistant", "parts": [part]}
    if kind == "function_call_output":
        return {"role": "tool", "parts": [answer_part(item.get("call_id"), item.get("output"))]}
    if "role" in item:
        return {"role": item["role"], "parts": [text_part(_text(item.get("content")))]}
    return {"role": "tool" if str(kind).endswith("_output") else "assistant", "parts": [dict(item)]}
