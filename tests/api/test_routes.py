"""Every route with every role, and without one that holds: exactly the status that the table says, and the same headers on every answer. Threat 52."""

import socket
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from ledger.api.app import create_app, openapi_document
from ledger.api.permits import ROUTES
from ledger.api.serving import HEADERS, TLS_HEADERS
from ledger.console.files import PATH, POLICY, is_page
from ledger.trust.roles import PERMISSIONS, Role
from tests.api.samples import fresh
from tests.api.test_auth import Nothing

EMPTY = {"json": {}}
EVENTS = {"json": {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": []}}
SPANS = {"content": b"", "headers": {"Content-Type": "application/x-protobuf"}}
# How each is asked here, and what who may do it hears.
ASKED = {
    "GET /healthz": ("/healthz", {}, 200),
    "GET /readyz": ("/readyz", {}, 200),
    "GET /console": ("/console", {}, 200),
    "GET /console/{name}": ("/console/x", {}, 404),
    "POST /console/session": ("/console/session", EMPTY, 403),
    "GET /console/session": ("/console/session", {}, 200),
    "DELETE /console/session": ("/console/session", {}, 204),
    "GET /console/oidc": ("/console/oidc", {}, 200),
    "POST /console/oidc": ("/console/oidc", {"json": {"issuer": 0}}, 403),
    "GET /console/oidc/callback": ("/console/oidc/callback?code=x&state=x", {}, 303),
    "GET /console/oidc/callback/{issuer}": ("/console/oidc/callback/x?code=x&state=x", {}, 303),
    "POST /v1/records": ("/v1/records", None, 201),
    "POST /v1/traces": ("/v1/traces", SPANS, 200),
    "POST /v1/logs": ("/v1/logs", SPANS, 200),
    "POST /v1/metrics": ("/v1/metrics", SPANS, 404),
    "POST /v1/ingest/{dialect}": ("/v1/ingest/kubernetes", EVENTS, 200),
    "GET /v1/log": ("/v1/log", {}, 200),
    "GET /checkpoint": ("/checkpoint", {}, 200),
    "GET /witnessed/checkpoint": ("/witnessed/checkpoint", {}, 404),
    "GET /v1/entries/{seq}/receipt": ("/v1/entries/0/receipt", {}, 200),
    "GET /v1/proofs/consistency": ("/v1/proofs/consistency?old=1&new=1", {}, 200),
    "GET /v1/segments": ("/v1/segments", {}, 200),
    "GET /v1/witnesses": ("/v1/witnesses", {}, 200),
    "GET /v1/peers": ("/v1/peers", {}, 200),
    "GET /metrics": ("/metrics", {}, 200),
    "GET /openapi.json": ("/openapi.json", {}, 200),
    "GET /v1/entries/{seq}": ("/v1/entries/0", {}, 200),
    "GET /v1/records/{record_id}": ("/v1/records/x", {}, 404),
    "GET /v1/records/stream": ("/v1/records/stream?from=9999999999", {}, 422),
    "GET /tile/{path}": ("/tile/0/000.p/1", {}, 200),
    "GET /witnessed/tile/{path}": ("/witnessed/tile/0/000.p/1", {}, 200),
    "GET /v1/alerts": ("/v1/alerts", {}, 200),
    "POST /v1/evidence": ("/v1/evidence", EMPTY, 422),
    "POST /v1/query": ("/v1/query", {"json": {"sql": "SELECT 1 AS one"}}, 200),
    "GET /v1/query/running": ("/v1/query/running", {}, 200),
    "DELETE /v1/query/running/{query}": ("/v1/query/running/x", {}, 404),
    "GET /v1/schema": ("/v1/schema", {}, 200),
    "GET /v1/queries": ("/v1/queries", {}, 200),
    "POST /v1/queries/{name}": ("/v1/queries/x", EMPTY, 404),
    "POST /v1/verify": ("/v1/verify", {"json": {"receipts": [""] * 101}}, 422),
    "GET /v1/verify/{job_id}": ("/v1/verify/x", {}, 404),
    "GET /v1/scrub": ("/v1/scrub", {}, 200),
    "POST /v1/seal": ("/v1/seal", {}, 200),
    "GET /v1/compact": ("/v1/compact", {}, 200),
    "POST /v1/compact": ("/v1/compact", {}, 202),
    "POST /v1/erasure": ("/v1/erasure", EMPTY, 422),
    "GET /v1/erasure/{seq}": ("/v1/erasure/0", {}, 404),
    "POST /v1/erasure/{seq}/confirm": ("/v1/erasure/0/confirm", EMPTY, 404),
    "GET /v1/retention/policies": ("/v1/retention/policies", {}, 200),
    "PUT /v1/retention/policies/{name}": ("/v1/retention/policies/x", EMPTY, 422),
    "DELETE /v1/retention/policies/{name}": ("/v1/retention/policies/x", {}, 404),
    "POST /v1/retention/run": ("/v1/retention/run", EMPTY, 200),
    "GET /v1/holds": ("/v1/holds", {}, 200),
    "PUT /v1/holds/{name}": ("/v1/holds/x", EMPTY, 422),
    "POST /v1/holds/{name}/release": ("/v1/holds/x/release", EMPTY, 422),
    "GET /v1/objects": ("/v1/objects", {}, 404),
    "POST /v1/objects/send": ("/v1/objects/send", {}, 404),
    "POST /v1/objects/move": ("/v1/objects/move", EMPTY, 422),
    "GET /v1/access": ("/v1/access", {}, 200),
    "POST /v1/access": ("/v1/access", EMPTY, 422),
    "POST /v1/access/{name}/rotate": ("/v1/access/x/rotate", EMPTY, 422),
    "DELETE /v1/access/{name}": ("/v1/access/x", {}, 404),
    "GET /v1/agent-keys": ("/v1/agent-keys", {}, 200),
    "POST /v1/agent-keys": ("/v1/agent-keys", EMPTY, 422),
    "DELETE /v1/agent-keys/{key_id}": ("/v1/agent-keys/x", {}, 404),
    "GET /v1/keys": ("/v1/keys", {}, 200),
    "POST /v1/keys/next": ("/v1/keys/next", EMPTY, 200),
    "POST /v1/keys/rotate": ("/v1/keys/rotate", EMPTY, 200),
    "POST /v1/keys/revoke": ("/v1/keys/revoke", EMPTY, 422),
    "POST /v1/keys/{seq}/confirm": ("/v1/keys/0/confirm", EMPTY, 404),
}


def shown(path):
    """A route's path as OpenAPI has it."""
    return path.replace(":path}", "}")


def test_the_table_has_every_route_and_every_route_is_asked():
    app = create_app(Nothing())
    served = {f"{method} {shown(route.path)}" for route in app.routes for method in route.methods - {"HEAD"}}
    documented = {
        f"{method.upper()} {path}"
        for path, operations in openapi_document(app)["paths"].items()
        for method in operations
    }
    assert served == set(ROUTES) == set(ASKED)
    undocumented = {"GET /openapi.json", *(route for route in served if "/console" in route)}
    assert documented == served - undocumented


def hardened(answer, *, cached=False):
    """Whether an answer has the headers that all have, and nothing that tells of the server or lets other pages read it."""
    has = answer.headers
    own = {"content-security-policy": POLICY} if is_page(answer.request.url.path) else {}
    assert all(has[name] == own.get(name, value) for name, value in HEADERS), answer.request.url
    assert not any(name in has for name, _ in TLS_HEADERS)  # nobody can have said so over plain HTTP
    kept = "no-cache" if answer.request.url.path == PATH and answer.is_success else "no-store"
    assert has["cache-control"] == ("private, max-age=31536000, immutable" if cached else kept)
    assert not any(name in has for name in ("server", "x-powered-by"))
    assert not any(name.startswith("access-control-") for name in has)


@pytest.fixture(scope="module")
def secrets(server):
    """What those show who may do nothing."""
    soon = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    found = {"unknown": "alt_" + "x" * 43, "revoked": server.grant("gone", "admin")}
    found["expired"] = server.grant("ended", "admin", expires_at=soon)
    server.revoke("gone")
    time.sleep(1.1)
    return found


@pytest.mark.parametrize("who", ["nobody", "unknown", "revoked", "expired", *(role.value for role in Role)])
def test_every_route_answers_as_the_table_says(server, secrets, who):
    roles = {role.value for role in Role}
    secret = server.tokens[who] if who in roles else secrets.get(who)
    headers = {"Authorization": f"Bearer {secret}"} if secret is not None else {}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=60) as client:
        for route, operation in ROUTES.items():
            url, options, when_permitted = ASKED[route]
            answer = client.request(
                route.split()[0], url, **({"json": fresh()} if options is None else options)
            )
            may = operation is None or (who in roles and operation in PERMISSIONS[Role(who)])
            wanted = when_permitted if may else 403 if who in roles else 401
            assert answer.status_code == wanted, (route, answer.text)
            hardened(answer, cached="/tile/" in url and wanted == 200)
            if wanted == 401:
                assert answer.headers["www-authenticate"] == "Bearer"
            assert secret is None or secret not in answer.text


def test_what_is_no_route_and_what_another_page_asks_has_the_same_headers_and_no_way_in(server):
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    with server.client() as client:
        hardened(missing := client.get("/v2/none"))
        hardened(wrong := client.put("/v1/log"))
        assert (missing.status_code, wrong.status_code) == (404, 405)
        for route in ROUTES:
            path = ASKED[route][0]
            hardened(asked := client.options(path, headers=asks))
            assert asked.status_code in {404, 405}
        hardened(client.get("/v1/log", headers=asks))


def heard(server, request):
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=15) as connection:
        connection.sendall(request)
        said = b""
        while chunk := connection.recv(65_536):
            said += chunk
    return said


def test_what_is_no_http_is_answered_with_the_same_headers(server):
    said = heard(server, b"no http at all\r\n\r\n").lower()
    assert said.startswith(b"http/1.1 400 ")
    for name, value in HEADERS:
        assert f"{name}: {value}\r\n".lower().encode() in said
    assert b"server:" not in said


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_no_other_protocol_is_spoken(server, protocol):
    head = (
        f"GET /v1/log HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHTTP2-Settings: AAMAAABk\r\n"
        f"Authorization: {server.headers['Authorization']}\r\n"
    )
    said = heard(server, f"{head}\r\n".replace("Upgrade, HTTP2", "close, Upgrade, HTTP2").encode())
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"101 " not in said[:40]
