"""POST /v1/records: one, several, refused, repeated, compressed, too large, too slow."""

import gzip
import json
import socket
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import zstandard

from ledger.records.limits import BODY_BYTES
from tests.api.samples import fresh

NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def size(http):
    return http.get("/v1/log").json()["size"]


def test_one_record_is_answered_with_its_place_under_a_checkpoint(http):
    before = size(http)
    answer = http.post("/v1/records", json=fresh(id="one"))
    assert answer.status_code == 201
    body = answer.json()
    assert body["id"] == "one"
    assert (body["seq"], body["size"], body["existing"]) == (before, before + 1, False)
    stored = http.get(f"/v1/entries/{before}").json()
    assert (stored["leaf_hash"], stored["recorded_at"]) == (body["leaf_hash"], body["recorded_at"])
    assert stored["entry"]["submitter"] == "token:cli"


def test_the_same_again_gets_the_first_answer_and_another_thing_under_its_id_is_a_conflict(http):  # threat 9
    record = fresh()
    first, again = (http.post("/v1/records", json=record) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() | {"existing": False, "size": 0} == first.json() | {"size": 0}
    other = http.post("/v1/records", json=record | {"tool": {"name": "other"}})
    assert other.status_code == 409
    assert other.json()["type"] == "urn:agent-ledger:problem:id-conflict"
    assert other.json()["seq"] == first.json()["seq"]


def test_fifty_retries_at_once_leave_one_entry(server, http):  # threat 9
    record, before = fresh(), size(http)

    def post(_):
        with server.client() as client:
            return client.post("/v1/records", json=record)

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(post, range(50)))
    assert {answer.json()["seq"] for answer in answers} == {before}
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert size(http) == before + 1


def test_without_an_id_the_answer_says_that_a_retry_would_be_a_new_record(http):
    record = fresh()
    del record["id"]
    first, second = (http.post("/v1/records", json=record).json() for _ in range(2))
    assert first["id_generated"] is True
    assert first["seq"] != second["seq"]


def test_a_batch_answers_for_each_record(http):
    good, conflicting = fresh(), fresh()
    http.post("/v1/records", json=conflicting)
    batch = [good, good, conflicting | {"type": "note"}, {"type": "note"}, 7, fresh()]
    answer = http.post("/v1/records", json=batch)
    body = answer.json()
    assert answer.status_code == 207
    assert (body["appended"], body["existing"], body["refused"]) == (2, 1, 3)
    assert [result.get("status", "written") for result in body["results"]] == [
        "written",
        "written",
        409,
        422,
        422,
        "written",
    ]
    assert body["results"][3]["record"] == 3
    assert body["results"][3]["path"] == "time"
    assert body["results"][3]["detail"].startswith("record 3: ")


def test_ndjson_is_a_batch_and_a_batch_of_known_records_is_200(http):
    lines = [json.dumps(fresh()) for _ in range(3)]
    first = http.post("/v1/records", content="\n".join(lines) + "\n", headers=NDJSON)
    again = http.post("/v1/records", content="\r\n\r\n".join(lines), headers=NDJSON)
    assert (first.status_code, again.status_code) == (201, 200)
    assert [r["seq"] for r in first.json()["results"]] == [r["seq"] for r in again.json()["results"]]


@pytest.mark.parametrize("bad", [{"type": "note"}, "conflict"])
def test_all_or_nothing_writes_nothing_when_one_is_refused(http, bad):
    if bad == "conflict":
        bad = fresh()
        http.post("/v1/records", json=bad)
        bad = bad | {"type": "note"}
    before, good = size(http), fresh()
    answer = http.post("/v1/records", json=[good, bad], headers={"Prefer": "respond-async, handling=strict"})
    assert answer.status_code in {409, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert [problem["record"] for problem in answer.json()["results"]] == [1]
    assert size(http) == before
    assert http.get(f"/v1/records/{good['id']}").status_code == 404
    assert http.post("/v1/records", json=[good], headers={"Prefer": "handling=strict"}).status_code == 201


@pytest.mark.parametrize(
    "encode",
    [gzip.compress, lambda b: gzip.compress(b[:9], mtime=0) + gzip.compress(b[9:]), zstandard.compress],
)
def test_compressed_bodies_are_read(http, encode):
    data = encode(json.dumps([fresh() for _ in range(100)]).encode())
    encoding = "zstd" if data[:4] == b"\x28\xb5\x2f\xfd" else "gzip"
    answer = http.post("/v1/records", content=data, headers={**JSON, "Content-Encoding": encoding})
    assert answer.status_code == 201
    assert answer.json()["appended"] == 100


BOMB = 1024 * 1024 * 1024


def bomb(encoding):
    """A gibibyte of zeros, small."""
    block = bytes(1024 * 1024)
    stream = zstandard.ZstdCompressor().compressobj() if encoding == "zstd" else zlib.compressobj(wbits=31)
    return b"".join(stream.compress(block) for _ in range(BOMB // len(block))) + stream.flush()


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_cut_at_the_limit_of_decompressed_bytes(server, http, encoding):  # threat 31
    data = bomb(encoding)
    assert len(data) < 2 * 1024 * 1024
    before = memory_bytes(server)
    answer = http.post("/v1/records", content=data, headers={**JSON, "Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["limit"]) == (413, BODY_BYTES)
    assert memory_bytes(server) - before < 8 * BODY_BYTES


def memory_bytes(server):
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096


def test_an_endless_chunked_body_is_cut_at_the_limit(server, http):  # threat 31
    sent = 0

    def zeros():
        nonlocal sent
        for _ in range(10_000):
            sent += 1024 * 1024
            yield bytes(1024 * 1024)

    try:
        answer = http.post("/v1/records", content=zeros(), headers=JSON)
        assert answer.status_code == 413
    except httpx.HTTPError:
        pass  # the server answered and closed while we still sent
    assert sent < 4 * BODY_BYTES
    assert http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({**JSON, "Content-Encoding": "br"}, b"{}", 415, "unsupported-encoding"),
        ({**JSON, "Content-Encoding": "gzip, gzip"}, b"{}", 415, "unsupported-encoding"),
        ({**JSON, "Content-Encoding": "gzip"}, b"{}", 400, "malformed-json"),
        ({**JSON, "Content-Encoding": "gzip"}, gzip.compress(b"{}", mtime=0)[:-4], 400, "malformed-json"),
        ({**JSON, "Content-Encoding": "zstd"}, b"{}", 400, "malformed-json"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x", 415, "unsupported-media-type"),
        ({"Content-Type": "text/plain"}, b"{}", 415, "unsupported-media-type"),
        (JSON, b"", 400, "malformed-json"),
        (JSON, b"[]", 400, "malformed-json"),
        (JSON, b"\xff", 400, "invalid-text"),
        (JSON, b"[" * 100_000, 400, "too-deep"),
        (JSON, b'{"a":' * 100_000, 400, "too-deep"),
        (JSON, b'{"type":"log.created","time":"2026-11-21T09:30:00Z"}', 422, "reserved-name"),
        (JSON, b'{"type":"note","type":"note"}', 400, "duplicate-key"),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_a_code(http, headers, body, status, code):
    before = size(http)
    answer = http.post("/v1/records", content=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:agent-ledger:problem:{code}")
    assert size(http) == before


def test_an_entry_is_65535_bytes_at_most(http):  # threat 30
    record = fresh(ext={"com.example.long": ""})
    http.post("/v1/records", json=record)
    stored = http.get(f"/v1/records/{record['id']}").json()
    base = len(json.dumps(stored["entry"], separators=(",", ":"), ensure_ascii=False).encode())

    def post(length):
        again = fresh(id=record["id"][:-1] + "x" + str(length % 2), ext={"com.example.long": "y" * length})
        return again, http.post("/v1/records", json=again)

    # The new entry's own number may have more digits than the first one's: approach from below.
    length = 65_535 - base
    statuses = []
    for more in range(-12, 8):
        again = fresh(ext={"com.example.long": "y" * (length + more)})
        again["id"] = record["id"][:-1] + chr(ord("a") + more + 12)
        answer = http.post("/v1/records", json=again)
        statuses.append(answer.status_code)
        if answer.status_code == 201:
            entry = http.get(f"/v1/entries/{answer.json()['seq']}").json()["entry"]
            largest = len(json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode())
        else:
            assert answer.json()["type"].endswith("entry-too-large")
            assert answer.json()["size"] > 65_535
    assert statuses == sorted(statuses)
    assert {201, 413} == set(statuses)
    assert largest == 65_535
    assert post(200_000)[1].status_code == 413


def raw(server):
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


def test_a_head_that_never_ends_is_dropped(server):  # threat 31
    with raw(server) as connection:
        began = time.monotonic()
        connection.sendall(b"POST /v1/records HTTP/1.1\r\nHost: x\r\n")
        for _ in range(40):
            try:
                connection.sendall(b"X")
            except OSError:
                break
            time.sleep(0.5)
        assert time.monotonic() - began < 19
    with raw(server) as connection, pytest.raises(OSError):  # noqa: PT012 - which send notices is the kernel's affair
        connection.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(100):
            connection.sendall(b"X-Y: " + b"z" * 8000 + b"\r\n")
            time.sleep(0.01)


def test_a_slow_server_keeps_serving_others_while_bodies_trickle(server, http):  # threat 31
    slow = [raw(server) for _ in range(50)]
    for connection in slow:
        head = f"POST /v1/records HTTP/1.1\r\nHost: x\r\nAuthorization: {server.headers['Authorization']}\r\n"
        connection.sendall(head.encode() + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    assert http.post("/v1/records", json=fresh()).status_code == 201
    for connection in slow:
        connection.close()


def test_refusals_of_a_batch_keep_nothing_of_what_was_refused(server, http):  # threat 28
    """Thousands are kept at a time; with the frames they came through, each would keep what its record was read into."""
    wide = json.dumps({"type": "note", "time": "never", "ext": {"com.example.x": [[]] * 700}})
    http.post("/v1/records", content="\n".join([wide] * 10), headers=NDJSON)
    before = memory_bytes(server)
    answer = http.post("/v1/records", content="\n".join([wide] * 9_000), headers=NDJSON)
    assert answer.json()["refused"] == 9_000
    assert memory_bytes(server) - before < 200 * 1024 * 1024
