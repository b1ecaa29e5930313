"""Evidence from a log whose key was rotated verifies under any of its keys, offline, and under no other."""

import zipfile
from io import BytesIO

import pytest

from ledger.client.evidence import verify_evidence
from ledger.core.ed25519 import generate
from ledger.core.keyhistory import parse_history
from ledger.core.note import NoteSigner, parse_vkey
from tests.api.conftest import Api
from tests.evidence.browser import Verifier, chromium
from tests.evidence.conftest import record


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An evidence file, and the keys of its log."""
    server = Api(tmp_path_factory.mktemp("rotated") / "data")
    try:
        with server.client() as client:
            seqs = [each["seq"] for each in server.post(record(0), record(1)).json()["results"]]
            for _ in range(2):
                client.post("/v1/keys/rotate").raise_for_status()
            first = parse_vkey(client.get("/v1/log").json()["verifier_key"])
            keys = parse_history(client.get("/v1/keys").json()["proof"].encode(), first)
            answer = client.post("/v1/evidence", json={"about": "case", "seqs": seqs})
            assert answer.status_code == 200, answer.text
    finally:
        assert server.stop() == 0
    return answer.content, keys


def test_the_page_follows_the_keys_as_the_command_does(made):
    data, keys = made
    stranger = NoteSigner(keys.origin, generate()).key
    with chromium() as browser:
        verifier = Verifier(browser)
        for known in keys.keys:
            shown = verifier.verify(data, str(known))
            assert (shown["findings"], shown["verdict"]) == ([], "holds")
        assert verifier.verify(data, str(stranger))["findings"]
        verifier.close()


def test_evidence_of_a_rotated_log_verifies_under_any_of_its_keys_and_no_other(made, tmp_path):
    data, keys = made
    path = tmp_path / "evidence.zip"
    path.write_bytes(data)
    for known in keys.keys:
        report = verify_evidence(path, known)
        assert (report.findings, report.verdict, report.keys) == ([], "holds", keys)
    stranger = NoteSigner(keys.origin, generate()).key
    assert verify_evidence(path, stranger).findings
    with zipfile.ZipFile(BytesIO(data)) as whole, zipfile.ZipFile(path, "w") as less:
        for name in whole.namelist():
            if name != "keys.json":
                less.writestr(name, whole.read(name))
    assert {each.file for each in verify_evidence(path, keys.first).findings} >= {"keys.json", "manifest.txt"}
