"""Where the log's key lives: in its file, in the environment, with an agent."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.core.note import format_vkey, open_note, sign_note
from ledger.log.environment import take_secrets
from ledger.log.keys import create_key, environment_origin, home_of, load_key, place_key, refuse_absent
from ledger.log.log import Log
from tests.cli.conftest import ROOT, new_ledger
from tests.log.conftest import post, record
from tests.signer.agents import OpenSSH, Told

ORIGIN = "ledger.example/homes"
TEXT = f"{ORIGIN}\n5\nh9UMXqS06cZqY1DcnPgMhWQabcLU6G++7tynUvpM20w=\n"
SECRET = "PRIVATE+KEY+ledger.example/homes+"


def code_of(path: Path, *arguments: str) -> Code:
    with pytest.raises(LedgerError) as refusal:
        place_key(path, *arguments) if arguments else load_key(path)
    assert "PRIVATE" not in refusal.value.detail
    return refusal.value.code


# ---- in its own file


def test_a_key_in_its_file_is_where_it_was(tmp_path: Path):
    made = place_key(tmp_path / "k", ORIGIN)
    assert home_of(tmp_path / "k") == "file"
    assert load_key(tmp_path / "k").key == made.key
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


def test_a_link_to_a_mounted_secret_is_a_key_file(tmp_path: Path):
    mounted = tmp_path / "run-secrets"
    key = create_key(mounted, ORIGIN).key
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log.key").symlink_to(mounted)
    Log.create(tmp_path / "data", ORIGIN)
    log = Log.open(tmp_path / "data")
    assert log.vkey == format_vkey(key)
    log.close()
    assert (tmp_path / "data" / "log.key").is_symlink()


# ---- in the environment


def test_a_key_in_the_environment_makes_and_opens_a_log_and_is_nowhere_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    key = create_key(tmp_path / "kept", ORIGIN).key
    secret = (tmp_path / "kept").read_text()
    monkeypatch.setenv("AGENT_LEDGER_KEY", secret)
    Log.create(tmp_path / "data", ORIGIN)
    assert "AGENT_LEDGER_KEY" not in os.environ
    assert home_of(tmp_path / "data" / "log.key") == "environment"
    log = Log.open(tmp_path / "data")
    post(log, record(1))
    log.seal()
    log.close()
    assert log.vkey == format_vkey(key)
    seed = secret.split("+", 4)[4].strip().encode()
    for path in tmp_path.rglob("data/**/*"):
        assert not path.is_file() or seed not in path.read_bytes(), path


def test_while_a_key_is_rotated_the_environment_has_two_and_each_file_finds_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, variable in (("old", "AGENT_LEDGER_KEY"), ("new", "AGENT_LEDGER_KEY_NEXT")):
        create_key(tmp_path / name, ORIGIN)
        monkeypatch.setenv(variable, (tmp_path / name).read_text())
        (tmp_path / f"{name}.key").write_text(f"{load_key(tmp_path / name).key}\nenvironment\n")
        (tmp_path / f"{name}.key").chmod(0o600)
    for name in ("old", "new"):
        assert load_key(tmp_path / f"{name}.key").key == load_key(tmp_path / name).key


def test_a_key_that_is_not_in_the_environment_any_more_is_told_without_saying_what_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    create_key(tmp_path / "kept", ORIGIN)
    create_key(tmp_path / "other", "ledger.example/other")
    monkeypatch.setenv("AGENT_LEDGER_KEY", (tmp_path / "kept").read_text())
    place_key(tmp_path / "log.key", ORIGIN, "environment")
    for text in ("PRIVATE+KEY+nonsense", ""):
        monkeypatch.setenv("AGENT_LEDGER_KEY", text)
        assert code_of(tmp_path / "log.key") is Code.KEY_FILE
    monkeypatch.setenv("AGENT_LEDGER_KEY", (tmp_path / "other").read_text())
    assert load_key(tmp_path / "log.key").key == load_key(tmp_path / "kept").key  # who verifies needs no more
    for use in (
        lambda: sign_note(TEXT, load_key(tmp_path / "log.key")),
        lambda: refuse_absent(tmp_path / "log.key"),
    ):
        with pytest.raises(LedgerError, match="AGENT_LEDGER_KEY does not hold it") as refusal:
            use()
        assert refusal.value.code is Code.KEY_FILE
    monkeypatch.setenv("AGENT_LEDGER_KEY", (tmp_path / "other").read_text())
    assert code_of(tmp_path / "new", ORIGIN, "environment") is Code.ORIGIN_CHANGED
    assert environment_origin() == "ledger.example/other"


def test_a_secret_that_was_taken_stands_in_no_environment_not_in_procs_either(tmp_path: Path):
    secret = create_key(tmp_path / "kept", ORIGIN)
    text = (tmp_path / "kept").read_text()
    program = (
        "import os, subprocess, sys\n"
        "from pathlib import Path\n"
        "from ledger.log.environment import take_secrets\n"
        "before = Path('/proc/self/environ').read_bytes()\n"
        "taken = take_secrets()\n"
        "after = Path('/proc/self/environ').read_bytes()\n"
        "child = subprocess.run(['env'], capture_output=True).stdout\n"
        "print(len(taken), *(b'PRIVATE+KEY' in each for each in (before, after, child)))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT), "AGENT_LEDGER_KEY": text},
        capture_output=True,
        check=True,
    )
    assert said.stdout.split() == [b"1", b"True", b"False", b"False"]
    assert secret.key.name == ORIGIN


def test_the_next_key_is_the_other_one_that_environment_and_agent_hold(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    old, new = (create_key(tmp_path / name, ORIGIN).key for name in ("old", "new"))
    monkeypatch.setenv("AGENT_LEDGER_KEY", (tmp_path / "old").read_text())
    with pytest.raises(LedgerError, match="AGENT_LEDGER_KEY_NEXT is not set"):
        place_key(tmp_path / "log.key.next", ORIGIN, "environment", other_than=old)
    monkeypatch.setenv("AGENT_LEDGER_KEY_NEXT", (tmp_path / "new").read_text())
    assert place_key(tmp_path / "log.key.next", ORIGIN, "environment", other_than=old).key == new
    agent = OpenSSH(place, keys=2)
    try:
        home = f"ssh-agent:{agent.path}"
        first = place_key(tmp_path / "a", ORIGIN, f"{home}#{agent.fingerprints()[0]}").key
        second = place_key(tmp_path / "b", ORIGIN, home, other_than=first).key
        assert second == place_key(tmp_path / "c", ORIGIN, f"{home}#{agent.fingerprints()[1]}").key
    finally:
        agent.kill()


# ---- with OpenSSH's agent


def test_openssh_signs_notes_that_verify_under_its_key_as_any_others(openssh: OpenSSH, tmp_path: Path):
    signer = place_key(tmp_path / "log.key", ORIGIN, f"ssh-agent:{openssh.path}")
    assert home_of(tmp_path / "log.key") == f"ssh-agent:{openssh.path}"
    assert load_key(tmp_path / "log.key").key == signer.key
    note = sign_note(TEXT, load_key(tmp_path / "log.key"))
    assert open_note(note, [signer.key]).verified_keys == (signer.key,)
    assert note == sign_note(TEXT, signer)  # Ed25519 has no chance in it


def test_of_several_keys_one_is_named_by_the_fingerprint_that_ssh_add_shows(place: Path, tmp_path: Path):
    agent = OpenSSH(place, keys=2)
    try:
        assert code_of(tmp_path / "log.key", ORIGIN, f"ssh-agent:{agent.path}") is Code.INVALID_PARAMETER
        made = [
            place_key(tmp_path / f"{number}.key", ORIGIN, f"ssh-agent:{agent.path}#{fingerprint}").key
            for number, fingerprint in enumerate(agent.fingerprints())
        ]
        assert len(set(made)) == 2
        for number, key in enumerate(made):
            assert open_note(sign_note(TEXT, load_key(tmp_path / f"{number}.key")), [key])
    finally:
        agent.kill()


def test_a_locked_agent_signs_nothing_and_says_so(told: Told, tmp_path: Path):
    signer = place_key(tmp_path / "log.key", ORIGIN, f"ssh-agent:{told.path}")
    told.behaviour = lambda *_: b"\0\0\0\1\5"
    with pytest.raises(LedgerError, match="refuses to sign") as refusal:
        sign_note(TEXT, signer)
    assert refusal.value.code is Code.SIGNER_FAILED


@pytest.mark.parametrize(
    "text",
    {
        "nothing": "",
        "a seed alone": "q" * 44,
        "a PEM file": "-----BEGIN OPENSSH PRIVATE KEY-----\nPRIVATEb3BlbnNzaC1rZXktdjEA\n",
        "no home": "{vkey}\n",
        "an unknown home": "{vkey}\nhsm:/x\n",
        "a home without an absolute path": "{vkey}\nssh-agent:x.sock\n",
        "a path alone": "{vkey}\n/x.sock\n",
        "more lines": "{vkey}\nenvironment\n{vkey}\n",
        "a witness's": "{witness}\nenvironment\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_file_that_is_neither_a_secret_nor_says_where_one_is_is_refused_and_not_shown(text, tmp_path: Path):
    from ledger.core.note import COSIGNATURE_V1, VerifierKey  # noqa: PLC0415

    key = create_key(tmp_path / "k", ORIGIN).key
    witness = VerifierKey.derive(ORIGIN, COSIGNATURE_V1, key.public)
    (tmp_path / "log.key").write_text(text[1].format(vkey=key, witness=witness))
    (tmp_path / "log.key").chmod(0o600)
    with pytest.raises(LedgerError) as refusal:
        load_key(tmp_path / "log.key")
    assert refusal.value.code is Code.KEY_FILE
    assert "qqq" not in refusal.value.detail
    assert "PRIVATE" not in refusal.value.detail


@pytest.mark.parametrize("home", ["", "hsm", "ssh-agent:/nowhere/at/all", "ssh-agent:", "environment"])
def test_a_home_where_no_key_is_leaves_no_file(home: str, tmp_path: Path):
    assert code_of(tmp_path / "log.key", ORIGIN, home) in {
        Code.INVALID_PARAMETER,
        Code.SIGNER_FAILED,
        Code.KEY_FILE,
    }
    assert list(tmp_path.iterdir()) == []


# ---- by the command


def test_init_takes_its_key_from_an_agent_and_no_option_or_error_shows_a_secret(
    openssh: OpenSSH, tmp_path: Path
):
    made = new_ledger(tmp_path)
    done = made.run("init", "--origin", ORIGIN, "--key", f"ssh-agent:{openssh.path}", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (made.data / "log.key").read_text() == f"{told['verifier_key']}\nssh-agent:{openssh.path}\n"


def test_init_takes_origin_and_key_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    create_key(tmp_path / "kept", ORIGIN)
    secret = (tmp_path / "kept").read_text()
    made = new_ledger(tmp_path)
    done = made.run("init", "--json", AGENT_LEDGER_KEY=secret)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["origin"] == ORIGIN
    assert b"PRIVATE" not in done.stdout + done.stderr
    monkeypatch.setenv("AGENT_LEDGER_KEY", secret)
    with pytest.raises(LedgerError) as refusal:
        Log.create(tmp_path / "b", "other.example/x")
    assert refusal.value.code is Code.ORIGIN_CHANGED


def test_no_secret_is_taken_where_none_is():
    assert dict(take_secrets()) == {}
