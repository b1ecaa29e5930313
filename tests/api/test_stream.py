"""`GET /v1/records/stream`: nothing is missed, nothing comes twice, nobody is waited for."""

import contextlib
import json
import shlex
import signal
import socket
import sys
import threading
import time

import httpx
import pytest

from ledger.api import stream as module
from ledger.api.serving import DRAIN_SECONDS
from ledger.api.streams import STREAMS_PER_TOKEN
from ledger.client.following import follow
from ledger.client.http import LedgerClient, ProblemError
from ledger.records.selection import SELECTABLE
from tests.api.samples import fresh
from tests.faults.server import Server

PATH = "/v1/records/stream"


class Reader:
    """One connection that reads events as they come."""

    def __init__(self, server, headers=None, timeout=20, **params):
        self._closing = contextlib.ExitStack()
        client = self._closing.enter_context(
            httpx.Client(
                base_url=server.url,
                headers={**server.headers, **(headers or {})},
                timeout=timeout,
                trust_env=False,
            )
        )
        self.answer = self._closing.enter_context(client.stream("GET", PATH, params=params))
        if not self.answer.is_success:
            self.answer.read()
        self._pieces = self.answer.iter_bytes()
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._closing.close()

    def block(self):
        """The next event, comment or setting; "" at the end."""
        while b"\n\n" not in self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return ""
            self._rest += piece
        block, _, self._rest = self._rest.partition(b"\n\n")
        return block.decode()

    def event(self):
        """The next event: its fields."""
        while block := self.block():
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if "data" in fields:
                return fields | {"data": json.loads(fields["data"])}
        return None


def posted(server, *records):
    answer = server.post(*records)
    assert answer.status_code in {200, 201}, answer.text
    body = answer.json()
    return [result["seq"] for result in body.get("results", [body])]


def test_what_is_posted_comes_as_it_is_stored_and_its_id_is_its_seq(server):
    with Reader(server) as reader:
        (seq,) = posted(server, record := fresh())
        event = reader.event()
    assert reader.answer.headers["content-type"].startswith("text/event-stream")
    assert reader.answer.headers["cache-control"] == "no-store"
    assert (event["id"], event["event"]) == (str(seq), "record")
    shown = event["data"]
    with server.client() as client:
        stored = client.get(f"/v1/entries/{seq}").json()
    assert shown["id"] == record["id"]
    assert {name: stored[name] for name in shown} == shown
    assert "contents" not in shown
    assert "alice@example.com" not in json.dumps(shown)


def test_with_contents_it_comes_as_the_entry_does(server):
    with Reader(server, contents="true") as reader:
        (seq,) = posted(server, fresh())
        shown = reader.event()["data"]
    with server.client() as client:
        told = client.get(f"/v1/entries/{seq}").json()
    assert told.pop("told_in") == {}  # which is looked for where one entry is asked for
    assert shown == told


def test_who_comes_back_gets_what_was_missed_and_nothing_twice(server):
    first, *others = posted(server, *[fresh() for _ in range(5)])
    with Reader(server, headers={"Last-Event-ID": str(first)}, **{"from": "0"}) as reader:
        assert [int(reader.event()["id"]) for _ in others] == others
        more = posted(server, fresh(), fresh())
        assert [int(reader.event()["id"]) for _ in more] == more


def test_a_stream_from_the_beginning_has_every_entry_once(server):
    posted(server, *[fresh() for _ in range(module.STEP_ENTRIES + 10)])
    with server.client() as client:
        size = client.get("/v1/log").json()["size"]
    with Reader(server, **{"from": "0"}) as reader:
        assert [int(reader.event()["id"]) for _ in range(size)] == list(range(size))


@pytest.mark.parametrize(
    ("filters", "record"),
    [
        ({"type": "note"}, fresh(type="note")),
        ({"type": "action.*"}, fresh(type="action.intent", action_id="a")),
        ({"agent": "only-agent"}, fresh(identity={"agent_id": "only-agent"})),
        ({"agent": "by-name"}, fresh(identity={"agent_name": "by-name"})),
        ({"tool": ["x", "only-tool"]}, fresh(tool={"name": "only-tool"})),
        ({"effect": "pay"}, fresh(tool={"name": "t", "effect": "pay"})),
        ({"resource": "evil.example"}, fresh(resource={"destination": "evil.example"})),
        ({"policy": "deny"}, fresh(policy={"effect": "deny"})),
        ({"outcome": "timeout"}, fresh(outcome={"status": "timeout"})),
        ({"conversation": "c-9"}, fresh(request={"conversation_id": "c-9"})),
        (
            {"effect": "pay", "policy": "allow"},
            fresh(tool={"name": "t", "effect": "pay"}, policy={"effect": "allow"}),
        ),
    ],
    ids=lambda value: "-".join(value) if "id" not in value else "",
)
def test_a_filter_lets_through_what_it_names_and_nothing_else(server, filters, record):
    other = (
        fresh(tool={"name": "t", "effect": "pay"}, policy={"effect": "error"})
        if len(filters) > 1
        else fresh()
    )
    with Reader(server, **filters) as reader:
        *_, seq, _ = posted(server, other, fresh(), record, fresh())
        assert int(reader.event()["id"]) == seq


def test_the_submitter_is_a_filter_too(server):
    with Reader(server, submitter="token:a-writer") as reader, server.as_("writer") as writer:
        posted(server, fresh())
        seq = writer.post("/v1/records", json=fresh()).json()["seq"]
        event = reader.event()
        assert (int(event["id"]), event["data"]["submitter"]) == (seq, "token:a-writer")


def test_every_filter_is_a_parameter_of_the_route_and_described(http):
    named = {each["name"] for each in http.get("/openapi.json").json()["paths"][PATH]["get"]["parameters"]}
    assert named == {*SELECTABLE, "from", "contents", "Last-Event-ID"}


@pytest.mark.parametrize(
    ("params", "headers", "path"),
    [
        ({"tol": "x"}, {}, "tol"),
        ({"tool": ""}, {}, "tool"),
        ({"tool": ["x"] * 21}, {}, "tool"),
        ({"from": "99999999"}, {}, "from"),
        ({"from": "-1"}, {}, "from"),
        ({"from": "1_0"}, {}, "from"),
        ({}, {"Last-Event-ID": "x"}, "Last-Event-ID"),
        ({}, {"Last-Event-ID": "99999999"}, "from"),
    ],
    ids=["unknown", "empty", "many", "beyond", "negative", "odd", "no-id", "id-beyond"],
)
def test_what_is_wrong_is_refused_and_not_taken_for_everything(server, params, headers, path):
    with Reader(server, headers=headers, **params) as reader:
        assert reader.answer.status_code == 422
        assert reader.answer.json()["path"] == path


def test_a_writer_may_not_follow(server):
    with server.as_("writer") as client:
        assert client.get(PATH).status_code == 403


def test_contents_are_for_who_may_see_them(server):
    for role, status in (("reader", 403), ("auditor", 403), ("content-reader", 200)):
        with server.as_(role) as client, client.stream("GET", PATH, params={"contents": "true"}) as answer:
            assert answer.status_code == status, role


def test_a_token_has_so_many_streams_and_not_one_more_until_one_ends(server):
    with contextlib.ExitStack() as open_:
        readers = [open_.enter_context(Reader(server)) for _ in range(STREAMS_PER_TOKEN)]
        assert all(reader.answer.status_code == 200 for reader in readers)
        with Reader(server) as refused:
            assert refused.answer.status_code == 429
            assert refused.answer.json()["type"].endswith(":streams-busy")
            assert int(refused.answer.headers["retry-after"]) > 0
        with server.as_("reader") as other, other.stream("GET", PATH) as answer:
            assert answer.status_code == 200
    _wait(lambda: _answered(server) == 200, 10)


def test_a_token_that_is_revoked_hears_nothing_more(server):
    secret = server.grant("listener", "reader")
    with Reader(server, headers={"Authorization": f"Bearer {secret}"}) as reader:
        assert reader.block().startswith("retry: ")
        server.revoke("listener")
        assert reader.event()["data"]["reason"] == "unauthenticated"
        assert reader.event() is None


def test_what_is_retired_is_told_by_its_hash_and_is_of_no_selection(tmp_path):
    server = Server(tmp_path / "data")
    try:
        (seq,) = posted(server, fresh())
        with server.client() as client:
            client.post("/v1/seal").raise_for_status()
            policy = {"removes": "entries", "select": f"SELECT seq FROM records WHERE seq = {seq}"}
            client.put("/v1/retention/policies/all", json=policy).raise_for_status()
            client.post("/v1/retention/run", json={}).raise_for_status()
        with Reader(server, **{"from": str(seq)}) as reader:
            event = reader.event()
            assert event["event"] == "retired"
            assert event["data"].keys() == {"seq", "leaf_hash"}
            assert event["data"]["seq"] == seq
        with Reader(server, type="action", **{"from": str(seq)}) as reader:
            (later,) = posted(server, fresh())
            assert int(reader.event()["id"]) == later
    finally:
        server.stop()


def test_a_silent_stream_has_a_heartbeat_whose_id_goes_on(tmp_path):
    server = Server(tmp_path / "data", python=_with_fast_heartbeats(tmp_path))
    try:
        with Reader(server, type="nothing-has-it") as reader:
            assert reader.block().startswith("retry: ")
            assert reader.block() == ": still here\nid: 0"
            posted(server, fresh(), fresh())
            while (block := reader.block()) == ": still here\nid: 0":
                pass
            assert block == ": still here\nid: 2"
    finally:
        server.stop()


def _with_fast_heartbeats(folder):
    """A Python that runs the server with another constant: nobody waits 15 seconds in a test."""
    python = folder / "python"
    script = "import sys, ledger.api.stream as s; s.HEARTBEAT_S = 0.2; from ledger.cli.entry import main; sys.argv = ['agent-ledger', *sys.argv[3:]]; main()"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(script)} "$@"\n')
    python.chmod(0o755)
    return str(python)


def test_who_does_not_read_keeps_nobody_waiting_and_loses_the_connection(tmp_path):
    server = Server(tmp_path / "data")
    try:
        address = httpx.URL(server.url)
        request = f"GET {PATH}?from=0 HTTP/1.1\r\nHost: x\r\nAuthorization: {server.headers['Authorization']}\r\n\r\n"
        with contextlib.ExitStack() as open_:
            for _ in range(STREAMS_PER_TOKEN):  # all that the token may have, and none of them reads
                deaf = open_.enter_context(socket.socket())
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.connect((address.host, address.port))
                deaf.sendall(request.encode())
            for _ in range(8):  # more than the kernel keeps for them
                posted(server, *[fresh(ext={"com.example.x": "y" * 40_000}) for _ in range(50)])
            _wait(lambda: _answered(server) == 200, 12 * DRAIN_SECONDS)
    finally:
        assert server.stop() == 0


def _answered(server):
    with Reader(server) as reader:
        return reader.answer.status_code


def test_a_server_that_stops_ends_its_streams_at_once_and_says_so(tmp_path):
    server = Server(tmp_path / "data")
    with Reader(server) as reader:
        assert reader.block().startswith("retry: ")
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert reader.event()["data"]["reason"] == "stopping"
        assert reader.event() is None
    assert server.stop() == 0
    assert time.monotonic() - started < 8
    assert "Traceback" not in server.said()


def test_the_client_goes_on_where_it_was_after_the_server_was_killed(tmp_path):
    data = tmp_path / "data"
    server = Server(data)
    port = httpx.URL(server.url).port
    seen = []
    secret = server.grant("follower", "reader")  # entry 1
    expected = posted(server, *[fresh() for _ in range(3)])

    def listen():
        with contextlib.suppress(ProblemError), LedgerClient(server.url, secret) as client:
            for stored in follow(client, 2, again_s=0.1):
                seen.append(stored["seq"])  # noqa: PERF401 - one by one, as they come

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    _wait(lambda: seen == expected)
    server.kill()
    server = Server(data, options=("--port", str(port)))
    try:
        expected += posted(server, *[fresh() for _ in range(3)])
        _wait(lambda: len(seen) >= len(expected))
        assert seen == expected
        server.revoke("follower")
        thread.join(20)  # a token that is revoked ends it: it does not come back for ever
        assert not thread.is_alive()
    finally:
        server.stop()


def _wait(condition, within_s=30):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_client_says_what_the_ledger_refuses(server):
    with (
        LedgerClient(server.url, server.tokens["writer"]) as client,
        pytest.raises(ProblemError, match="may not do this"),
    ):
        next(follow(client, 0))
