"""A workload's certificate, as a proxy in front of the ledger tells it. Threat 52."""

import socket
from urllib.parse import urlsplit

import pytest

from tests.api.samples import fresh
from tests.faults.server import Server

ID = "spiffe://example.org/ns/prod/sa/agent"
HEADER = "X-Forwarded-Client-Cert"


def serving(folder, network):
    served = Server(folder / "data", options=("--trusted-proxy", network))
    with served.client() as client:
        credential = {"type": "spiffe", "id": ID}
        body = {"name": "agent", "roles": ["writer"], "credential": credential}
        assert client.post("/v1/access", json=body).status_code == 201
    return served


@pytest.fixture(scope="module")
def trusting(tmp_path_factory):
    served = serving(tmp_path_factory.mktemp("trusting"), "127.0.0.0/8")
    yield served
    assert served.stop() == 0


@pytest.fixture(scope="module")
def trusting_another(tmp_path_factory):
    served = serving(tmp_path_factory.mktemp("another"), "192.0.2.0/24")
    yield served
    assert served.stop() == 0


@pytest.fixture(params=["trusting", "trusting_another"])
def either(request):
    return request.getfixturevalue(request.param)


def told(served, *headers):
    record = fresh()
    with served.client() as client:
        del client.headers["Authorization"]
        answer = client.post("/v1/records", json=record, headers=[(HEADER, each) for each in headers])
    return record, answer


FORWARDED = f'By=x;Subject="CN=agent, or so";URI={ID}'


def test_the_word_of_a_trusted_proxy_admits_a_workload(trusting):
    record, answer = told(trusting, FORWARDED)
    assert answer.status_code == 201, answer.text
    with trusting.client() as admin:
        assert admin.get(f"/v1/records/{record['id']}").json()["entry"]["submitter"] == "spiffe:agent"


def test_the_same_word_from_anybody_else_admits_nobody(trusting_another):
    assert told(trusting_another, FORWARDED)[1].status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        (f"URI={ID}", "By=the-proxy;Hash=ab"),
        (f"URI={ID},By=the-proxy;Hash=ab",),
        (f'x="URI={ID}', 'By=the-proxy;Subject="CN=x"'),
        (f"URI={ID};URI={ID}",),
        ("URI=spiffe://example.org/ns/prod/sa/other",),
        ("",),
    ],
)
def test_what_a_client_put_before_the_proxys_own_element_counts_for_nothing(either, headers):
    assert told(either, *headers)[1].status_code == 401


@pytest.mark.parametrize("at_once", [True, False])
def test_a_trailer_is_no_header_whatever_it_says(trusting, at_once):
    """It comes behind the body, past a proxy that looks at headers; also where all of the request is there before anybody looks at it."""
    head = b"POST /v1/records HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    parts = urlsplit(trusting.url)
    for trailer in (f"{HEADER}: URI={ID}", f"Authorization: {trusting.headers['Authorization']}"):
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            behind = f"2\r\n{{}}\r\n0\r\n{trailer}\r\n\r\n".encode()
            for piece in [head + behind] if at_once else [head, behind]:
                connection.sendall(piece)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_a_token_decides_where_there_is_one(either):
    with either.client() as client:
        assert client.get("/v1/access", headers={HEADER: f"URI={ID}"}).status_code == 200
        client.headers["Authorization"] = "Bearer alt_" + "x" * 43
        assert client.get("/v1/log", headers={HEADER: f"URI={ID}"}).status_code == 401


def test_a_revoked_workload_is_let_in_no_more(trusting):
    with trusting.client() as client:
        body = {"name": "gone", "roles": ["reader"], "credential": {"type": "spiffe", "id": ID + "/gone"}}
        client.post("/v1/access", json=body).raise_for_status()
        bare = trusting.client()
        del bare.headers["Authorization"]
        with bare:
            assert bare.get("/v1/log", headers={HEADER: f"URI={ID}/gone"}).status_code == 200
            client.delete("/v1/access/gone").raise_for_status()
            assert bare.get("/v1/log", headers={HEADER: f"URI={ID}/gone"}).status_code == 401
