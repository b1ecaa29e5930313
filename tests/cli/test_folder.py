"""Commands that work on a data folder of one's own."""

import json
import stat

import pytest

from ledger.core.ed25519 import generate
from ledger.core.entry import record_signing_input
from ledger.core.note import fingerprint, parse_vkey
from ledger.core.text import format_base64
from tests.cli.conftest import ORIGIN, new_ledger, serving


def agents_keys(ledger):
    return [each for each in json.loads(ledger.run("keys", "list").stdout) if each["of"] == "agent"]


@pytest.fixture
def made(tmp_path):
    ledger = new_ledger(tmp_path)
    assert ledger.run("init", "--origin", ORIGIN).returncode == 0
    return ledger


def test_init_says_what_to_keep_and_makes_a_token_that_only_its_user_reads(tmp_path):
    ledger = new_ledger(tmp_path)
    ended = ledger.run("init", "--origin", ORIGIN)
    assert ended.returncode == 0, ended.stderr
    made = json.loads(ended.stdout)
    assert made["verifier_key"].startswith(f"{ORIGIN}+")
    for name in ("cli.token", "log.key"):
        assert stat.S_IMODE((ledger.data / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(ledger.data.stat().st_mode) == 0o700
    with serving(ledger):
        shown = json.loads(ledger.run("keys", "show").stdout)
    key = made["verifier_key"]
    assert shown == {
        "origin": ORIGIN,
        "verifier_key": key,
        "fingerprint": fingerprint(parse_vkey(key)),
        "current_key": key,
    }


def test_init_never_touches_a_log_that_is_there(made):
    key = (made.data / "log.key").read_bytes()
    again = made.run("init", "--origin", "other.example")
    assert (again.returncode, again.stdout) == (2, b"")
    assert b"[log-exists]" in again.stderr
    assert (made.data / "log.key").read_bytes() == key


def test_two_logs_that_are_given_no_name_have_two_names(tmp_path):
    origins = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        origins.add(json.loads(new_ledger(tmp_path / name).run("init").stdout)["origin"])
    assert len(origins) == 2


def test_a_granted_key_signs_records_until_it_is_revoked(made):
    agent = generate()
    public = format_base64(agent.public)
    assert made.run("keys", "grant", "agent-7", public, "--subject", "gateway").returncode == 0
    assert agents_keys(made) == [{"of": "agent", "key_id": "agent-7", "public_key": public}]

    def sealed(number: int) -> bytes:
        record = b'{"id":"sealed-%d","time":"2026-11-21T09:30:00Z","type":"action"}' % number
        signature = format_base64(agent.sign(record_signing_input(ORIGIN, record)))
        return b'{"record":%b,"signature":{"key":"agent-7","sig":"%b"}}' % (record, signature.encode())

    with serving(made):
        posted = made.run("post", stdin=sealed(1))
        assert posted.returncode == 0, posted.stderr
        stored = json.loads(made.run("get", "sealed-1").stdout)
        assert stored["entry"]["signature"]["key"] == "agent-7"
        revoked = made.run("keys", "revoke", "agent-7")
        assert revoked.returncode == 0, revoked.stderr
        assert agents_keys(made) == []
        assert made.run("post", stdin=sealed(2)).returncode == 2
    assert agents_keys(made) == []
    with serving(made):
        assert made.run("post", stdin=sealed(2)).returncode == 2
        assert made.run("verify").returncode == 0, "what was signed before stays good"


@pytest.mark.parametrize("key", ["nonsense", "AAAA", format_base64(bytes(32))])
def test_a_key_that_must_not_be_used_is_not_granted(made, key):
    refused = made.run("keys", "grant", "agent-7", key)
    assert (refused.returncode, refused.stderr.count(b"\n")) == (2, 1)
    assert agents_keys(made) == []


@pytest.mark.parametrize("key_id", ["", "k" * 129, "log"])
def test_a_key_id_that_no_record_may_name_is_not_granted(made, key_id):
    refused = made.run("keys", "grant", key_id, format_base64(generate().public))
    assert (refused.returncode, refused.stderr.count(b"\n")) == (2, 1)
    assert agents_keys(made) == []


def test_a_key_id_is_granted_once_and_an_unknown_one_not_revoked(made):
    keys = [format_base64(generate().public) for _ in range(2)]
    assert made.run("keys", "grant", "agent-7", keys[0]).returncode == 0
    assert made.run("keys", "grant", "agent-7", keys[1]).returncode == 2
    assert made.run("keys", "revoke", "agent-7").returncode == 0
    assert made.run("keys", "grant", "agent-7", keys[1]).returncode == 2, (
        "whose signature was it, a reader would ask"
    )
    assert made.run("keys", "revoke", "agent-8").returncode == 2


def test_commands_on_a_folder_that_is_not_there_say_how_to_make_one(tmp_path):
    ledger = new_ledger(tmp_path)
    for arguments in (("token", "list"), ("keys", "list")):
        refused = ledger.run(*arguments)
        assert refused.returncode == 2
        assert b"agent-ledger init" in refused.stderr
