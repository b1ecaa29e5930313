"""`?proofs=true`: the entries that an answer's rows name are proved beside them, to somebody who has the log's key and nothing else."""

import pytest

from ledger.core.checkpoint import open_checkpoint
from ledger.core.entry import parse_entry
from ledger.core.merkle import leaf_hash, verify_consistency
from ledger.core.note import parse_vkey
from ledger.core.receipt import parse_receipt, verify_receipt
from ledger.core.text import parse_base64
from tests.api.samples import fresh


@pytest.fixture(scope="module")
def filled(server):
    with server.client() as client:
        return [client.post("/v1/records", json=fresh()).json()["seq"] for _ in range(7)]


def ask(http, sql, query="?proofs=true", **more):
    return http.post(f"/v1/query{query}", json={"sql": sql, **more.pop("body", {})}, **more)


def test_each_row_is_proved_by_a_receipt_that_carries_its_entry(http, filled):
    key = parse_vkey(http.get("/v1/log").json()["verifier_key"])
    listed = ", ".join(map(str, filled))
    answer = ask(
        http, f"SELECT seq, leaf_hash, tool_name FROM records WHERE seq IN ({listed}) ORDER BY seq"
    ).json()
    proofs = answer["proofs"]
    checkpoint = open_checkpoint(proofs["checkpoint"].encode(), [key], key.name)
    proof = [parse_base64(each) for each in proofs["consistency"]]
    verify_consistency(answer["size"], checkpoint.size, proof, bytes.fromhex(answer["root"]), checkpoint.root)
    assert [row[0] for row in answer["rows"]] == filled
    for seq, leaf, tool in answer["rows"]:
        receipt = proofs["receipts"][str(seq)].encode()
        entry = parse_receipt(receipt).extra
        assert verify_receipt(receipt, entry, [key], key.name) == checkpoint
        assert (parse_entry(entry).seq, leaf_hash(entry).hex()) == (seq, leaf)
        assert parse_entry(entry).members["tool"]["name"] == tool


def test_without_asking_there_are_none_and_the_rest_is_the_same(http, filled):
    sql = f"SELECT seq, id FROM records WHERE seq = {filled[0]}"
    plain, no, proved = (
        ask(http, sql, "").json(),
        ask(http, sql, "?proofs=false").json(),
        ask(http, sql).json(),
    )
    assert "proofs" not in plain
    assert "proofs" not in no
    assert {name: proved[name] for name in ("columns", "rows", "truncated")} == {
        name: plain[name] for name in ("columns", "rows", "truncated")
    }


def test_each_page_of_an_answer_is_proved_by_itself(http, filled):
    sql = f"SELECT seq FROM records WHERE seq IN ({filled[0]}, {filled[1]}) ORDER BY seq"
    first = ask(http, sql, body={"limit": 1}).json()
    second = ask(http, sql, body={"cursor": first["next"]}).json()
    assert [list(page["proofs"]["receipts"]) for page in (first, second)] == [
        [str(filled[0])],
        [str(filled[1])],
    ]
    assert first["size"] == second["size"]


def test_a_named_question_is_proved_too(http, filled):
    answer = http.post("/v1/queries/repeated-calls?proofs=true", json={})
    assert answer.status_code == 200
    named = {seq for row in answer.json()["rows"] for seq in row[-1]}
    assert {int(seq) for seq in answer.json()["proofs"]["receipts"]} == named


@pytest.mark.parametrize(
    ("sql", "query", "accept", "refusal"),
    [
        ("SELECT 1 AS one", "?proofs=true", "*/*", (422, "invalid-parameter")),
        ("SELECT 'x' AS seq", "?proofs=true", "*/*", (422, "invalid-parameter")),
        ("SELECT 99999999 AS seq", "?proofs=true", "*/*", (404, "not-found")),
        ("SELECT range AS seq FROM range(1001)", "?proofs=true", "*/*", (422, "invalid-parameter")),
        ("SELECT 0 AS seq", "?proofs=yes", "*/*", (422, "invalid-parameter")),
        ("SELECT 0 AS seq", "?proofs=true", "text/csv", (422, "invalid-parameter")),
    ],
)
def test_what_cannot_be_proved_is_refused(http, sql, query, accept, refusal):
    answer = ask(http, sql, query, headers={"Accept": accept})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == refusal


def test_proofs_hold_no_content_whoever_asks(server, filled):
    with server.as_("reader") as client:
        answer = ask(client, f"SELECT seq, request_text FROM records WHERE seq = {filled[0]}")
    assert answer.status_code == 200
    assert answer.json()["proofs"]["receipts"]
    assert "alice@example.com" not in answer.text
    with server.as_("writer") as client:
        assert ask(client, "SELECT 0 AS seq").status_code == 403
