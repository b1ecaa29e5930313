"""Nothing but health is open; each role may do what its table says. Threats 36 and 52."""

import time

import httpx
import pytest

from ledger.api.app import create_app
from ledger.trust.tokens import Role, TokenStore
from tests.api.samples import fresh

OPEN = {"/healthz", "/readyz"}


class Nothing:
    """Stands for a service that must not be reached."""


def every_route():
    routes = create_app(Nothing()).routes
    return [(method, route.path) for route in routes for method in sorted(route.methods - {"HEAD"})]


def filled(path):
    for name, value in {
        "{seq}": "0",
        "{record_id:path}": "x",
        "{path:path}": "0/000",
        "{name}": "x",
        "{dialect}": "kubernetes",
        "{job_id}": "x",
    }.items():
        path = path.replace(name, value)
    assert "{" not in path
    return path


def test_the_list_of_routes_is_what_the_issues_name():
    assert {path for _, path in every_route()} == {
        "/v1/records",
        "/v1/traces",
        "/v1/logs",
        "/v1/metrics",
        "/v1/ingest/{dialect}",
        "/v1/records/{record_id:path}",
        "/v1/entries/{seq}",
        "/v1/entries/{seq}/receipt",
        "/v1/proofs/consistency",
        "/v1/log",
        "/checkpoint",
        "/tile/{path:path}",
        "/v1/verify",
        "/v1/verify/{job_id}",
        "/v1/query",
        "/v1/queries",
        "/v1/queries/{name}",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    }


WRONG = [
    None,
    "",
    "Bearer",
    "Bearer  x",
    "Bearer alt_nobody",
    "Basic YTpi",
    "bearer\talt_x",
    "Bearer " + "x" * 10_000,
]


@pytest.mark.parametrize(("method", "path"), every_route())
def test_no_route_but_health_answers_without_a_token(server, method, path):
    url = filled(path) + ("?old=1&new=1" if path.endswith("consistency") else "")
    for header in WRONG:
        with server.client() as client:
            del client.headers["Authorization"]
            headers = {} if header is None else {"Authorization": header}
            answer = client.request(method, url, headers=headers)
        if path in OPEN:
            assert answer.status_code == 200
        else:
            assert answer.status_code == 401, (header, answer.text)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "alt_nobody" not in answer.text


def test_a_token_in_the_url_is_worth_nothing(server):
    with server.client() as client:
        del client.headers["Authorization"]
        token = server.tokens["admin"]
        assert client.get(f"/v1/log?access_token={token}&token={token}").status_code == 401


ROLES = {
    ("POST", "/v1/records"): {"writer", "admin"},
    ("POST", "/v1/traces"): {"writer", "admin"},
    ("POST", "/v1/logs"): {"writer", "admin"},
    ("POST", "/v1/metrics"): {"writer", "admin"},
    ("POST", "/v1/ingest/kubernetes"): {"writer", "admin"},
    ("GET", "/v1/log"): {"writer", "reader", "auditor", "admin"},
    ("GET", "/checkpoint"): {"writer", "reader", "auditor", "admin"},
    ("GET", "/v1/entries/0/receipt"): {"writer", "reader", "auditor", "admin"},
    ("GET", "/metrics"): {"writer", "reader", "auditor", "admin"},
    ("GET", "/v1/entries/0"): {"reader", "auditor", "admin"},
    ("GET", "/v1/records/x"): {"reader", "auditor", "admin"},
    ("GET", "/tile/0/000.p/1"): {"reader", "auditor", "admin"},
    ("POST", "/v1/query"): {"reader", "auditor", "admin"},
    ("GET", "/v1/queries"): {"reader", "auditor", "admin"},
    ("POST", "/v1/queries/x"): {"reader", "auditor", "admin"},
    ("POST", "/v1/verify"): {"auditor", "admin"},
    ("GET", "/v1/verify/x"): {"auditor", "admin"},
}


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_a_role_may_do_what_its_table_says_and_nothing_else(server, role):
    with server.as_(role) as client:
        for (method, path), may in ROLES.items():
            body = (
                {"json": fresh()}
                if path == "/v1/records"
                else {"json": {"sql": "SELECT 1"}}
                if path == "/v1/query"
                else {}
            )
            status = client.request(method, path, **body).status_code
            assert (status != 403) == (role in may), (method, path, status)
            assert status not in {401, 500}


def test_a_revoked_token_is_refused_within_a_second(server):
    store = TokenStore(server.data / "tokens.json")
    secret = store.create("short-lived", [Role.READER])
    with server.client() as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        time.sleep(1.1)
        assert client.get("/v1/log").status_code == 200
        store.revoke("short-lived")
        time.sleep(1.1)
        assert client.get("/v1/log").status_code == 401


def test_the_servers_words_hold_no_token(server):
    with server.as_("admin") as client:
        client.get("/v1/log")
        client.get(f"/v1/log?token={server.tokens['admin']}")
    said = server.said()
    for token in server.tokens.values():
        assert token not in said
    assert server.headers["Authorization"].partition(" ")[2] not in said


def test_of_two_tokens_none_counts(server):
    good, bad = server.headers["Authorization"], "Bearer alt_" + "x" * 43
    for pair in [(good, bad), (bad, good), (good, good)]:
        headers = [("Authorization", value) for value in pair]
        answer = httpx.get(f"{server.url}/v1/log", headers=headers, trust_env=False)
        assert answer.status_code == 401
