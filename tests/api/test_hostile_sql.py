"""Hostile SQL over HTTP, with the token of a reader who may see no contents, on a log that is asked through sealed tables."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ledger.api.front import application
from ledger.api.service import Service
from ledger.forensics.catalog import load_queries
from ledger.forensics.service import QueryService
from ledger.log.access import Bearer, Grant
from ledger.log.log import Log
from ledger.trust.admission import Admission
from ledger.trust.granting import grant
from ledger.trust.local import digest, new_secret
from ledger.trust.roles import Role
from tests.forensics.canaries import SECRET, post, story
from tests.forensics.conftest import ORIGIN
from tests.forensics.hostile import CANARY, CURIOUS, INQUISITIVE, REFUSED, SILENT

SLOW = f"SELECT '{CANARY}-words', count(*) FROM range(1000000000) a, range(1000000000) b"
ACCEPTS = ("application/json", "application/vnd.apache.arrow.stream")


class Served:
    """The application over a real log and real workers, and what must not come out of it."""

    def __init__(self, folder: Path) -> None:
        Log.create(folder, ORIGIN)
        self.log = Log.open(folder)
        self.tokens = {role.value: new_secret() for role in Role}
        for role, secret in self.tokens.items():
            grant(self.log, Grant(f"a-{role}", (role,), Bearer(digest(secret).hex()), "folder"))
        self.tables = folder / "queries"
        queries = QueryService(self.log, tables=self.tables, from_entries=1, behind=1_000)
        service = Service(
            log=self.log, admission=Admission(self.log), queries=queries, catalog=load_queries()
        )
        self.client = TestClient(application(service))
        secrets = (CANARY, str(folder), "cli.token", ".duckdb", *self.tokens.values())
        self.secrets = [secret.encode() for secret in secrets]

    def ask(self, role: str, sql: str, accept: str = "application/json", **headers: str):
        parameters = {"x": "x"} if "$x" in sql else {}
        return self.client.post(
            "/v1/query",
            json={"sql": sql, "parameters": parameters},
            headers={"Authorization": f"Bearer {self.tokens[role]}", "Accept": accept, **headers},
        )

    def leaked(self, body: bytes, sql: str) -> list[bytes]:
        """Secrets in an answer that were not in the question."""
        return [secret for secret in self.secrets if secret in body and secret.decode() not in sql]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served") / "data")
    with made.client:
        post(made.log, story()[:3])
        assert made.ask("admin", "SELECT 1").status_code == 200
        (made.tables / "beside.txt").write_text(f"{CANARY}-beside\n")
        post(made.log, story()[3:])
        yield made
    made.log.close()


def test_there_is_something_to_be_found_and_the_tables_are_sealed(served: Served):
    assert [path.suffix for path in served.tables.iterdir()].count(".duckdb") == 1
    for view in ("records", "actions", "flows", "sessions", "resources", "denials"):
        assert SECRET.encode() in served.ask("content-reader", f"FROM {view}").content


@pytest.mark.parametrize("accept", ACCEPTS)
def test_no_answer_to_a_plain_reader_holds_a_content_a_path_or_a_token(served: Served, accept: str):
    for sql in [*CURIOUS, *INQUISITIVE, *SILENT]:
        answer = served.ask("reader", sql, accept)
        assert answer.status_code in {200, 422}, sql
        assert served.leaked(answer.content, sql) == [], sql


def test_what_is_refused_is_a_problem_of_the_client_and_tells_nothing(served: Served):
    sealed = next(path for path in served.tables.iterdir() if path.suffix == ".duckdb")
    places = {
        "tables": sealed,
        "file": served.tables / "beside.txt",
        "folder": served.tables,
        "out": served.tables / "out",
    }
    for sql in REFUSED:
        for name, value in places.items():
            sql = sql.replace(f"{{{name}}}", str(value))  # noqa: PLW2901
        answer = served.ask("reader", sql)
        assert answer.status_code == 422, sql
        assert served.leaked(answer.content, sql) == [], sql
    assert served.ask("reader", "SELECT count(*) FROM actions").json()["rows"] == [[4]]


def test_nobody_learns_what_somebody_else_is_asking(served: Served):
    name = f"{CANARY}-id"
    asking = threading.Thread(
        target=served.ask, args=("content-reader", SLOW), kwargs={"Ledger-Query-Id": name}
    )
    asking.start()
    admin, reader = ({"Authorization": f"Bearer {served.tokens[role]}"} for role in ("admin", "reader"))
    deadline = time.monotonic() + 20
    while name not in served.client.get("/v1/query/running", headers=admin).text:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    try:
        assert CANARY not in served.client.get("/v1/query/running", headers=reader).text
        assert served.client.delete(f"/v1/query/running/{name}", headers=reader).status_code == 404
        for sql in (
            "SELECT current_query()",
            "FROM duckdb_logs()",
            "FROM pg_stat_activity",
            "FROM records WHERE type LIKE 'log.%'",
        ):
            assert CANARY.encode() not in served.ask("reader", sql).content
    finally:
        served.client.delete(
            f"/v1/query/running/{name}", headers=admin
        )  # unless its time is up: the machine may be busy
        asking.join(60)
    asked = served.ask("reader", "SELECT ext, request_text FROM records WHERE type = 'log.query_run'").content
    assert CANARY.encode() not in asked
    assert "a-content-reader" in json.dumps(asked.decode())
