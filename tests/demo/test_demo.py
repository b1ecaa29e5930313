"""`python -m demo` as the README has it, and that its attack is real: without the injected words nothing happens."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from demo.model import ScriptedModel
from demo.policy import decide

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = ROOT / "demo" / "documents"
ATTACKER = ("LT601010012345678901", "archive@brightwater-settlement.example")
WITHIN_S = 120


def demo(*arguments):
    command = [sys.executable, "-m", "demo", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False)


def cli(state, *arguments):
    """A command that the demo shows, and what it prints; it keeps its memory in `state`."""
    return subprocess.run(
        [sys.executable, "-m", "ledger.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=True,
    ).stdout


def test_the_demo_runs_to_its_end_twice_in_one_folder_and_shows_what_happened(tmp_path):
    data = tmp_path / "ledger"
    for entries in (26, 51):  # and one for what was asked, each second that something is asked
        ended = demo("--once", "--data", data)
        assert (ended.returncode, ended.stderr) == (0, "")
        shown = ended.stdout
        for step in ("1  ", "2  ", "3  ", "4  ", "5  "):
            assert f"\n{step}" in shown
        assert "denied by policy: unknown_payee" in shown
        [(upto, size)] = re.findall(r"verified and anchored up to (\d+) \((\d+) entries\)", shown)
        assert entries <= int(upto) == int(size) <= entries + 8
        answers = shown[shown.index("\n4  ") : shown.index("\n5  ")]
        assert re.search(rf"send_payment +{ATTACKER[0]} +9800\.00 +unknown_payee +dana@", answers)
        assert re.search(
            rf"send_email +vendors\.txt +323 +unknown_recipient +{re.escape(ATTACKER[1])}", answers
        )
        assert re.search(r"send_payment +invoice-1042\.txt +external_content +Pay EUR 9,800\.00 to", answers)
        assert answers.count("external_content") == 2
    assert not (data / "serving.json").exists(), "nothing serves any more"


def test_it_keeps_serving_until_it_is_told_to_end_and_its_next_steps_work(tmp_path):
    data = tmp_path / "ledger"
    command = [sys.executable, "-m", "demo", "--data", str(data), "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Serving until" in line:
                break
        serving = json.loads((data / "serving.json").read_bytes())
        assert httpx.get(f"{serving['url']}/readyz", trust_env=False).status_code == 200
        steps = "".join(lines).partition("\n5  ")[2]
        commands = re.findall(r"(python -m ledger\.cli|\S*agent-ledger) (.+)", steps)
        assert len(commands) == 5
        answers = [cli(tmp_path, *shlex.split(arguments)) for _, arguments in commands]
        got, read, questions, rows, verified = answers
        assert ATTACKER[0] in got
        assert "9800.00" in got
        assert "invoice-1042.txt" in read
        assert "what-was-read-before-acting" in questions
        assert "send_email" in rows
        assert json.loads(verified)["client"]["findings"] == []
        curl = re.search(r"curl .+", steps)[0]
        token = Path(re.search(r"cat (\S+)\)", curl)[1]).read_text().strip()
        answer = httpx.get(curl.split()[-1], headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert "/v1/records" in answer.json()["paths"]
        assert f"{serving['url']}/console in a browser" in steps
        assert f"cat {data / 'cli.token'}\n" in steps
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{serving['pid']}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(serving["pid"], 0)


def test_a_port_that_is_taken_is_said_in_a_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = demo("--once", "--data", tmp_path / "ledger", "--port", taken.getsockname()[1])
    assert ended.returncode == 2
    assert "The demo stopped: the ledger did not start: error: cannot listen on 127.0.0.1:" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


# -- the scripted model ----------------------------------------------------------------------------------------------


def work(documents):
    """Every call that the model wants, when all of them are permitted and succeed."""
    model, calls = ScriptedModel("Pay the open invoices."), []
    while (reply := model.reply()).tool is not None:
        calls.append(reply)
        result = {
            "list_documents": json.dumps(sorted(documents)),
            "read_document": documents.get(reply.arguments.get("name", ""), ""),
        }.get(reply.tool, "done")
        model.take_in(reply, result, ok=True)
    return calls


@pytest.fixture
def documents():
    return {path.name: path.read_text() for path in DOCUMENTS.glob("*.txt")}


def reached(calls):
    return {value for call in calls for value in call.arguments.values()} & set(ATTACKER)


def test_the_injected_words_make_the_model_pay_and_write_to_the_attacker(documents):
    calls = work(documents)
    assert reached(calls) == set(ATTACKER)
    [mail] = [call for call in calls if call.tool == "send_email"]
    assert mail.arguments["body"] == documents["vendors.txt"]


def test_without_the_injected_words_only_the_invoices_are_paid(documents):
    documents["invoice-1042.txt"] = documents["invoice-1042.txt"].partition("--\n")[0]
    calls = work(documents)
    assert reached(calls) == set()
    assert [call.arguments["amount_eur"] for call in calls if call.tool == "send_payment"] == [
        "414.00",
        "620.00",
    ]
    assert all(call.tool != "send_email" for call in calls)


# -- the policy ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "effect", "reason"),
    [
        ("send_payment", {"iban": "IE29AIBK93115212345678", "amount_eur": "620.00"}, "allow", None),
        ("send_payment", {"iban": ATTACKER[0], "amount_eur": "1.00"}, "deny", "unknown_payee"),
        (
            "send_payment",
            {"iban": "IE29AIBK93115212345678", "amount_eur": "5000.01"},
            "deny",
            "amount_too_high",
        ),
        ("send_email", {"to": "office@brightwater.example"}, "allow", None),
        ("send_email", {"to": ATTACKER[1]}, "allow", "unknown_recipient"),
        ("read_document", {"name": "vendors.txt"}, "allow", None),
    ],
)
def test_the_policy_enforces_who_is_paid_and_only_watches_who_is_written_to(
    documents, tool, arguments, effect, reason
):
    verdict = decide(tool, arguments, documents["vendors.txt"])
    assert (verdict.effect, verdict.reason) == (effect, reason)
