"""Signing in over a real server, and every way in that is none. Threat 52."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from ledger.trust.roles import PERMISSIONS, Role
from tests.api.samples import fresh
from tests.console.conftest import PAGE
from tests.faults.server import Server

NOBODY = "alt_" + "x" * 43


def cookie(page):
    (found,) = page.cookies.jar
    return found


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_who_signs_in_may_what_the_token_may_and_no_more(server, role):
    with server.signed_in(role) as page:
        told = page.get("/console/session").json()
        assert told["name"] == f"a-{role}"
        assert told["permits"] == sorted(PERMISSIONS[Role(role)])
        assert page.get("/v1/log").status_code == 200
        may_ask = "query" in told["permits"]
        assert page.post("/v1/query", json={"sql": "SELECT 1 AS one"}).status_code == (
            200 if may_ask else 403
        )
        assert page.get("/v1/access").status_code == (200 if role == "admin" else 403)


def test_a_session_sees_no_contents_where_its_token_sees_none(server):
    posted = server.post(fresh()).json()
    with server.signed_in("reader") as reader, server.signed_in("content-reader") as seeing:
        assert reader.get(f"/v1/entries/{posted['seq']}").json()["contents"] == []
        assert seeing.get(f"/v1/entries/{posted['seq']}").json()["contents"] != []


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_is_no_token(server):
    with server.page() as page:
        answer = page.post("/console/session", json={"token": server.tokens["reader"]})
    said = answer.headers["set-cookie"]
    assert said.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert server.tokens["reader"] not in said + answer.text
    assert answer.headers["cache-control"] == "no-store"


FAILED = ["", " ", NOBODY, "Bearer x", "a.b.c", "eyJ.e30.x", "\x1b[2J\r\n200 OK", "x" * 10_000, "ä\u202e"]


@pytest.mark.parametrize("token", FAILED)
def test_whoever_is_not_let_in_hears_the_same_and_gets_no_cookie(server, token):
    with server.page() as page:
        answer = page.post("/console/session", json={"token": token})
        assert answer.status_code == 401
        assert answer.json()["detail"] == "this token is not known here, was revoked, or has expired"
        assert "set-cookie" not in answer.headers
        assert page.get("/v1/log").status_code == 401


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"token": 1}', b'{"token": "x", "role": "admin"}', b'{"token": "\\ud800"}']
)
def test_a_body_that_is_no_sign_in_is_refused(server, body):
    with server.page() as page:
        assert page.post("/console/session", content=body).status_code in {400, 401, 422}
        assert not page.cookies.jar


def test_what_a_failed_sign_in_said_is_not_in_the_servers_words(server):
    with server.page() as page:
        page.post("/console/session", json={"token": "alt_forged\n2026-11-22 signed in: admin"})
        page.get("/v1/log", headers={"Cookie": "agent-ledger-x=a\u001b[31mred"})
    assert "forged" not in server.said()
    assert "\x1b" not in server.said()


OTHERS = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin, same-origin"},
    {"Sec-Fetch-Site": "SAME-ORIGIN"},
    {"X-Console": "1"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "X-Console": "1"},
]


@pytest.mark.parametrize("said", OTHERS)
def test_another_page_signs_nobody_in_and_nobody_out_and_its_cookie_counts_for_nothing(server, said):
    with server.signed_in("admin") as page:
        shown = {"Cookie": f"{cookie(page).name}={cookie(page).value}", **said}
        with httpx.Client(base_url=server.url, headers=shown, trust_env=False, timeout=30) as other:
            assert other.post("/console/session", json={"token": server.tokens["admin"]}).status_code == 403
            assert other.delete("/console/session").status_code == 403
            for path in ("/v1/log", "/v1/access", "/v1/entries/0", "/console/session"):
                assert other.get(path).status_code == 401
            assert other.post("/v1/records", json=fresh()).status_code == 401
        assert page.get("/v1/log").status_code == 200


def test_what_may_change_something_needs_the_pages_own_header_too(server):
    with server.signed_in("admin") as page:
        del page.headers["X-Console"]
        assert page.get("/v1/log").status_code == 200
        assert page.post("/v1/query", json={"sql": "SELECT 1 AS one"}).status_code == 401
        assert page.post("/v1/records", json=fresh()).status_code == 401
        assert page.request("DELETE", "/v1/access/a-reader").status_code == 401
        assert page.post("/console/session", json={"token": server.tokens["admin"]}).status_code == 403


def test_a_token_goes_before_a_cookie(server):
    with server.signed_in("admin") as page:
        writer = {"Authorization": f"Bearer {server.tokens['writer']}"}
        assert page.get("/v1/access", headers=writer).status_code == 403
        assert page.get("/v1/log", headers={"Authorization": f"Bearer {NOBODY}"}).status_code == 401
        assert page.get("/v1/log", headers={"Authorization": "Basic YTpi"}).status_code == 401


def test_who_signs_out_is_out_also_with_a_copy_of_the_cookie(server):
    with server.signed_in() as page:
        kept = cookie(page)
        assert page.delete("/console/session").status_code == 204
        assert not page.cookies.jar
        page.cookies.set(kept.name, kept.value)
        assert page.get("/v1/log").status_code == 401
        assert page.delete("/console/session").status_code == 204


def test_signing_in_again_makes_a_new_session_and_ends_the_one_before(server):
    with server.page() as page:
        name = "agent-ledger-" + "0" * 12
        page.cookies.set(name, "f" * 43)
        page.post("/console/session", json={"token": server.tokens["reader"]})
        first = next(each for each in page.cookies.jar if each.name != name)
        page.cookies.clear()
        page.cookies.set(first.name, first.value)
        chosen = page.post("/console/session", json={"token": server.tokens["admin"]}).headers["set-cookie"]
        assert first.value not in chosen
        page.cookies.clear()
        page.cookies.set(first.name, first.value)
        assert page.get("/v1/log").status_code == 401


def test_a_session_that_somebody_chose_is_none(server):
    with server.signed_in() as page:
        name = cookie(page).name
    with server.page() as victim:
        victim.cookies.set(name, "f" * 43)
        assert victim.get("/v1/log").status_code == 401
        answer = victim.post("/console/session", json={"token": server.tokens["reader"]})
        assert "f" * 43 not in answer.headers["set-cookie"]


def test_two_sessions_in_one_request_are_none(server):
    with server.signed_in() as page:
        own = f"{cookie(page).name}={cookie(page).value}"
        for both in (f"{own}; {own}", f"{own}; {cookie(page).name}={'f' * 43}"):
            assert (
                httpx.get(
                    f"{server.url}/v1/log", headers={**PAGE, "Cookie": both}, trust_env=False
                ).status_code
                == 401
            )


def test_a_session_ends_with_its_token(server):
    secret = server.grant("short-lived", "reader")
    with server.page() as page:
        page.post("/console/session", json={"token": secret}).raise_for_status()
        assert page.get("/v1/log").status_code == 200
        server.revoke("short-lived")
        answer = page.get("/v1/log")
        assert answer.status_code == 401
        assert "sign in again" in answer.json()["detail"]


def test_a_session_in_the_url_is_worth_nothing(server):
    with server.signed_in() as page:
        value = cookie(page).value
    with server.page() as other:
        assert other.get(f"/v1/log?session={value}&token={value}").status_code == 401
        assert other.get("/v1/log", headers={"Authorization": f"Bearer {value}"}).status_code == 401


def test_a_session_is_of_one_server(server, tmp_path):
    other = Server(tmp_path / "data", origin="ledger.example/other")
    try:
        with server.signed_in("admin") as page:
            kept = cookie(page)
            shown = {**PAGE, "Cookie": f"{kept.name}={kept.value}"}
            assert httpx.get(f"{other.url}/v1/log", headers=shown, trust_env=False).status_code == 401
    finally:
        assert other.stop() == 0


def heard(server, request):
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=15) as connection:
        connection.sendall(request)
        return connection.recv(65_536)


def test_two_cookie_headers_are_no_way_around(server):
    with server.signed_in() as page:
        own = f"{cookie(page).name}={cookie(page).value}"
    lines = f"Sec-Fetch-Site: same-origin\r\nCookie: {own}\r\nCookie: {own}\r\nConnection: close\r\n"
    assert heard(server, f"GET /v1/log HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()).startswith(
        b"HTTP/1.1 401 "
    )


def test_the_word_of_a_proxy_that_is_not_trusted_changes_no_cookie(server):
    with server.page() as page:
        answer = page.post(
            "/console/session",
            json={"token": server.tokens["reader"]},
            headers={"X-Forwarded-Proto": "https"},
        )
    assert "Secure" not in answer.headers["set-cookie"]


def test_behind_a_trusted_proxy_with_tls_the_cookie_is_bound_to_tls_and_the_host(tmp_path):
    proxied = Server(tmp_path / "data", options=["--trusted-proxy", "127.0.0.1/32"])
    try:
        token = proxied.headers["Authorization"].partition(" ")[2]
        said = {**PAGE, "X-Forwarded-Proto": "https"}
        answer = httpx.post(
            f"{proxied.url}/console/session", json={"token": token}, headers=said, trust_env=False
        )
        name, _, rest = answer.headers["set-cookie"].partition("=")
        assert name.startswith("__Host-")
        assert rest.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure")
        shown = {"Cookie": f"{name}={rest.partition(';')[0]}"}
        assert (
            httpx.get(f"{proxied.url}/v1/log", headers={**said, **shown}, trust_env=False).status_code == 200
        )
        assert (
            httpx.get(f"{proxied.url}/v1/log", headers={**PAGE, **shown}, trust_env=False).status_code == 401
        )
    finally:
        assert proxied.stop() == 0
