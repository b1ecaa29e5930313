"""A server that takes an issuer's access tokens: the issuer on loopback, its keys fetched, rotated, unreachable. Threat 52."""

import time
from typing import get_args

import pytest

from ledger.cli.oidc import Algorithm, read_issuers
from ledger.core.errors import Code, LedgerError
from ledger.trust.jwt import ALGORITHMS
from tests.api.samples import fresh
from tests.cli.conftest import new_ledger
from tests.faults.server import Server
from tests.trust.issuer import AUDIENCE, NAME, Issuer, Key, token


@pytest.fixture(scope="module")
def issuer():
    made = Issuer(Key(), Key("RS256", kid="k2"))
    yield made
    made.close()


def file_of(path, url, **more):
    lines = [f'issuer = "{NAME}"', f'jwks_url = "{url}"', 'algorithms = ["ES256", "RS256"]']
    lines += [f"{name} = {value}" for name, value in more.items()]
    path.write_text("[[issuer]]\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def server(issuer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("oidc")
    file = file_of(folder / "oidc.toml", issuer.url, allow_private="true")
    serving = Server(folder / "data", options=("--oidc", str(file)))
    deadline = time.monotonic() + 30
    while not issuer.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    yield serving
    assert serving.stop() == 0


def grant(server, name, *roles, **claims):
    credential = {"type": "jwt", "issuer": NAME, "audience": AUDIENCE, "claims": claims}
    with server.client() as client:
        answer = client.post("/v1/access", json={"name": name, "roles": roles, "credential": credential})
    assert answer.status_code == 201, answer.text


def using(server, text):
    client = server.client()
    client.headers["Authorization"] = f"Bearer {text}"
    return client


def test_a_token_writes_under_the_grants_name_and_the_persons_id_is_nowhere(server, issuer):
    grant(server, "ci", "writer", azp="ci-system")
    text, record = token(issuer.keys[0], sub="ann@example.com", azp="ci-system"), fresh()
    with using(server, text) as client:
        assert client.post("/v1/records", json=record).status_code == 201
        assert client.get("/v1/entries/0").status_code == 403
    with server.client() as admin:
        stored = admin.get(f"/v1/records/{record['id']}")
    assert stored.json()["entry"]["submitter"] == "jwt:ci"
    for text_of in (stored.text, server.said()):
        assert "ann@example.com" not in text_of
        assert text.rpartition(".")[2] not in text_of


def test_a_revoked_grant_ends_tokens_that_are_still_good(server, issuer):
    grant(server, "short", "reader", sub="short")
    text = token(issuer.keys[1], sub="short")
    with using(server, text) as client:
        assert client.get("/v1/entries/0").status_code == 200
        server.revoke("short")
        answer = client.get("/v1/entries/0")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "fits no grant" in answer.json()["detail"]


def test_a_token_ends_when_it_says_although_it_was_verified_before(server, issuer):
    grant(server, "brief", "reader", sub="brief")
    text = token(issuer.keys[0], sub="brief", exp=int(time.time()) + 2 - 30)  # the leeway is 30 s
    with using(server, text) as client:
        assert client.get("/v1/log").status_code == 200
        time.sleep(2.1)
        assert client.get("/v1/log").status_code == 401


def test_a_token_of_an_issuer_that_the_file_does_not_name_is_refused_whatever_the_log_grants(server, issuer):
    elsewhere = {
        "type": "jwt",
        "issuer": "https://elsewhere.example",
        "audience": AUDIENCE,
        "claims": {"sub": "x"},
    }
    with server.client() as client:
        body = {"name": "elsewhere", "roles": ["admin"], "credential": elsewhere}
        assert client.post("/v1/access", json=body).status_code == 201
    with using(server, token(issuer.keys[0], iss="https://elsewhere.example", sub="x")) as client:
        assert client.get("/v1/log").status_code == 401


def test_tokens_with_unknown_keys_do_not_make_the_server_ask_its_issuer_for_each(server, issuer):
    asked = issuer.asked
    with server.client() as client:
        for number in range(50):
            text = token(Key(kid=f"made-up-{number}"))
            client.headers["Authorization"] = f"Bearer {text}"
            assert client.get("/v1/log").status_code == 401
    time.sleep(1.5)
    assert issuer.asked - asked <= 1


def test_a_redirect_is_not_followed_and_a_private_address_is_not_reached_unless_the_file_says_so(tmp_path):
    honest, redirecting = Issuer(Key()), Issuer()
    redirecting.status, redirecting.location = 302, honest.url
    for number, (url, private, says) in enumerate(
        [
            (redirecting.url, "true", "redirects are not followed"),
            ("https://127.0.0.1:1/keys", "false", "private"),
        ]
    ):
        file = file_of(tmp_path / f"{number}.toml", url, allow_private=private)
        server = Server(tmp_path / f"data-{number}", options=("--oidc", str(file)))
        try:
            grant(server, "ci", "writer", sub="agent-7")
            with using(server, token(honest.keys[0])) as client:
                assert client.get("/v1/log").status_code == 401
            deadline = time.monotonic() + 20
            while says not in server.said() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert says in server.said()
        finally:
            server.stop()
    assert honest.asked == 0
    honest.close()
    redirecting.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[[issuer]]\nissuer = 'x'\n",
        "[[issuer]]\nissuer = 'x'\njwks_url = 'http://x.example/k'\n",
        "[[issuer]]\nissuer = 'x'\njwks_url = 'https://u:p@x.example/k'\n",
        "[[issuer]]\nissuer = 'x'\njwks_url = 'https://x.example/k'\nalgorithms = ['HS256']\n",
        "[[issuer]]\nissuer = 'x'\njwks_url = 'https://x.example/k'\nalgorithms = ['none']\n",
        "[[issuer]]\nissuer = 'x'\njwks_url = 'https://x.example/k'\nalgorithms = []\n",
        "[[issuer]]\nissuer = 'x'\njwks_url = 'https://x.example/k'\nleeway_s = 100000\n",
        "[[issuer]]\nissuer = 'x'\njwks_url = 'https://x.example/k'\nrole = 'admin'\n",
        2 * "[[issuer]]\nissuer = 'x'\njwks_url = 'https://x.example/k'\n",
        "not toml",
    ],
)
def test_a_file_that_is_not_understood_is_refused_before_anything_is_made(tmp_path, text):
    file = tmp_path / "oidc.toml"
    file.write_text(text)
    with pytest.raises(LedgerError) as caught:
        read_issuers(file)
    assert caught.value.code is Code.OIDC_FILE
    assert "u:p" not in caught.value.detail


def test_the_file_may_name_the_algorithms_that_are_verified_and_no_other():
    assert get_args(Algorithm) == ALGORITHMS


def test_serve_refuses_such_a_file_in_one_line(tmp_path):
    ledger = new_ledger(tmp_path)
    ended = ledger.run("serve", "--port", "0", "--oidc", str(tmp_path / "nowhere.toml"))
    assert (ended.returncode, ended.stderr.count(b"\n")) == (2, 1)
    assert b"[oidc-file]" in ended.stderr
    assert not ledger.data.exists()
