"""Evidence over HTTP: what is chosen, who may see what of it, what the log says of it, how much it may be."""

import json
import subprocess
import threading
import zipfile

import pytest

from ledger.client.evidence import verify_evidence
from ledger.core.errors import LedgerError
from ledger.core.evidence import CONTENTS, ENTRY, entry_file
from ledger.evidence.bundle import make
from ledger.evidence.gather import Answer, Request, gather, named_seqs
from ledger.log.log import Log
from ledger.records.prepare import prepare
from tests.cli.conftest import Ledger
from tests.evidence.conftest import HOSTILE, record, sha256
from tests.evidence.tampering import unzipped


def asked(server, **body):
    with server.client() as client:
        return client.post("/v1/evidence", json=body)


def problem(answer):
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def disclosed(files, seq):
    found = json.loads(files.get(entry_file(seq, CONTENTS), b'{"disclosed": []}'))
    return {each["member"]: each["value"] for each in found["disclosed"]}


def test_it_holds_the_entries_that_were_chosen_and_the_question_and_its_answer(story):
    files = unzipped(story.data)
    assert {name for name in files if name.endswith(ENTRY)} == {entry_file(seq, ENTRY) for seq in story.seqs}
    request, result = json.loads(files["request.json"]), json.loads(files["result.json"])
    assert request["sql"].startswith("SELECT seq, id")
    assert (request["parameters"], request["by"], request["seqs"]) == ({"like": "story-%"}, "cli", [0])
    assert [row[0] for row in result["rows"]] == list(story.seqs[1:])
    assert (result["truncated"], request["asked"]["size"]) == (True, result["size"])
    assert disclosed(files, story.seqs[4])["request.text"] == json.dumps(HOSTILE, ensure_ascii=False)


def test_any_zip_program_reads_it(story, tmp_path):
    path = tmp_path / "evidence.zip"
    path.write_bytes(story.data)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        names = archive.namelist()
    assert names == [*sorted(names[:-2]), "files.json", "manifest.txt"]
    assert subprocess.run(["python3", "-m", "zipfile", "-t", path], check=False).returncode == 0


def test_what_a_submitter_kept_to_itself_is_said_to_be_withheld(story):
    contents = json.loads(unzipped(story.data)[entry_file(story.seqs[2], CONTENTS)])
    assert contents["withheld"] == ["tool.arguments"]
    assert "tool.arguments" not in {each["member"] for each in contents["disclosed"]}


def test_only_what_was_asked_for_is_disclosed_and_the_rest_is_named(server, story, tmp_path):
    answer = asked(server, ids=["story-0"], disclose=["tool.arguments"])
    files = unzipped(answer.content)
    [seq] = [story.seqs[1]]
    assert disclosed(files, seq) == {"tool.arguments": '{"amount":"0.50"}'}
    assert json.loads(files[entry_file(seq, CONTENTS)])["kept_back"] == ["request.text", "request.user"]
    assert b"alice" not in answer.content
    path = tmp_path / "evidence.zip"
    path.write_bytes(answer.content)
    assert verify_evidence(path, story.key).verdict == "holds"
    assert b"please" not in asked(server, ids=["story-0"], disclose=[]).content
    assert problem(asked(server, ids=["story-0"], disclose=["tool.name"])) == (422, "invalid-parameter")


SECRETS = (b"please do", b"alice", b"mallory", b'"amount"')


@pytest.mark.parametrize("role", ["reader", "auditor"])
def test_who_may_not_see_contents_gets_entries_and_proofs_and_commitments_alone(
    server, story, tmp_path, role
):
    body = {
        "seqs": [*story.seqs],
        "sql": "SELECT seq, request_text, tool_arguments, request_user FROM records",
    }
    with server.as_(role) as client:
        answer = client.post("/v1/evidence", json=body)
        assert answer.status_code == 200
        assert problem(client.post("/v1/evidence", json={"seqs": [1], "disclose": ["request.text"]})) == (
            403,
            "forbidden",
        )
        assert client.post("/v1/evidence", json={"seqs": [1], "disclose": []}).status_code == 200
    assert [secret for secret in SECRETS if secret in answer.content] == []
    contents = json.loads(unzipped(answer.content)[entry_file(story.seqs[1], CONTENTS)])
    assert (contents["disclosed"], contents["kept_back"]) == (
        [],
        ["request.text", "request.user", "tool.arguments"],
    )
    path = tmp_path / "evidence.zip"
    path.write_bytes(answer.content)
    assert verify_evidence(path, story.key).verdict == "holds"


def test_a_selection_that_was_cut_says_so_and_one_that_was_not_does_not(server, story):
    body = {"sql": "SELECT seq FROM records ORDER BY seq"}
    cut, whole = asked(server, **body, limit=1), asked(server, **body)
    assert (cut.headers["ledger-evidence-entries"], cut.headers["ledger-evidence-truncated"]) == ("1", "true")
    assert "ledger-evidence-truncated" not in whole.headers


def test_who_may_not_read_gets_nothing(server, story):
    with server.as_("writer") as client:
        for body in ({"seqs": [story.seqs[1]]}, {"sql": "SELECT 0 AS seq"}, {"ids": ["story-0"]}):
            answer = client.post("/v1/evidence", json=body)
            assert problem(answer) == (403, "forbidden")
            assert [secret for secret in SECRETS if secret in answer.content] == []


def test_a_content_reader_gets_contents(server, story):
    with server.as_("content-reader") as client:
        answer = client.post("/v1/evidence", json={"seqs": [story.seqs[1]]})
    assert set(disclosed(unzipped(answer.content), story.seqs[1])) == {
        "request.text",
        "request.user",
        "tool.arguments",
    }


def test_the_log_says_that_evidence_was_made_before_anyone_has_it(server, story):
    answer = asked(server, about="secret words", ids=["story-2"])
    seq = int(answer.headers["ledger-evidence-entry"])
    with server.client() as client:
        told = client.get(f"/v1/entries/{seq}").json()["entry"]["record"]
    assert told["type"] == "log.evidence_made"
    assert told["ext"].pop("log.size") <= seq
    assert told["ext"] == {
        "log.by": "cli",
        "log.disclosed": 3,
        "log.entries": 1,
        "log.manifest": sha256(unzipped(answer.content)["manifest.txt"]),
    }
    assert story.headers["ledger-evidence"] == sha256(unzipped(story.data)["manifest.txt"])


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (422, "invalid-parameter")),
        ({"seqs": [10**9]}, (404, "not-found")),
        ({"seqs": [-1]}, (422, "invalid-parameter")),
        ({"seqs": list(range(10_001))}, (422, "invalid-parameter")),
        ({"ids": ["nobody"]}, (404, "not-found")),
        ({"sql": "SELECT 1 AS one"}, (422, "invalid-parameter")),
        ({"sql": "SELECT 'x' AS seq"}, (422, "invalid-parameter")),
        ({"sql": "SELECT -1 AS seq"}, (422, "invalid-parameter")),
        ({"sql": "SELECT 99999999 AS seq"}, (404, "not-found")),
        ({"sql": "SELECT seq FROM records WHERE false"}, (422, "invalid-parameter")),
        ({"sql": "SELECT 0 AS seq", "columns": ["place"]}, (422, "invalid-parameter")),
        ({"sql": "DELETE FROM records"}, (422, "query-refused")),
        ({"sql": "SELECT 0 AS seq", "query": "repeated-calls"}, (422, "invalid-parameter")),
        ({"query": "nope"}, (404, "not-found")),
        ({"seqs": [0], "parameters": {"a": 1}}, (422, "invalid-parameter")),
        ({"seqs": [0], "about": "x" * 1001}, (422, "invalid-parameter")),
        ({"seqs": [0], "more": 1}, (422, "invalid-parameter")),
    ],
    ids=str,
)
def test_what_cannot_be_made_is_refused_with_a_reason(server, story, body, refusal):
    assert problem(asked(server, **body)) == refusal


def test_entries_are_named_by_lists_and_by_other_columns_too():
    body = json.dumps(
        {"columns": [{"name": "act_seq"}, {"name": "seqs"}], "rows": [[7, [1, 2]], [None, None], [8, [2]]]}
    ).encode()
    assert list(named_seqs(body)) == [1, 2, 2]
    assert list(named_seqs(body, ["act_seq", "seqs"])) == [7, 1, 2, 8, 2]


def test_a_named_question_is_put_by_its_name(server, story):
    answer = asked(server, query="what-followed-a-denial", columns=["seq"], seqs=[0])
    request = json.loads(unzipped(answer.content)["request.json"])
    assert request["query"] == "what-followed-a-denial"
    assert request["sql"].lstrip().startswith(("--", "WITH", "SELECT"))


def test_parameters_with_types_and_fractions_are_asked_and_kept(server, story, tmp_path):
    given = {"since": {"type": "timestamp", "value": "2026-11-21T09:31:00Z"}, "share": 0.5}
    sql = "SELECT seq FROM records WHERE id LIKE 'story-%' AND time >= $since AND $share < 1"
    answer = asked(server, sql=sql, parameters=given)
    assert answer.status_code == 200, answer.text
    files = unzipped(answer.content)
    assert json.loads(files["request.json"])["parameters"] == {"since": given["since"], "share": "0.5"}
    assert entry_file(story.seqs[1], ENTRY) not in files
    assert entry_file(story.seqs[2], ENTRY) in files
    (tmp_path / "evidence.zip").write_bytes(answer.content)
    assert verify_evidence(tmp_path / "evidence.zip", story.key).verdict == "holds"


@pytest.fixture
def log(tmp_path):
    Log.create(tmp_path / "data", "test.example/evidence")
    opened = Log.open(tmp_path / "data")
    yield opened
    opened.close()


MADE_AT = "2026-11-21T09:30:00.000000Z"


def test_the_same_is_the_same_bytes(log):
    gathered = gather(log, Request(by="ann", seqs=[0]), None)
    with make(gathered, MADE_AT).file as one, make(gathered, MADE_AT).file as other:
        assert one.read() == other.read() != b""


def test_an_answer_at_a_smaller_size_is_tied_to_the_checkpoint_by_a_consistency_proof(log, tmp_path):
    head = log.head()
    for number in range(4):
        log.append_own("log.query_run", {"log.n": number})
    body = json.dumps(
        {
            "columns": [{"name": "seq"}],
            "rows": [[0]],
            "truncated": False,
            "size": head.size,
            "root": head.root.hex(),
        }
    ).encode()
    gathered = gather(log, Request(by="ann", sql="SELECT 0 AS seq"), Answer(body, head.size, head.root))
    with make(gathered, MADE_AT).file as file:
        (tmp_path / "evidence.zip").write_bytes(file.read())
    report = verify_evidence(tmp_path / "evidence.zip", log.signer.key)
    assert (report.verdict, report.rows, report.findings) == ("holds", 1, [])


def test_what_is_too_large_is_refused_whole(log):
    with pytest.raises(LedgerError) as refused:
        make(gather(log, Request(by="ann", seqs=[0]), None), MADE_AT, max_bytes=1_500)
    assert refused.value.code == "evidence-too-large"


def test_the_command_makes_it_and_verifies_it(story, tmp_path):
    data, made = story.server.data, tmp_path / "made.zip"
    ledger = Ledger(data, story.server.url, tmp_path / "state")
    done = ledger.run("evidence", made, "story-0", "1", "--about", "case 12", "--sql", "SELECT 2 AS seq")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == made.stat().st_size
    alone = ledger.run("verify", made, AGENT_LEDGER_DATA=str(tmp_path / "nothing"))
    assert (alone.returncode, json.loads(alone.stdout)["verdict"]) == (0, "consistent with itself")
    for option in ("--vkey", "--verifier-key"):
        known = ledger.run("verify", made, option, str(story.key))
        assert (known.returncode, json.loads(known.stdout)["verdict"]) == (0, "holds")
    assert ledger.run("verify", "--no-stored").returncode == 0
    remembered = json.loads(ledger.run("verify", made).stdout)
    assert (remembered["verdict"], remembered["key_from"]) == (
        "holds",
        "what this user saw of the log before",
    )
    data = bytearray(made.read_bytes())
    data[-1] ^= 1
    made.write_bytes(data)
    spoilt = ledger.run("verify", made, "--vkey", str(story.key))
    assert (spoilt.returncode, json.loads(spoilt.stdout)["findings"][0]["kind"]) == (1, "unreadable")
    refused = ledger.run("evidence", tmp_path / "no.zip", "nobody")
    assert (refused.returncode, sorted(path.name for path in tmp_path.glob("*.zip"))) == (2, ["made.zip"])


def test_what_the_disk_holds_and_the_log_did_not_sign_becomes_no_evidence(log, monkeypatch):
    stored = log.stored(0)
    altered = stored._replace(entry=stored.entry.replace(b"log.created", b"log.creatad"))
    monkeypatch.setattr(log, "stored", lambda _seq: altered)
    with pytest.raises(LedgerError) as refused:
        make(gather(log, Request(by="ann", seqs=[0]), None), MADE_AT)
    assert (refused.value.code, "entry 0" in refused.value.detail) == ("evidence-altered", True)


def test_a_content_that_is_not_what_was_committed_to_becomes_no_evidence(log, monkeypatch):
    taken = threading.Event()
    item = prepare(
        json.dumps(record(0)).encode(),
        submitter="token:gw",
        persons=log.persons,
        origin=log.origin,
        agent_key=log.agent_key,
    )
    log.submit([item], atomic=True, done=lambda _: taken.set())
    assert taken.wait(30)
    stored = log.stored(1)
    [first, *rest] = stored.contents
    altered = stored._replace(contents=(first._replace(value=b'"something else"'), *rest))
    monkeypatch.setattr(log, "stored", lambda _seq: altered)
    with pytest.raises(LedgerError) as refused:
        make(gather(log, Request(by="ann", seqs=[1]), None), MADE_AT)
    assert (refused.value.code, first.member in refused.value.detail) == ("evidence-altered", True)


def test_an_entry_that_was_retired_is_refused_and_an_erased_content_is_named(log, tmp_path):
    taken = threading.Event()
    items = [
        prepare(
            json.dumps(record(number)).encode(),
            submitter="token:gw",
            persons=log.persons,
            origin=log.origin,
            agent_key=log.agent_key,
        )
        for number in range(2)
    ]
    log.submit(items, atomic=True, done=lambda _: taken.set())
    assert taken.wait(30)
    log.erase([(1, "request.text")], by="ann", ground="asked for")
    log.append_own("log.entries_retired", {"log.retired": [[2, 3]], "log.policy": "p1"})
    with make(gather(log, Request(by="ann", seqs=[1]), None), MADE_AT).file as file:
        (tmp_path / "evidence.zip").write_bytes(file.read())
    contents = json.loads(unzipped((tmp_path / "evidence.zip").read_bytes())[entry_file(1, CONTENTS)])
    assert contents["erased"] == ["request.text"]
    assert b"please do 0" not in (tmp_path / "evidence.zip").read_bytes()
    assert verify_evidence(tmp_path / "evidence.zip", log.signer.key).verdict == "holds"
    with pytest.raises(LedgerError) as refused:
        make(gather(log, Request(by="ann", seqs=[2]), None), MADE_AT)
    assert refused.value.code == "retired"
