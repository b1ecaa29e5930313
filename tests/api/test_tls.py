"""The ledger's own TLS: what it serves, what its clients accept, and workloads that show certificates. Threat 52."""

import shutil
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

import httpx
import pytest

from ledger.api.serving import HANDSHAKE_SECONDS
from ledger.cli.exits import CommandError
from ledger.cli.tls import read_tls
from ledger.client import Ledger as Recorder
from ledger.client.address import CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE, tls_context
from ledger.client.http import LedgerClient, UnreachableError
from ledger.core.errors import Code, LedgerError
from tests.api.authority import Authority
from tests.api.samples import fresh
from tests.cli.conftest import Ledger
from tests.faults.server import NotStarted, Server

ID = "spiffe://example.org/ns/prod/sa/agent"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "another authority")


@pytest.fixture(scope="module")
def server(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    for source, name in zip(authority.issue("first"), ("tls.pem", "tls.key"), strict=True):
        shutil.copy(source, folder / name)
    options = ("--tls-certificate", folder / "tls.pem", "--tls-key", folder / "tls.key")
    serving = Server(
        folder / "data",
        options=(*map(str, options), "--tls-client-ca", str(authority.file)),
        verify=tls_context(authority.file, {}),
    )
    credential = {"type": "spiffe", "id": ID}
    with serving.client() as admin:
        body = {"name": "agent", "roles": ["writer"], "credential": credential}
        admin.post("/v1/access", json=body).raise_for_status()
    yield serving
    assert serving.stop() == 0


def shown_by(server):
    """The certificate that a server shows in a new connection."""
    parts = urlsplit(server.url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((parts.hostname, parts.port), 10) as plain,
        context.wrap_socket(plain) as tls,
    ):
        return tls.getpeercert(binary_form=True)


def test_the_sdk_records_over_tls_and_its_words_arrive(server, authority):
    secret = server.grant("recorder", "writer")
    with (
        Recorder(server.url, secret, ca_file=authority.file) as recorder,
        recorder.action("send_email", arguments={"to": "a"}) as act,
    ):
        act.result = "sent"
    with server.client() as admin:
        sql = "SELECT count(*) FROM actions WHERE tool_name = 'send_email'"
        assert admin.post("/v1/query", json={"sql": sql}).json()["rows"] == [[1]]


def test_commands_on_the_servers_machine_know_its_certificate_and_others_are_told_the_authority(
    server, authority, tmp_path
):
    ledger = Ledger(server.data, "", tmp_path)
    assert ledger.run("token", "list").returncode == 0
    token = tmp_path / "token"
    token.write_text(server.headers["Authorization"].partition(" ")[2])
    elsewhere = ("get", "0", "--url", server.url, "--token-file", str(token))
    assert ledger.run(*elsewhere, **{CA_VARIABLE: str(authority.file)}).returncode == 0
    unknown = ledger.run(*elsewhere)
    assert unknown.returncode == 3
    assert b"is not shown to be your ledger" in unknown.stderr
    assert unknown.stderr.count(b"\n") == 1
    assert b"alt_" not in unknown.stderr


@pytest.fixture
def heard():
    """What a server with a certificate hears from a client: `listen(files)` is its URL, `said` its bytes."""

    class Heard:
        said: list[bytes] = []  # noqa: RUF012 - one test's

        def listen(self, certificate, key):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self.socket = socket.create_server(("127.0.0.1", 0))
            self.thread = threading.Thread(target=self._once, args=(context,))
            self.thread.start()
            return f"https://127.0.0.1:{self.socket.getsockname()[1]}"

        def _once(self, context):
            connection, _ = self.socket.accept()
            connection.settimeout(10)
            try:
                with context.wrap_socket(connection, server_side=True) as tls:
                    self.said.append(tls.recv(4096))
            except OSError:
                connection.close()

    listening = Heard()
    listening.said = []
    yield listening
    listening.thread.join(10)
    listening.socket.close()


WRONG = {
    "another authority": "self-signed certificate in certificate chain",
    "another name": "IP address mismatch",
    "ended": "certificate has expired",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_server_that_is_not_the_ledger_hears_nothing_and_is_told_in_one_readable_line(
    wrong, authority, stranger, heard
):
    issuer = stranger if wrong == "another authority" else authority
    names = {"addresses": (), "dns": ["other.example"]} if wrong == "another name" else {}
    url = heard.listen(*issuer.issue(wrong.replace(" ", "-"), ended=wrong == "ended", **names))
    with (
        LedgerClient(url, "alt_secret", tls=tls_context(authority.file, {})) as client,
        pytest.raises(UnreachableError) as refused,
    ):
        client.log()
    said = str(refused.value)
    assert said.startswith(f"the server at {url} is not shown to be your ledger: ")
    assert WRONG[wrong] in said
    assert "alt_secret" not in said
    assert "\n" not in said
    heard.thread.join(10)
    assert heard.said in ([], [b""])


def test_an_authority_of_ones_own_counts_alone(authority, monkeypatch):
    assert len(tls_context(authority.file, {}).get_ca_certs()) == 1
    assert len(tls_context(None, {CA_VARIABLE: str(authority.file)}).get_ca_certs()) == 1


@pytest.mark.parametrize(
    "named",
    [{CA_VARIABLE: "/none/ca.pem"}, {CERTIFICATE_VARIABLE: "/none/c.pem", KEY_VARIABLE: "/none/c.key"}],
)
def test_files_for_tls_that_are_not_there_are_named(named):
    with pytest.raises(ValueError, match=r"/none/c.*No such file"):
        tls_context(None, named)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match="a user or a password in it") as refused:
        LedgerClient("https://me:s3cret@ledger.example")
    assert "s3cret" not in str(refused.value)


def test_what_is_older_than_tls_1_3_is_refused_where_clients_show_certificates(server):
    parts = urlsplit(server.url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((parts.hostname, parts.port), 10) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)


def test_plain_http_gets_no_answer_from_the_port_with_tls(server):
    with pytest.raises(httpx.HTTPError):
        httpx.get(server.url.replace("https", "http") + "/healthz", trust_env=False)


def test_every_answer_over_tls_says_that_the_next_one_is_too(server):
    with server.client() as client:
        assert client.get("/healthz").headers["strict-transport-security"] == "max-age=31536000"
        assert "strict-transport-security" in client.get("/none").headers


# ---- renewal


def put(certificate, key, server):
    """As certbot and cert-manager do: each file whole, one after the other."""
    folder = server.data.parent
    for source, name in ((certificate, "tls.pem"), (key, "tls.key")):
        shutil.copy(source, folder / "new")
        (folder / "new").replace(folder / name)


def awaited(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_renewed_certificate_is_shown_to_the_next_client_and_half_of_one_to_nobody(server, authority):
    first = shown_by(server)
    certificate, key = authority.issue("second")
    put(certificate, server.data.parent / "tls.key", server)  # the key of the first
    time.sleep(1.2)
    assert shown_by(server) == first
    assert "the certificate stays what it was" in server.said()
    put(certificate, key, server)
    awaited(lambda: shown_by(server) != first)
    with server.client() as client:
        assert client.get("/v1/log").status_code == 200
    bare = workload_client(server, authority, *authority.issue("after-renewal", uris=[ID]))
    with bare:
        assert bare.get("/v1/log").status_code == 200


# ---- workloads


def workload_client(server, authority, certificate, key, **headers):
    context = tls_context(authority.file, {CERTIFICATE_VARIABLE: str(certificate), KEY_VARIABLE: str(key)})
    return httpx.Client(base_url=server.url, verify=context, trust_env=False, timeout=30, headers=headers)


def test_a_certificate_with_an_id_that_the_log_grants_writes_under_its_name(server, authority):
    certificate, key = authority.issue("agent", uris=[ID])
    record = fresh()
    with workload_client(server, authority, certificate, key) as client:
        assert client.post("/v1/records", json=record).status_code == 201
        assert client.get(f"/v1/records/{record['id']}").status_code == 403  # a writer
    with server.client() as admin:
        assert admin.get(f"/v1/records/{record['id']}").json()["entry"]["submitter"] == "spiffe:agent"


@pytest.mark.parametrize(
    "uris", [[], [ID, ID + "/other"], [ID + "/other"], ["https://example.org/ns/prod/sa/agent"]]
)
def test_a_certificate_that_names_nobody_or_two_or_somebody_else_admits_nobody(server, authority, uris):
    with workload_client(server, authority, *authority.issue("other", uris=uris)) as client:
        assert client.get("/v1/log").status_code == 401


def test_what_a_browser_sends_for_a_page_is_nobodys_and_a_header_counts_from_trusted_proxies_alone(
    server, authority
):
    files = authority.issue("browser", uris=[ID])
    with workload_client(server, authority, *files, Origin="https://evil.example") as client:
        assert client.post("/v1/records", json=fresh()).status_code == 401
    with workload_client(server, authority, *authority.issue("nobody")) as client:
        forwarded = {"X-Forwarded-Client-Cert": f"URI={ID}"}
        assert client.get("/v1/log", headers=forwarded).status_code == 401


@pytest.mark.parametrize("wrong", ["another authority", "ended"])
def test_a_certificate_of_another_authority_or_one_that_has_ended_gets_no_connection(
    server, authority, stranger, wrong
):
    issuer = stranger if wrong == "another authority" else authority
    files = issuer.issue("intruder", uris=[ID], ended=wrong == "ended")
    with workload_client(server, authority, *files) as client, pytest.raises(httpx.HTTPError):
        client.get("/v1/log")


def test_a_revoked_workload_is_let_in_no_more_on_the_same_connection(server, authority):
    credential = {"type": "spiffe", "id": ID + "/gone"}
    with server.client() as admin:
        body = {"name": "gone", "roles": ["reader"], "credential": credential}
        admin.post("/v1/access", json=body).raise_for_status()
        with workload_client(server, authority, *authority.issue("gone", uris=[ID + "/gone"])) as client:
            assert client.get("/v1/log").status_code == 200
            admin.delete("/v1/access/gone").raise_for_status()
            assert client.get("/v1/log").status_code == 401


# ---- what is refused at the start


def test_other_machines_are_answered_in_clear_only_where_somebody_says_so(tmp_path):
    with pytest.raises(NotStarted, match="--plain-http") as refused:
        Server(tmp_path / "data", options=("--host", "0.0.0.0"))  # noqa: S104 - that is the point
    assert refused.value.status == 2
    assert not (tmp_path / "data").exists()
    server = Server(tmp_path / "data", options=("--host", "0.0.0.0", "--plain-http"))  # noqa: S104
    ledger = Ledger(server.data, "", tmp_path / "state")
    assert (
        ledger.run("token", "list").returncode == 0
    )  # which are told an address that they trust with the token
    assert server.stop() == 0


def test_files_that_make_no_tls_are_refused_and_named(authority, tmp_path):
    certificate, key = authority.issue("sound")
    assert read_tls(certificate, key, authority.file) is not None
    assert read_tls(None, None) is None
    for lacking in ((certificate, None), (None, key), (None, None, authority.file)):
        with pytest.raises(CommandError, match="go together"):
            read_tls(*lacking)
    wrong = {
        "mismatch": (certificate, authority.issue("other")[1]),
        "none: No such file": (certificate, tmp_path / "none"),
        "the key is encrypted": (certificate, authority.issue("sealed", password=b"secret")[1]),
        "sound.key: no certificate": (certificate, key, key),
        "no PEM of what it should be": (key, key),
    }
    for why, files in wrong.items():
        with pytest.raises(LedgerError, match=f"TLS: .*{why}") as refused:
            read_tls(*files)
        assert refused.value.code is Code.TLS_FILES
    key.chmod(0o644)
    with pytest.raises(LedgerError, match=r"sound.key can be read .* chmod"):
        read_tls(certificate, key)


@pytest.mark.soak
def test_a_handshake_that_does_not_begin_is_given_up(server):
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), HANDSHAKE_SECONDS * 3) as plain:
        assert plain.recv(1) == b""
