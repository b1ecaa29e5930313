"""OpenAI Agents SDK (openai-agents 0.24): a runner in the place of `Runner`.

    runner = LedgerRunner(ledger)
    await runner.run(agent, text, context={"user_id": ...}, session=session)

It gives each run hooks, beside the app's own. A call's intent is recorded when the model has made it, before the SDK looks at its
guardrails and approvals: what those refuse never comes to a hook, and is told by the call not having run.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agents import Agent, RunConfig, Runner, RunState

from ledger.client.adapters.openai_agents_hooks import Begin, Both, Call, Hooks
from ledger.client.adapters.run import USER_KEYS, Describe, Recorder, Run
from ledger.client.ledger import Ledger


class LedgerRunner:
    """Runs agents as `Runner` does, and records it. One may run many agents, also at the same time."""

    def __init__(
        self, ledger: Ledger, *, user_keys: Sequence[str] = USER_KEYS, describe: Describe | None = None
    ) -> None:
        """A runner.

        Args:
            ledger: where runs are recorded.
            user_keys: under which of these keys or attributes of `context` the app tells its user.
            describe: what the app says of its tools, such as their `effect` and `resource`.
        """
        self._recorder = Recorder(ledger, user_keys, describe)
        self._waiting: dict[str, Call] = {}

    async def run(self, starting_agent: Agent[Any], input: Any, **options: Any) -> Any:  # noqa: A002 - Runner's name
        """`Runner.run`."""
        hooks, options = self._prepared(input, options)
        try:
            result = await Runner.run(starting_agent, input, **options)
        except BaseException as error:
            hooks.broke(error)
            raise
        self._ended(hooks, result)
        return result

    def run_sync(self, starting_agent: Agent[Any], input: Any, **options: Any) -> Any:  # noqa: A002 - Runner's name
        """`Runner.run_sync`."""
        hooks, options = self._prepared(input, options)
        try:
            result = Runner.run_sync(starting_agent, input, **options)
        except BaseException as error:
            hooks.broke(error)
            raise
        self._ended(hooks, result)
        return result

    def run_streamed(self, starting_agent: Agent[Any], input: Any, **options: Any) -> Any:  # noqa: A002 - Runner's name
        """`Runner.run_streamed`."""
        hooks, options = self._prepared(input, options)
        result = Runner.run_streamed(starting_agent, input, **options)

        def over(task: asyncio.Task[Any]) -> None:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None:
                self._ended(hooks, result)
            else:
                hooks.broke(error)

        if result.run_loop_task is not None:
            result.run_loop_task.add_done_callback(over)
        return result

    def _prepared(self, asked: object, options: dict[str, Any]) -> tuple[Hooks, dict[str, Any]]:
        given = options.get("run_config")
        config = RunConfig(**given) if isinstance(given, dict) else given or RunConfig()
        session = options.get("session")
        conversation = session.session_id if session else options.get("conversation_id") or config.group_id
        resumed = (
            {item.raw_item.call_id for item in asked.get_interruptions()}
            if isinstance(asked, RunState)
            else set()
        )
        calls = {call_id: self._waiting.pop(call_id) for call_id in resumed & self._waiting.keys()}
        hooks = Hooks(self._begin(conversation), calls, config.model)
        both = Both(hooks, options["hooks"]) if options.get("hooks") else hooks
        config = replace(config, tool_error_formatter=hooks.formatter(config.tool_error_formatter))
        return hooks, {**options, "hooks": both, "run_config": config}

    def _begin(self, conversation: str | None) -> Begin:
        def begin(context: object, text: str | None, agent: str) -> Run:
            request = {"text": text, "conversation_id": conversation}
            identity = {"agent_name": agent, **self._recorder.user_of(context=context)}
            run = Run(
                self._recorder,
                request=request,
                identity=identity,
                scope=conversation,
            )
            run.asked()
            return run

        return begin

    def _ended(self, hooks: Hooks, result: Any) -> None:
        """A run is over; its calls that wait for an approval go on in another one."""
        for item in result.interruptions:
            call = hooks.calls.pop(item.raw_item.call_id, None)
            if call is not None:
                self._waiting[item.raw_item.call_id] = replace(call, waited=True)
        hooks.settle(result.context_wrapper)
