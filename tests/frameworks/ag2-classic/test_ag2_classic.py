"""AG2 before 1.0: two agents who chat, sync and async, safeguards that refuse, a group with handoffs."""

import asyncio
import tempfile
from typing import Any

import pytest
from autogen import ConversableAgent, LLMConfig
from autogen.agentchat import initiate_group_chat
from autogen.agentchat.group import AgentTarget, ContextVariables, ReplyResult
from autogen.agentchat.group.patterns import DefaultPattern
from autogen.coding import LocalCommandLineCodeExecutor

from ledger.client.adapters.ag2_classic import LedgerPatch
from tests.frameworks.claims import (
    ACTIONS,
    AGENT,
    ANSWER,
    MODEL,
    QUESTION,
    USER,
    Ask,
    Claims,
    Desk,
    described,
    plain,
)
from tests.frameworks.model_server import Call


def config(ask: Ask) -> LLMConfig:
    model = {
        "api_type": "openai",
        "model": MODEL,
        "base_url": ask.model_url,
        "api_key": "none",
        "max_retries": 0,
    }
    return LLMConfig(model, cache_seed=None)


def variables(ask: Ask) -> ContextVariables:
    return ContextVariables(data={"user_id": ask.user, "conversation_id": ask.conversation})


def send_summary(desk: Desk) -> Any:
    def send_summary(to: str) -> str:
        """Send the summary to somebody."""
        return desk.send_summary(to)

    return send_summary


def functions(desk: Desk) -> list[Any]:
    def read_file(path: str) -> str:
        """Read a file."""
        return desk.read_file(path)

    def fail_loudly(to: str) -> str:
        """Fail."""
        return desk.fail_loudly(to)

    return [send_summary(desk), read_file, fail_loudly]


def agents(ask: Ask) -> tuple[ConversableAgent, ConversableAgent]:
    clerk = ConversableAgent(
        AGENT, "You are a clerk.", llm_config=config(ask), context_variables=variables(ask)
    )
    user = ConversableAgent("user", llm_config=False, human_input_mode="NEVER", default_auto_reply="")
    for function in functions(ask.desk):
        clerk.register_for_llm(description=function.__doc__)(function)
        user.register_for_execution()(function)
    user.register_hook("safeguard_tool_inputs", lambda call: None if call["name"] in ask.deny else call)
    return clerk, user


class TestChats(Claims):
    principal_source = "context_variables.user_id"

    def drive(self, ask: Ask) -> str:
        with LedgerPatch(ask.ledger, describe=described):
            clerk, user = agents(ask)
            return str(user.initiate_chat(clerk, message=ask.text, max_turns=2).chat_history[-1]["content"])


class TestAsyncChats(TestChats):
    denies = False

    def drive(self, ask: Ask) -> str:
        with LedgerPatch(ask.ledger, describe=described):
            clerk, user = agents(ask)
            chat = asyncio.run(user.a_initiate_chat(clerk, message=ask.text, max_turns=2))
            return str(chat.chat_history[-1]["content"])


def test_nothing_is_recorded_after_the_patch(ledger, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    with LedgerPatch(ledger):
        pass
    clerk, user = agents(ask)
    user.initiate_chat(clerk, message=QUESTION, max_turns=2)
    assert ask.desk.ran == [("send_summary", "bob")]
    assert rows(ACTIONS) == []


def test_a_group_that_hands_over_is_recorded(ledger, model, rows):
    def hand_over() -> ReplyResult:
        """Hand over to the sender."""
        return ReplyResult(message="over to you", target=AgentTarget(sender))

    model.script([Call("hand_over")], system="You are triage.")
    model.script([Call("send_summary", to="bob")], ANSWER, system="You are the sender.", in_order=True)
    ask = Ask(ledger, model.url, Desk())
    triage = ConversableAgent("triage", "You are triage.", llm_config=config(ask), functions=[hand_over])
    sender = ConversableAgent(
        "sender", "You are the sender.", llm_config=config(ask), functions=[send_summary(ask.desk)]
    )
    pattern = DefaultPattern(initial_agent=triage, agents=[triage, sender], context_variables=variables(ask))
    with LedgerPatch(ledger):
        initiate_group_chat(pattern=pattern, messages=QUESTION, max_rounds=6)
    handed, sent = rows(ACTIONS)
    assert (handed["tool_name"], handed["identity_agent_name"]) == ("hand_over", "triage")
    assert (sent["tool_name"], sent["identity_agent_name"]) == ("send_summary", "sender")
    assert (handed["outcome_status"], sent["outcome_status"]) == ("success", "success")
    assert plain(sent["identity_principal"]) == USER
    assert [plain(row["request_text"]) for row in (handed, sent)] == [QUESTION, QUESTION]


def test_a_safeguard_that_raises_is_recorded_as_a_denial(ledger, model, rows):
    def refuse(call: Any) -> Any:
        raise PermissionError("not allowed")

    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    clerk, user = agents(ask)
    user.register_hook("safeguard_tool_inputs", refuse)
    with LedgerPatch(ledger), pytest.raises(PermissionError):
        user.initiate_chat(clerk, message=QUESTION, max_turns=2)
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["policy_reason"]) == ("denied", "PermissionError")
    assert row["decision_response_id"] == model.deciding(row["tool_call_id"]).response_id
    assert ask.desk.ran == []


@pytest.mark.parametrize("exit_code", [0, 3])
def test_code_is_recorded_before_it_runs(ledger, model, rows, logged, exit_code):
    seen: list[dict[str, Any]] = []

    class Executor(LocalCommandLineCodeExecutor):
        def execute_code_blocks(self, code_blocks: Any) -> Any:
            seen.extend(logged(ACTIONS))
            return super().execute_code_blocks(code_blocks)

    model.script(f"```sh\necho ran; exit {exit_code}\n```", ANSWER, in_order=True)
    ask = Ask(ledger, model.url, Desk())
    clerk = ConversableAgent(AGENT, "You are a clerk.", llm_config=config(ask))
    folder = tempfile.TemporaryDirectory()
    runner = {"executor": Executor(work_dir=folder.name)}
    terminal = ConversableAgent(
        "terminal", llm_config=False, human_input_mode="NEVER", code_execution_config=runner
    )
    with folder, LedgerPatch(ledger):
        terminal.initiate_chat(clerk, message=QUESTION, max_turns=2)
    (row,) = rows(ACTIONS)
    assert [(row["tool_name"], row["outcome_status"]) for row in seen] == [("execute_code_blocks", None)]
    assert (row["tool_effect"], row["identity_agent_name"]) == ("execute", "terminal")
    assert row["outcome_status"] == ("failure" if exit_code else "success")
    assert "execute_code_blocks" not in vars(runner["executor"])


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER, user=QUESTION)
    page("ag2-classic")
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (row["identity_agent_name"], plain(row["identity_principal"])) == (AGENT, USER)
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, "gpt-5")
