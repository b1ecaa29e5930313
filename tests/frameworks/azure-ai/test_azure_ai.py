"""Azure AI Foundry's own client, whose OpenAI endpoint is the scripted server. Foundry calls no hooks: there is none that denies."""

import asyncio
import json

from azure.ai.projects import AIProjectClient
from azure.ai.projects.aio import AIProjectClient as AsyncAIProjectClient
from azure.core.credentials import AccessToken
from openai.types.responses import Response

from ledger.client.adapters.azure_ai import Foundry
from tests.frameworks.claims import ACTIONS, AGENT, MODEL, USER, Ask, Claims, described, plain
from tests.frameworks.model_server import Call

ENDPOINT = "https://example.services.ai.azure.com/api/projects/clerk"
TURNS = 4


class Credential:
    def get_token(self, *_scopes, **_options):
        return AccessToken("none", 9_999_999_999)


class AsyncCredential(Credential):
    async def get_token(self, *_scopes, **_options):
        return AccessToken("none", 9_999_999_999)


def tools(functions):
    return [
        {
            "type": "function",
            "name": name,
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        }
        for name in functions
    ]


def asked(ask, functions, previous, items):
    more = {"previous_response_id": previous} if previous else {}
    reference = {"agent_reference": {"name": AGENT, "type": "agent_reference"}}
    return {
        "model": MODEL,
        "input": items,
        "tools": tools(functions),
        "stream": ask.stream,
        "extra_body": reference,
        **more,
    }


class FoundryClaims(Claims):
    principal_source = "the session"
    untold = {"decision_response_model"}
    denies = False

    def desk(self, ask):
        functions = {tool.__name__: tool for tool in ask.desk.tools}
        return functions, Foundry(
            ask.ledger,
            functions,
            user=ask.user,
            user_source="the session",
            conversation=ask.conversation,
            describe=described,
        )


class TestFoundry(FoundryClaims):
    def drive(self, ask: Ask) -> str:
        functions, desk = self.desk(ask)
        project = AIProjectClient(ENDPOINT, Credential())
        client = desk.record(project.get_openai_client(base_url=ask.model_url, api_key="none"))
        items, previous = [{"role": "user", "content": ask.text}], None
        for _ in range(TURNS):
            response = client.responses.create(**asked(ask, functions, previous, items))
            if ask.stream:
                response = [event for event in response if event.type == "response.completed"][-1].response
            items, previous = desk.run(response), response.id
            if not items:
                return response.output_text
        raise AssertionError("it never ended")


class TestAsyncFoundry(FoundryClaims):
    def drive(self, ask: Ask) -> str:
        return asyncio.run(self.run(ask))

    async def run(self, ask: Ask) -> str:
        functions, desk = self.desk(ask)
        async with AsyncAIProjectClient(ENDPOINT, AsyncCredential()) as project:
            client = desk.record(project.get_openai_client(base_url=ask.model_url, api_key="none"))
            items, previous = [{"role": "user", "content": ask.text}], None
            for _ in range(TURNS):
                response = await client.responses.create(**asked(ask, functions, previous, items))
                if ask.stream:
                    response = [event async for event in response if event.type == "response.completed"][
                        -1
                    ].response
                items, previous = await desk.arun(response), response.id
                if not items:
                    return response.output_text
        raise AssertionError("it never ended")


def test_what_azure_ran_itself_is_an_action_of_its_own(ledger, rows):
    """No scripted server runs MCP tools: the response is put together as the OpenAPI document of the Responses API has it."""
    call = {
        "type": "mcp_call",
        "id": "mcp_1",
        "name": "read_file",
        "server_label": "files",
        "arguments": '{"path": "/q3"}',
        "output": "empty",
    }
    said = {
        "id": "resp_1", "object": "response", "created_at": 0, "model": MODEL, "status": "completed", "output": [call, {**call, "id": "mcp_2", "output": None, "error": {"type": "http_error", "code": 403, "message": "no"}}],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    }  # fmt: skip

    class Responses:
        def create(self, **_):
            return Response.model_validate(said)

    class Client:
        responses = Responses()

    desk = Foundry(ledger, {}, user=USER, user_source="the session")
    desk.record(Client()).responses.create(model=MODEL, input="Read /q3")
    done, failed = rows(ACTIONS)
    assert (done["tool_name"], done["tool_server"], done["outcome_status"], done["execution"]) == (
        "read_file",
        "files",
        "success",
        "observed",
    )
    assert plain(done["tool_arguments"]) == {"path": "/q3"}
    assert done["decision_response_id"] == "resp_1"
    assert done["identity_principal"] == USER
    assert failed["outcome_status"] == "failure"
    assert "no" in json.dumps(failed["outcome_result"])


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("read_file", path="/q3")], "It is empty.")
    ask = page("azure-ai")["ask"]

    class Project:
        """The client's endpoint: everything else is Azure's own, which cannot be reached here."""

        def get_openai_client(self):
            return AIProjectClient(ENDPOINT, Credential()).get_openai_client(
                base_url=model.url, api_key="none"
            )

    assert ask(Project(), "Read /q3", tools(["read_file"])) == "It is empty."
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"], row["identity_principal"]) == (
        "read_file",
        "success",
        USER,
    )
    assert plain(row["request_text"]) == "Read /q3"
