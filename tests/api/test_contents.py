"""Contents and persons are for those who may see them; the others get what the entry itself holds: commitments. Threat 36."""

import json

import pytest

from ledger.forensics.render import MEDIA_TYPES
from ledger.trust.roles import PERMISSIONS, Operation, Role
from tests.api.samples import fresh

CANARY = "canary-7f3a-in-the-arguments"
PERSON = "canary-7f3a@example.com"
SEEING = sorted(role.value for role in Role if Operation.CONTENTS in PERMISSIONS[role])
BLIND = sorted(
    role.value
    for role in Role
    if Operation.READ in PERMISSIONS[role] and Operation.CONTENTS not in PERMISSIONS[role]
)
ACCEPTS = [*MEDIA_TYPES]
ASKED = [
    "SELECT * FROM records WHERE id = $id",
    "SELECT * FROM actions WHERE id = $id",
    "SELECT tool_arguments, request_user, request_text, outcome_result FROM records WHERE id = $id",
    "SELECT to_json(r)::VARCHAR FROM records r WHERE id = $id",
    "SELECT tool_arguments->>'note', 1 / (id <> $id)::INT FROM records",
    "SELECT CAST(request_user AS INTEGER), id <> $id FROM records",
    "SELECT string_agg(COLUMNS(*)::VARCHAR) FROM persons WHERE $id IS NOT NULL",
    "SELECT * FROM query('SELECT * FROM records WHERE id = ''' || $id || '''')",
    "SELECT *, $id FROM stored.records",
    'SELECT *, $id FROM "stored" /* */ . "records"',
    "FROM stored.persons WHERE $id IS NOT NULL",
    "SELECT *, $id FROM live.every_action",
    "SELECT *, $id FROM memory.stored.records",
    "SELECT *, $id FROM sealed.stored.records",
    "SELECT * FROM query_table(['stored.records']) WHERE id = $id",
    "SELECT $id, * FROM (SUMMARIZE stored.records)",
    "SELECT max(stats(tool_arguments)), min(request_user), $id FROM records",
    "SELECT $id, * FROM flows",
    "SELECT $id, * FROM sessions",
    "SELECT $id, * FROM identities",
    "SELECT $id, * FROM denials",
    "SELECT $id, * FROM tools",
    "SELECT $id, * FROM resources",
]


@pytest.fixture(scope="module")
def record(server):
    made = fresh(
        tool={"name": "pay", "arguments": {"note": CANARY}},
        request={"user": PERSON, "text": CANARY},
        identity={"principal": PERSON},
        outcome={"status": "success", "result": {"said": CANARY}},
    )
    assert server.post(made).status_code == 201
    return made


def holds_canary(answer):
    return b"canary-7f3a" in answer.content


def test_only_content_readers_and_admins_see_contents():
    assert SEEING == ["admin", "content-reader"]
    assert BLIND == ["auditor", "reader"]


@pytest.mark.parametrize("role", SEEING)
def test_who_may_see_contents_sees_them_in_records_and_answers(server, record, role):
    with server.as_(role) as client:
        stored = client.get(f"/v1/records/{record['id']}").json()
        assert {c["member"] for c in stored["contents"]} == {
            "request.text",
            "tool.arguments",
            "outcome.result",
        }
        assert [json.loads(person["value"]) for person in stored["persons"]] == [PERSON]
        assert stored["hidden"] == []
        for sql in ASKED[:4]:
            assert holds_canary(
                client.post("/v1/query", json={"sql": sql, "parameters": {"id": record["id"]}})
            )


@pytest.mark.parametrize("role", BLIND)
def test_who_may_not_gets_the_entry_with_its_commitments_and_is_told_what_is_hidden(server, record, role):
    with server.as_(role) as client:
        seq = client.get(f"/v1/records/{record['id']}").json()["seq"]
        for path in (f"/v1/records/{record['id']}", f"/v1/entries/{seq}"):
            answer = client.get(path)
            assert not holds_canary(answer)
            stored = answer.json()
            assert (stored["contents"], stored["persons"], stored["withheld"]) == ([], [], [])
            assert len(stored["entry"]["record"]["tool"]["arguments"]) == 64
            assert set(stored["hidden"]) == {
                "request.text",
                "request.user",
                "tool.arguments",
                "outcome.result",
                "identity.principal",
            }


@pytest.mark.parametrize("role", BLIND)
@pytest.mark.parametrize("accept", ACCEPTS)
def test_no_query_of_a_plain_reader_shows_a_content_or_a_person(server, record, role, accept):
    with server.as_(role) as client:
        for sql in ASKED:
            question = {"sql": sql, "parameters": {"id": record["id"]}}
            assert not holds_canary(client.post("/v1/query", json=question, headers={"Accept": accept})), sql


def test_a_plain_reader_sees_null_where_a_content_is_and_its_commitment_beside_it(server, record):
    with server.as_("reader") as client, server.as_("admin") as admin:
        columns = "tool_arguments, request_user, tool_arguments_commitment, request_user_commitment"
        question = {
            "sql": f"SELECT {columns} FROM records WHERE id = $id",
            "parameters": {"id": record["id"]},
        }
        [[arguments, user, *commitments]] = client.post("/v1/query", json=question).json()["rows"]
        assert (arguments, user) == (None, None)
        assert commitments == admin.post("/v1/query", json=question).json()["rows"][0][2:]
        assert [len(each) for each in commitments] == [64, 64]


def test_a_named_question_is_answered_without_contents_to_a_plain_reader(server, record):
    question = {"parameters": {"literal": CANARY}}
    with server.as_("reader") as client, server.as_("content-reader") as seeing:
        name = "/v1/queries/calls-carrying-a-literal"
        assert client.post(name, json=question).json()["rows"] == []
        assert len(seeing.post(name, json=question).json()["rows"]) == 1


@pytest.mark.parametrize("role", [role.value for role in Role if role not in SEEING])
def test_no_route_that_gives_something_gives_a_content_to_who_may_not_see_it(server, record, role):
    with server.as_("admin") as admin:
        seq = admin.get(f"/v1/records/{record['id']}").json()["seq"]
        size = admin.get("/v1/log").json()["size"]
    assert size < 256
    with server.as_(role) as client:
        for path in (
            f"/v1/records/{record['id']}",
            f"/v1/entries/{seq}",
            f"/v1/entries/{seq}/receipt",
            f"/tile/entries/000.p/{size}",
            f"/tile/0/000.p/{size}",
            "/v1/log",
            "/checkpoint",
            "/metrics",
            "/v1/segments",
            "/openapi.json",
            "/v1/queries",
            "/v1/scrub",
        ):
            assert not holds_canary(client.get(path)), path
        again = client.post("/v1/records", json={**record, "type": "request"})
        assert not holds_canary(again)
