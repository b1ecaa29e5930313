"""`agent-ledger sql`: the shell by a real terminal, its completion, its files, and an interrupt that ends the query on the ledger."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from ledger.cli.answering import parameters
from ledger.cli.completing import Words
from ledger.cli.exits import CommandError
from ledger.cli.target import connect
from ledger.client.http import ProblemError
from ledger.client.questions import Question
from ledger.forensics.service import MAX_WAITING, WORKERS
from tests.cli.conftest import command

TABLES = [
    {
        "name": "records",
        "answers": "entries",
        "columns": [{"name": "seq", "about": "place"}, {"name": "tool_name", "about": ""}],
    },
    {"name": "tools", "answers": "tools", "columns": [{"name": "tool_version", "about": ""}]},
]


def completed(text):
    words = Words(TABLES, {"since": "2026"}, {"\\d": "list", "\\q": "leave"})
    return [each.text for each in words.get_completions(Document(text), CompleteEvent())]


def test_tab_completes_views_columns_keywords_parameters_and_commands():
    assert completed("SELECT * FROM rec") == ["records"]
    assert completed("select 1 from tools t JOIN ") == ["records", "tools"]
    assert completed("SELECT tool_") == ["tool_name", "tool_version"]
    assert completed("FROM tools SELECT tool_") == ["tool_version"]
    assert completed("sel") == ["SELECT"]
    assert completed("WHERE time > $") == ["$since"]
    assert completed("\\") == ["\\d", "\\q"]
    assert completed("\\d to") == ["tools"]
    assert completed("") == []


def test_a_parameter_says_its_type():
    given = ["a=x", "b:=[1]", "c:timestamp=2026-11-21", "d:integer=7", 'e:text[]=["x=y"]', "f:text=a:b=c"]
    assert parameters(given) == {
        "a": "x",
        "b": [1],
        "c": {"type": "timestamp", "value": "2026-11-21"},
        "d": {"type": "integer", "value": 7},
        "e": {"type": "text[]", "value": ["x=y"]},
        "f": {"type": "text", "value": "a:b=c"},
    }
    with pytest.raises(CommandError, match="JSON"):
        parameters(["d:integer=x"])


def test_an_answer_goes_to_a_file_in_the_format_of_its_ending(ledger, tmp_path):
    select = "SELECT range AS n, $t::VARCHAR AS t FROM range(3)"
    read = {
        "parquet": lambda data: pq.read_table(io.BytesIO(data)).to_pylist(),
        "arrow": lambda data: pa.ipc.open_stream(data).read_all().to_pylist(),
        "ndjson": lambda data: [json.loads(line) for line in data.splitlines()],
    }
    for ending, reader in read.items():
        path = tmp_path / f"answer.{ending}"
        ended = ledger.run("sql", select, "-p", "t:text==x", "-O", path)
        assert ended.returncode == 0, ended.stderr
        assert reader(path.read_bytes()) == [{"n": n, "t": "=x"} for n in range(3)]
    assert ledger.run("sql", select, "-p", "t=x", "-O", tmp_path / "answer.xls").returncode == 2


def test_as_of_asks_the_log_as_it_was(ledger):
    ended = ledger.run("sql", "SELECT count(*) AS n FROM records", "--as-of", "1", "-o", "ndjson")
    assert json.loads(ended.stdout) == {"n": 1}


def test_an_interrupt_cancels_the_query_on_the_ledger(ledger):
    slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
    asking = subprocess.Popen(
        command("sql", slow), env=ledger.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    running = "import json,sys; from ledger.cli.target import connect; print(json.dumps(connect(None, None, None).running()))"

    def seen():
        asked = subprocess.run(
            [sys.executable, "-c", running.replace("None, None, None", "__import__('pathlib').Path(sys.argv[1]), sys.argv[2], None"), str(ledger.data), ledger.url],
            env=ledger.environment(), capture_output=True, check=True,
        )  # fmt: skip
        return json.loads(asked.stdout)

    ends = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < ends
    asking.send_signal(signal.SIGINT)
    _, words = asking.communicate(timeout=20)
    assert asking.returncode == 2
    assert b"cancelled" in words
    assert seen() == []


@pytest.mark.soak
def test_a_command_waits_for_a_ledger_that_is_busy(ledger):
    slow = Question("SELECT count(*) FROM range(10000000) a, range(10000000) b", None, {})
    names = [f"slow-{number}" for number in range(WORKERS + MAX_WAITING)]
    with connect(ledger.data, ledger.url, None) as client, ThreadPoolExecutor(len(names)) as threads:
        asked = [
            threads.submit(client.page, slow, accept="application/json", query_id=name) for name in names
        ]
        try:
            until(lambda: len(client.running()) == len(names))
            with pytest.raises(ProblemError) as refused:
                client.page(Question("SELECT 1", None, {}), accept="application/json", query_id="refused")
            assert refused.value.code == "queries-busy"
            asking = subprocess.Popen(command("sql", "SELECT 7 AS n", "-o", "ndjson"), env=ledger.environment(), stdout=subprocess.PIPE)  # fmt: skip
            with pytest.raises(subprocess.TimeoutExpired):
                asking.wait(4)
        finally:
            for name in reversed(names):  # those that wait first, or they would begin
                with suppress(ProblemError):  # it ended by its deadline
                    client.cancel(name)
        answer, _ = asking.communicate(timeout=40)
        assert asking.returncode == 0
        assert json.loads(answer) == {"n": 7}
        assert all(isinstance(each.exception(), ProblemError) for each in asked)


def until(holds, seconds=20):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.1)


def read_until(terminal, text, seconds=40):
    seen, ends = b"", time.monotonic() + seconds
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, ends - time.monotonic()))
        assert ready, seen.decode(errors="replace")
        seen += os.read(terminal, 65536)
    return seen


def test_the_shell_answers_remembers_parameters_and_keeps_its_history_private(ledger, tmp_path):
    here, there = pty.openpty()
    environment = ledger.environment(
        XDG_STATE_HOME=str(tmp_path / "state"), TERM="xterm", COLUMNS="120", PROMPT_TOOLKIT_NO_CPR="1"
    )
    sitting = subprocess.Popen(
        command("sql", "-p", "word=from-the-command"),
        stdin=there,
        stdout=there,
        stderr=there,
        env=environment,
        start_new_session=True,
    )
    os.close(there)
    read_until(here, b"ledger>")
    os.write(here, b"\\set n:integer=41\r")
    read_until(here, b"$n")
    os.write(here, b"SELECT $n + 1 AS answer,\r$word AS word;\r")
    shown = read_until(here, b"1 row")
    assert b"42" in shown
    assert b"from-the-command" in shown
    os.write(here, f"\\o {tmp_path}/out.csv\rSELECT 7 AS seven;\r".encode())
    read_until(here, b"bytes")
    os.write(here, b"\\d tools\r")
    read_until(here, b"meaning")
    os.write(here, b"SELEC 1;\r")
    read_until(here, b"error: ")
    os.write(here, b"\\q\r")
    assert sitting.wait(20) == 0
    os.close(here)
    assert (tmp_path / "out.csv").read_bytes() == b"seven\r\n7\r\n"
    history = tmp_path / "state" / "agent-ledger" / "sql-history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "SELECT $n + 1" in history.read_text()
