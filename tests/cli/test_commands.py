"""The commands against a real server: data to stdout, words to stderr, an exit status that programs can use."""

import json
import subprocess
import time
from uuid import uuid4

import pytest

from ledger.cli.exits import Exit
from tests.cli.conftest import command, new_ledger, serving

ACTION = {
    "type": "action",
    "time": "2026-11-21T09:30:00Z",
    "request": {"user": "ada@example.com", "text": "Pay \u202eit"},
    "tool": {"name": "send_money", "arguments": {"to": "US13", "amount": 1.50}},
    "outcome": {"status": "success"},
}


def action(**members) -> dict:
    return ACTION | {"id": f"test-{uuid4()}"} | members


def lines(*records: dict) -> bytes:
    return b"\n".join(json.dumps(record).encode() for record in records)


def parsed(output: bytes) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


def test_one_line_posts_an_action_and_get_shows_it(ledger):
    record_id = f"one-{uuid4()}"
    posted = ledger.run(
        "post",
        "-f",
        f"id={record_id}",
        "-f",
        "tool.name=pay",
        "-f",
        'tool.arguments:={"to":"US13"}',
        "-f",
        "request.user=ada",
    )
    assert posted.returncode == 0, posted.stderr
    (result,) = parsed(posted.stdout)
    assert result["id"] == record_id
    by_id, by_seq = ledger.run("get", record_id), ledger.run("get", result["seq"].__str__())
    assert by_id.stdout == by_seq.stdout
    stored = json.loads(by_id.stdout)
    assert stored["leaf_hash"] == result["leaf_hash"]
    assert stored["entry"]["submitter"] == "token:cli"
    assert [json.loads(content["value"]) for content in stored["contents"]] == [{"to": "US13"}]


@pytest.mark.parametrize("shape", ["ndjson", "array", "pretty"])
def test_files_of_every_shape_are_posted_in_order(ledger, tmp_path, shape):
    records = [action(), action(), action()]
    text = (
        lines(*records)
        if shape == "ndjson"
        else json.dumps(records, indent=1 if shape == "pretty" else None).encode()
    )
    file = tmp_path / "records"
    file.write_bytes(text)
    posted = ledger.run("post", file)
    assert posted.returncode == 0, posted.stderr
    results = parsed(posted.stdout)
    assert [result["id"] for result in results] == [record["id"] for record in records]
    assert [result["seq"] - results[0]["seq"] for result in results] == [0, 1, 2]


def test_posting_again_appends_nothing(ledger):
    body = lines(action(), action())
    first, second = ledger.run("post", stdin=body), ledger.run("post", stdin=body)
    assert (first.returncode, second.returncode) == (0, 0)
    assert [result["existing"] for result in parsed(second.stdout)] == [True, True]
    assert [r["seq"] for r in parsed(first.stdout)] == [r["seq"] for r in parsed(second.stdout)]
    assert b"2 were there already" in second.stderr


def test_a_refused_record_does_not_stop_the_others_and_is_told(ledger):
    wrong = action(tool={"args": {}})
    posted = ledger.run("post", stdin=lines(action(), wrong, action()))
    assert posted.returncode == 2
    good, bad, also_good = parsed(posted.stdout)
    assert ("seq" in good, "seq" in bad, "seq" in also_good) == (True, False, True)
    assert bad["record"] == 1
    assert b"error: record 1: tool.args is not a member" in posted.stderr


def test_a_record_whose_id_is_taken_by_another_is_told_as_refused(ledger):
    record = action()
    other = {**record, "tool": {"name": "other"}}
    posted = ledger.run("post", stdin=lines(record, other))
    assert posted.returncode == 2
    assert b"1 appended, 1 refused" in posted.stderr
    assert (
        b"which says something else, or is another submitter's: a new record needs a new id [id-conflict]"
        in posted.stderr
    )


def test_refusals_are_counted_from_the_first_record_on_and_told_up_to_a_number(ledger):
    wrong = [action(tool={"args": {}}) for _ in range(30)]
    posted = ledger.run("post", stdin=lines(*[action() for _ in range(500)], *wrong))
    told = [line for line in posted.stderr.decode().splitlines() if line.startswith("error: ")]
    assert told[0].startswith("error: record 500: tool.args is not a member")
    assert (len(told), told[-1]) == (21, "error: and more")


def test_the_size_of_the_log_is_told_also_where_nothing_was_taken(ledger):
    size = json.loads(ledger.run("tail", "-n", "1").stdout)["seq"] + 1
    posted = ledger.run("post", "-f", "tool.args=x")
    assert f"0 appended, 1 refused; the log has {size:,} entries" in posted.stderr.decode()


@pytest.mark.parametrize("options", [(), ("--atomic",)])
def test_where_there_is_no_record_nothing_is_posted(ledger, options):
    posted = ledger.run("post", *options, stdin=b" \n")
    assert (posted.returncode, posted.stdout) == (2, b"")
    assert posted.stderr.startswith(b"error: nothing to post")


def test_an_answer_too_wide_for_the_terminal_is_shown_row_by_row(ledger):
    record = action(request={"user": "grace@example.com"})
    ledger.run("post", stdin=lines(record))
    statement = f"SELECT * FROM actions WHERE id = '{record['id']}'"
    shown = ledger.run("sql", statement, TTY_COMPATIBLE="1", COLUMNS="80", NO_COLOR="1").stdout.decode()
    assert "grace@example.com" in shown
    assert "request_user" in shown
    assert "resource_tenant" not in shown  # which is NULL


def test_on_a_terminal_of_80_columns_the_name_of_a_question_stays_whole(ledger):
    shown = ledger.run("query", TTY_COMPATIBLE="1", COLUMNS="80", NO_COLOR="1").stdout.decode()
    assert "untrusted-content-before-a-consequence" in shown


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "arrow", "table"])
def test_an_answer_that_nobody_reads_to_its_end_is_no_finding_and_no_trace(ledger, form):
    asked = subprocess.Popen(
        command("sql", "SELECT repeat('x', 100) AS x FROM range(9000)", "-o", form),
        env=ledger.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert asked.stdout.read(1)
    asked.stdout.close()
    assert asked.wait(60) in {0, 141}  # 0 where one write was all of it
    words = asked.stderr.read()
    assert b"error" not in words
    assert b"Traceback" not in words
    asked.stderr.close()


def test_atomic_takes_all_or_none(ledger):
    good = action()
    posted = ledger.run("post", "--atomic", stdin=lines(good, action(tool={"args": {}})))
    assert (posted.returncode, posted.stdout) == (2, b"")
    assert ledger.run("get", good["id"]).returncode == 2


def test_what_is_not_there_is_refused_in_one_line(ledger):
    missing = ledger.run("get", "no-such-record")
    assert (missing.returncode, missing.stdout) == (2, b"")
    assert missing.stderr.startswith(b"error: ")
    assert missing.stderr.count(b"\n") == 1


def test_on_a_terminal_get_is_a_table_that_cannot_move_the_cursor(ledger):
    record = action(request={"text": "a\x1b[2Jb\u202ec"})
    ledger.run("post", stdin=lines(record))
    shown = ledger.run(
        "get", record["id"], TTY_COMPATIBLE="1", COLUMNS="200", TERM="xterm", NO_COLOR="1"
    ).stdout.decode()
    assert r"a\x1b[2Jb\u202ec" in shown
    assert "\u202e" not in shown
    assert "send_money" in shown


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_on_a_terminal_of_80_columns_post_shows_the_whole_id_that_the_ledger_gave(ledger, terminal):
    shown = ledger.run(
        "post", "-f", "tool.name=x", TTY_COMPATIBLE="1", COLUMNS="80", TERM=terminal, NO_COLOR="1"
    ).stdout.decode()
    newest = json.loads(ledger.run("tail", "-n", "1").stdout)
    assert newest["id"] in shown


def test_sql_answers_over_what_was_just_acknowledged(ledger):
    record = action()
    ledger.run("post", stdin=lines(record))
    select = "SELECT id, tool_name, request_user FROM records WHERE id = $id"
    answer = ledger.run("sql", select, "-p", f"id={record['id']}")
    assert answer.returncode == 0, answer.stderr
    body = json.loads(answer.stdout)
    assert body["rows"] == [[record["id"], "send_money", "ada@example.com"]]
    assert [column["name"] for column in body["columns"]] == ["id", "tool_name", "request_user"]
    assert len(body["root"]) == 64
    ndjson = ledger.run("sql", select, "-p", f"id={record['id']}", "-o", "ndjson")
    assert parsed(ndjson.stdout) == [
        {"id": record["id"], "tool_name": "send_money", "request_user": "ada@example.com"}
    ]
    assert b"1 row of the log at size" in ndjson.stderr
    csv = ledger.run("sql", "-", "-p", f"id={record['id']}", "-o", "csv", stdin=select.encode())
    assert csv.stdout.decode().splitlines() == [
        "id,tool_name,request_user",
        f"{record['id']},send_money,ada@example.com",
    ]


def test_sql_that_is_not_one_select_is_refused(ledger):
    for statement in ("DROP TABLE records", "SELECT 1; SELECT 2", "nonsense"):
        refused = ledger.run("sql", statement)
        assert (refused.returncode, refused.stdout) == (2, b""), statement


def test_the_named_questions_are_listed_and_each_says_what_it_takes(ledger):
    listed = json.loads(ledger.run("query").stdout)["queries"]
    assert len(listed) >= 8
    assert all(question["title"] and "parameters" in question for question in listed)
    unknown = ledger.run("query", "no-such-question")
    assert unknown.returncode == 2
    assert listed[0]["name"].encode() in unknown.stderr


def test_every_named_question_without_required_parameters_runs(ledger):
    listed = json.loads(ledger.run("query").stdout)["queries"]
    for question in listed:
        if not any(parameter["required"] for parameter in question["parameters"]):
            answer = ledger.run("query", question["name"])
            assert answer.returncode == 0, (question["name"], answer.stderr)
            assert json.loads(answer.stdout)["row_count"] >= 0


def test_a_named_question_takes_its_parameters_in_their_types(ledger):
    record = action(tool={"name": "send_money", "arguments": {"to": "US99-literal"}})
    ledger.run("post", stdin=lines(record))
    asked = ledger.run("query", "calls-carrying-a-literal", "-p", "literal=US99-literal")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["row_count"] >= 1
    for wrong in ("nonsense=1", "minutes=soon"):
        refused = ledger.run("query", "what-was-read-before-acting", "-p", wrong)
        assert (refused.returncode, refused.stdout) == (2, b""), refused.stderr


def test_tail_shows_the_newest_last(ledger):
    records = [action(), action(), action()]
    ledger.run("post", stdin=lines(*records))
    shown = parsed(ledger.run("tail", "-n", "5").stdout)  # what others asked before may be noted meanwhile
    assert len(shown) <= 5
    ids = [record["id"] for record in records]
    assert [stored["id"] for stored in shown if stored["id"] in ids] == ids


def test_tail_follows_what_comes(ledger):
    with subprocess.Popen(
        command("tail", "-n", "0", "-f"),
        env=ledger.environment(),
        stdout=subprocess.PIPE,
    ) as following:
        try:
            time.sleep(2)
            record = action()
            ledger.run("post", stdin=lines(record))
            shown = iter(following.stdout.readline, b"")  # what others asked before may be noted meanwhile
            assert record["id"] in (json.loads(line)["id"] for line in shown)
        finally:
            following.terminate()


def test_a_receipt_is_checked_offline_with_the_key_that_was_kept(ledger, tmp_path):
    record = action()
    ledger.run("post", stdin=lines(record))
    file = tmp_path / "receipt"
    assert ledger.run("receipt", "get", record["id"], "-o", file).returncode == 0
    key = json.loads(ledger.run("keys", "show").stdout)["verifier_key"]
    elsewhere = ledger._replace(url="http://127.0.0.1:9", data=tmp_path / "nowhere", state=tmp_path / "state")
    held = elsewhere.run("receipt", "check", file, "--vkey", key)
    assert held.returncode == 0, held.stderr
    assert json.loads(held.stdout)["id"] == record["id"]
    assert elsewhere.run("receipt", "check", file).returncode == 2, "no key was given and none was seen"
    other = "test.example/cli+deadbeef" + key[key.rindex("+") :]
    assert elsewhere.run("receipt", "check", file, "--vkey", other).returncode == 2
    text = file.read_bytes()
    entry = tmp_path / "entry"
    entry.write_bytes(json.dumps(json.loads(ledger.run("get", "0").stdout)["entry"]).encode())
    wrong = elsewhere.run("receipt", "check", file, "--vkey", key, "--entry", entry)
    assert (wrong.returncode, wrong.stdout) == (1, b"")
    proof = text.splitlines()[3]
    file.write_bytes(text.replace(proof, b"A" + proof[1:] if proof[:1] != b"A" else b"B" + proof[1:]))
    assert elsewhere.run("receipt", "check", file, "--vkey", key).returncode == 1


def test_a_token_with_a_quota_is_made_shown_and_held_to_it(ledger, tmp_path):
    name, rates = f"q-{uuid4()}"[:20], {"records_per_s": 2, "bytes_per_s": 100_000}
    options = ("--role", "writer", "--records-per-s", "2", "--bytes-per-s", "100000")
    made = ledger.run("token", "create", name, *options)
    assert made.returncode == 0, made.stderr
    shown = {each["name"]: each.get("quota") for each in json.loads(ledger.run("token", "list").stdout)}
    assert (shown[name], shown["cli"]) == (rates, None)
    file = tmp_path / "token"
    file.write_bytes(made.stdout)
    began = time.monotonic()
    for number in (20, 4):  # the second finds the bucket empty, and the command waits as it is told
        sent = lines(*(action() for _ in range(number)))
        assert ledger.run("post", "--token-file", file, stdin=sent).returncode == 0
    assert time.monotonic() - began >= 1
    refused = ledger.run("token", "create", f"{name}-0", "--role", "writer", "--records-per-s", "0")
    assert refused.returncode == 2


def test_a_token_may_do_what_its_role_says_until_it_is_revoked(ledger, tmp_path):
    name = f"w-{uuid4()}"[:20]
    made = ledger.run("token", "create", name, "--role", "writer")
    assert made.returncode == 0, made.stderr
    file = tmp_path / "token"
    file.write_bytes(made.stdout)
    record = action()
    assert ledger.run("post", "--token-file", file, stdin=lines(record)).returncode == 0
    assert json.loads(ledger.run("get", record["id"]).stdout)["entry"]["submitter"] == f"token:{name}"
    assert ledger.run("sql", "SELECT 1", "--token-file", file).returncode == 2
    assert name in {each["name"] for each in json.loads(ledger.run("token", "list").stdout)}
    for path in ledger.data.rglob("*"):
        assert not path.is_file() or made.stdout.strip() not in path.read_bytes(), path
    assert ledger.run("token", "revoke", name).returncode == 0
    assert ledger.run("post", "--token-file", file, stdin=lines(action())).returncode == 2


def test_the_schema_lists_the_views_and_tells_the_columns_of_one(ledger):
    listed = json.loads(ledger.run("schema").stdout)["tables"]
    assert {"records", "actions", "sessions", "identities", "resources", "tools", "denials"} <= {
        table["name"] for table in listed
    }
    denials = json.loads(ledger.run("schema", "denials").stdout)
    assert {"name": "approver", "type": "VARCHAR", "kind": "person"}.items() <= next(
        column for column in denials["columns"] if column["name"] == "approver"
    ).items()
    wrong = ledger.run("schema", "nope")
    assert (wrong.returncode, b"there is no view nope; there are: records" in wrong.stderr) == (
        Exit.REFUSED,
        True,
    )


def test_a_question_of_ones_own_folder_is_asked_of_a_ledger_that_does_not_know_it(ledger, tmp_path):
    (tmp_path / "how-many-of.sql").write_text(
        "-- title: How many entries of this type?\n-- answers: One row.\n-- param type: text, required. The type.\n-- columns: entries\n"
        'SELECT count(*) AS entries FROM records WHERE "type" = $type'
    )
    assert ledger.run("query", "how-many-of", "-p", "type=x").returncode == Exit.REFUSED
    asked = ledger.run("query", "how-many-of", "--queries", tmp_path, "-p", "type=never.heard", "-o", "json")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["rows"] == [[0]]
    listed = json.loads(ledger.run("query", "--queries", tmp_path).stdout)["queries"]
    assert [query["group"] for query in listed if query["name"] == "how-many-of"] == ["own"]
    missing = ledger.run("query", "how-many-of", "--queries", tmp_path)
    assert b"needs the parameter type" in missing.stderr


def test_a_ledger_gives_the_questions_of_its_own_folder_to_everybody_and_refuses_one_that_shadows(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    text = "-- title: How many?\n-- answers: One row.\n-- columns: entries\nSELECT count(*) AS entries FROM records"
    (mine / "how-many.sql").write_text(text)
    with serving(new_ledger(tmp_path), "--queries", str(mine)) as ledger:
        asked = ledger.run("query", "how-many", "-o", "json")
        assert json.loads(asked.stdout)["rows"] == [[1]]
    (mine / "repeated-calls.sql").write_text(text)
    refused = subprocess.run(
        command("serve", "--data", tmp_path / "other", "--queries", mine),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == Exit.REFUSED
    assert b"a question that comes with the ledger has this name" in refused.stderr
    assert not (tmp_path / "other").exists()
