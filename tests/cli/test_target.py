"""Which ledger and which token a command takes."""

import json
import os
import subprocess
import sys

import pytest

from ledger import __version__
from ledger.cli.exits import CommandError
from ledger.cli.target import find_token, serving_url


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("AGENT_LEDGER_TOKEN", raising=False)
    (tmp_path / "cli.token").write_text("alt_local\n")
    return tmp_path


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_the_local_token_goes_to_this_machine(folder, url):
    assert find_token(folder, url, None) == "alt_local"


@pytest.mark.parametrize("url", ["http://ledger.example:1", "http://127.0.0.1.example", "http://10.0.0.1"])
def test_the_local_token_goes_nowhere_else(folder, url):
    assert find_token(folder, url, None) is None


def test_a_named_token_comes_before_the_variable_and_that_before_the_local_one(folder, monkeypatch):
    monkeypatch.setenv("AGENT_LEDGER_TOKEN", "alt_variable")
    (folder / "named").write_text("alt_named\n")
    assert find_token(folder, "http://127.0.0.1:1", None) == "alt_variable"
    assert find_token(folder, "http://127.0.0.1:1", folder / "named") == "alt_named"


def test_a_token_file_that_is_empty_or_absent_is_refused(folder):
    (folder / "empty").write_text("\n")
    for name in ("empty", "absent"):
        with pytest.raises(CommandError, match=name):
            find_token(folder, "http://127.0.0.1:1", folder / name)


@pytest.mark.parametrize("text", ["", "[]", "{}", '"http://x"', "\x00"])
def test_a_serving_file_that_makes_no_sense_is_none(tmp_path, text):
    (tmp_path / "serving.json").write_text(text)
    assert serving_url(tmp_path) is None


def test_the_server_says_where_it_listens(tmp_path):
    (tmp_path / "serving.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": 1}))
    assert serving_url(tmp_path) == "http://127.0.0.1:9"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"AGENT_LEDGER_DATA": "/nonexistent"}
    return subprocess.run(
        [sys.executable, "-m", "ledger.cli", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_where_no_ledger_answers_the_exit_status_is_3_and_the_error_one_line():
    ended = run("get", "1", "--url", "http://127.0.0.1:9")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("error: no ledger answers at http://127.0.0.1:9")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [("gett",), ("sql",), ("get", "1", "--url", "ftp://x"), ("post", "/nonexistent/file")]
)
def test_a_command_that_cannot_be_meant_ends_with_status_2(arguments):
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr


def test_the_version_is_told_without_a_command():
    ended = run("--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{__version__}\n", "")


def test_text_that_is_not_utf8_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"SELECT '\xff'")
    for arguments in (("sql", "--file", str(tmp_path / "file")), ("post", "-f", "tool.name=\udcff")):
        ended = run(*arguments)
        assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
        assert ended.stderr.startswith("error: that is not UTF-8 text")


def test_asking_a_command_for_help_loads_no_database_and_no_server():
    program = (
        "import sys\nfrom ledger.cli.main import main\nsys.argv = ['x', 'post', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in ('duckdb', 'pyarrow', 'fastapi', 'uvicorn') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("[]\n")
