"""Nothing but health is open; what a credential is, and where it may stand. Threats 36 and 52."""

import httpx
import pytest

from ledger.api.app import create_app

OPEN = {  # and what is said there to whoever asks
    ("GET", "/healthz"): 200,
    ("GET", "/readyz"): 200,
    ("GET", "/console"): 200,
    ("GET", "/console/{name}"): 404,
    ("POST", "/console/session"): 403,  # a page's sign-in, which comes from the page alone
    ("DELETE", "/console/session"): 204,
    ("GET", "/console/oidc"): 200,  # labels
    ("POST", "/console/oidc"): 403,
    ("GET", "/console/oidc/callback"): 303,  # nobody is signed in
    ("GET", "/console/oidc/callback/{issuer}"): 303,
}


class Nothing:
    """Stands for a service that must not be reached."""


def every_route():
    routes = create_app(Nothing()).routes
    return [(method, route.path) for route in routes for method in sorted(route.methods - {"HEAD"})]


def filled(path):
    for name, value in {
        "{seq}": "0",
        "{record_id:path}": "x",
        "{key_id:path}": "x",
        "{path:path}": "0/000",
        "{name}": "x",
        "{dialect}": "kubernetes",
        "{job_id}": "x",
        "{query}": "x",
        "{issuer}": "x",
    }.items():
        path = path.replace(name, value)
    assert "{" not in path
    return path


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
def test_no_route_but_health_and_the_consoles_page_answers_without_a_token(server, method, path):
    url = filled(path) + ("?old=1&new=1" if path.endswith("consistency") else "")
    for header in WRONG:
        with server.client() as client:
            del client.headers["Authorization"]
            headers = {} if header is None else {"Authorization": header}
            answer = client.request(method, url, headers=headers)
        if (method, path) in OPEN:
            assert answer.status_code == OPEN[method, path]
        else:
            assert answer.status_code == 401, (header, answer.text)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "alt_nobody" not in answer.text


def test_a_token_in_the_url_is_worth_nothing(server):
    with server.client() as client:
        del client.headers["Authorization"]
        token = server.tokens["admin"]
        assert client.get(f"/v1/log?access_token={token}&token={token}").status_code == 401


def test_a_token_works_from_the_answer_to_its_grant_until_the_answer_to_its_revocation(server):
    secret = server.grant("short-lived", "reader")
    with server.client() as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        assert client.get("/v1/log").status_code == 200
        server.revoke("short-lived")
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
