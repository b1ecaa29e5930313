"""Retention, holds, compaction, sealing and object storage from the command line: what a new user does, and gets wrong first."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.storage.layout import segment_folders
from tests.cli.conftest import ORIGIN, Ledger, new_ledger
from tests.faults.server import Server
from tests.storage.conftest import s3  # noqa: F401

AWS = {
    "AWS_ACCESS_KEY_ID": "AKIDMARKER",
    "AWS_SECRET_ACCESS_KEY": "secret-marker",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
    "NO_PROXY": "127.0.0.1",
}
NAMED = b"--objects s3://bucket/prefix"


def action(number: int) -> dict:
    return {
        "id": f"up-{number:03d}",
        "type": "action",
        "time": "2026-11-21T09:30:00Z",
        "request": {"user": f"user-{number}@example.com", "text": f"TEXT-{number:03d}-MARKER"},
        "tool": {"name": "send", "arguments": {"n": number}},
    }


@contextmanager
def serving(ledger: Ledger, *options: str) -> Iterator[Ledger]:
    """Serve the folder with options."""
    port = ledger.url.rpartition(":")[2]
    server = Server(
        ledger.data,
        origin=ORIGIN,
        environment=ledger.environment(**AWS),
        options=("--port", port or "0", *options),
    )
    try:
        yield ledger
    finally:
        assert server.stop() == 0, server.said()


def good(ledger: Ledger, *arguments: str | Path, **environment: str) -> dict:
    ended = ledger.run(*arguments, **AWS, **environment)
    assert ended.returncode == 0, (arguments, ended.stdout, ended.stderr)
    return json.loads(ended.stdout) if ended.stdout.strip() else {"said": ended.stderr.decode()}


def refused(ledger: Ledger, *arguments: str | Path, status: int = 2, **environment: str) -> bytes:
    """What it says: one line, and nothing on stdout."""
    ended = ledger.run(*arguments, **AWS, **environment)
    assert (ended.returncode, ended.stdout) == (status, b""), (arguments, ended.stdout, ended.stderr)
    assert b"Traceback" not in ended.stderr
    return ended.stderr


def fill(ledger: Ledger, low: int, high: int) -> None:
    lines = b"\n".join(json.dumps(action(number)).encode() for number in range(low, high))
    assert ledger.run("post", stdin=lines).returncode == 0


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Ledger]:
    """A ledger without an object store, entries 1 to 10 sealed."""
    with serving(new_ledger(tmp_path_factory.mktemp("upkeep"))) as ledger:
        fill(ledger, 1, 11)
        assert good(ledger, "seal") == {"entries": 11}
        yield ledger


@pytest.fixture(scope="module")
def objects(s3) -> tuple[str, ...]:  # noqa: F811
    with pytest.MonkeyPatch.context() as patch:
        for name, value in AWS.items():
            patch.setenv(name, value)
        bucket = s3.bucket("upkeep")
    return ("--objects", f"s3://{bucket}/audit", "--objects-endpoint", s3.url)


COMMANDS = [
    ("retention", "set", "p", "--contents", "--after-days", "1"),
    ("retention", "list"),
    ("retention", "run"),
    ("retention", "remove", "p"),
    ("hold", "place", "h", "--reason", "r", "--everything"),
    ("hold", "list"),
    ("hold", "release", "h", "--reason", "r"),
    ("erase", "--record", "x", "--dry-run"),
    ("erase", "--confirm", "1"),
    ("compact",),
    ("seal",),
    ("segments",),
    ("objects", "status"),
    ("objects", "send"),
    ("objects", "move", "--keep", "1"),
]


@pytest.fixture(scope="module")
def writer(served) -> str:
    made = served.run("token", "create", "only-writes", "--role", "writer")
    assert made.returncode == 0, made.stderr
    return made.stdout.decode().split()[-1].strip('"')


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != ("segments",)], ids=" ".join)
def test_a_writers_token_may_none_of_it(served, writer, command):
    said = refused(served, *command, AGENT_LEDGER_TOKEN=writer)
    assert b"[forbidden]" in said
    assert said.count(b"\n") == 1


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] not in {"compact", "seal"}], ids=" ".join)
def test_without_a_server_it_says_where_it_looked(tmp_path, command):
    nobody = new_ledger(tmp_path)
    said = refused(nobody, *command, status=3, AGENT_LEDGER_TOKEN="t")
    assert nobody.url.encode() in said


def test_a_policy_is_set_tried_run_and_removed(served):
    assert b"--contents or --entries" in refused(served, "retention", "set", "prompts")
    assert b"[" in refused(served, "retention", "set", "prompts", "--contents")  # of what?
    bad = refused(
        served, "retention", "set", "prompts", "--contents", "--select", "SELECT nonsense FROM records"
    )
    assert b"nonsense" in bad
    select = "SELECT seq FROM records WHERE seq BETWEEN 2 AND 4"
    good(served, "retention", "set", "prompts", "--contents", "--select", select)
    [policy] = good(served, "retention", "list")["policies"]
    assert (policy["policy"], policy["removes"], policy["select"]) == ("prompts", "contents", select)
    [plan] = good(served, "retention", "run", "--dry-run")["plans"]
    assert (plan["entries"], plan["told_in"]) == (3, [])
    assert served.run("get", "up-003").stdout.count(b"TEXT-003-MARKER") == 1
    [plan] = good(served, "retention", "run", "prompts")["plans"]
    assert plan["told_in"]
    assert b"TEXT-003-MARKER" not in served.run("get", "up-003").stdout
    good(served, "retention", "remove", "prompts")
    assert b"[not-found]" in refused(served, "retention", "remove", "prompts")
    assert good(served, "retention", "list") == {"policies": []}


def test_a_hold_keeps_entries_until_it_is_released(served):
    assert b"--entries, --select or --everything" in refused(served, "hold", "place", "case", "--reason", "r")
    assert b"--entries 9-7" in refused(served, "hold", "place", "case", "--reason", "r", "--entries", "9-7")
    assert b"--reason" in refused(served, "hold", "place", "case", "--everything")
    good(served, "hold", "place", "case", "--reason", "litigation", "--entries", "5", "--entries", "7-8")
    [held] = good(served, "hold", "list")["holds"]
    assert (held["hold"], held["ranges"], held["reason"]) == ("case", [[5, 6], [7, 9]], "litigation")
    good(served, "retention", "set", "all", "--contents", "--select", "SELECT seq FROM records WHERE seq > 4")
    [plan] = good(served, "retention", "run")["plans"]
    assert plan["held"] == 3
    good(served, "retention", "remove", "all")
    assert b"TEXT-005-MARKER" in served.run("get", "up-005").stdout
    assert b"TEXT-006-MARKER" not in served.run("get", "up-006").stdout
    good(served, "hold", "release", "case", "--reason", "settled")
    assert b"[not-found]" in refused(served, "hold", "release", "case", "--reason", "settled")


def test_segments_are_listed_and_compacted(served):
    before = good(served, "segments")["segments"]
    assert (before[0]["start"], before[0]["generation"]) == (0, 1)
    done = good(served, "compact")
    assert [each["generation"] for each in done["segments"] if each["start"] == 0] == [2]
    assert good(served, "segments")["segments"][0]["generation"] == 2
    assert good(served, "compact")["segments"] == []
    assert good(served, "verify")["stored"]["findings"] == []


def test_a_server_without_an_object_store_says_how_to_give_it_one(served):
    for command in (("status",), ("send",), ("move", "--keep", "1")):
        assert b"serve --objects s3://" in refused(served, "objects", *command)
    assert b"--keep" in refused(served, "objects", "move")
    assert b"--keep" in refused(served, "objects", "move", "--keep", "0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--objects", "https://bucket"), b"s3://bucket/prefix is one"),
        (("--objects", "s3://bucket/p", "--objects-lock", "365"), b"COMPLIANCE:<days>"),
        (("--objects", "s3://bucket/p", "--objects-endpoint", "minio:9000"), b"http:// or https://"),
        (("--objects", "s3://bucket/p", "--objects-keep", "0"), b"--objects-keep"),
    ],
)
def test_an_object_store_that_cannot_be_meant_is_refused_at_the_start(tmp_path, options, said):
    ledger = new_ledger(tmp_path)
    assert ledger.run("init").returncode == 0
    assert said in refused(ledger, "serve", "--port", "0", *options)


def test_a_bucket_that_is_not_there_is_told_and_recording_goes_on(tmp_path, s3):  # noqa: F811
    with serving(
        new_ledger(tmp_path), "--objects", "s3://nobody-made-it/p", "--objects-endpoint", s3.url
    ) as ledger:
        fill(ledger, 1, 3)
        good(ledger, "seal")
        for command in ("status", "send"):
            assert b"[objects-unavailable]" in refused(ledger, "objects", command, status=3)
        fill(ledger, 3, 5)
        good(ledger, "verify")


@pytest.fixture(scope="module")
def moved(tmp_path_factory, objects) -> Ledger:
    """A stopped ledger of three segments, of which two were moved, and a hot part."""
    with serving(new_ledger(tmp_path_factory.mktemp("moved")), *objects) as ledger:
        for low in (1, 11, 21):
            fill(ledger, low, low + 10)
            good(ledger, "seal")
        fill(ledger, 31, 33)
        good(ledger, "objects", "send")
        status = good(ledger, "objects", "status")
        assert [(each["start"], each["sent"]) for each in status["segments"]] == [
            (0, True),
            (11, True),
            (21, True),
        ]
        good(ledger, "objects", "move", "--keep", "1")
        here = [each["here_bytes"] for each in good(ledger, "objects", "status")["segments"]]
        assert here[0] < here[2]
        assert b"TEXT-003-MARKER" in ledger.run("get", "up-003").stdout
        assert good(ledger, "verify")["stored"]["findings"] == []
    return ledger._replace(url="")  # nobody answers there: the commands work on the folder


def test_a_stopped_ledger_whose_segments_were_moved_is_worked_on_with_its_store(moved, objects, tmp_path):
    assert good(moved, "verify", *objects)["stored"]["findings"] == []
    good(moved, "backup", tmp_path / "set", *objects)
    [backup] = (path for path in (tmp_path / "set").iterdir() if path.name[0].isdigit())
    assert all(len(list(folder.glob("*.parquet"))) == 3 for folder in segment_folders(backup))
    assert good(moved, "dump", tmp_path / "dumped", *objects)["size"] == 33
    assert good(moved, "compact", *objects)["objects"] is None
    named = {"AGENT_LEDGER_OBJECTS": objects[1], "AGENT_LEDGER_OBJECTS_ENDPOINT": objects[3]}
    assert good(moved, "verify", **named)["stored"]["findings"] == []
    assert good(moved, "seal", **named) == {"entries": 33}
    assert [key["of"] for key in good(moved, "keys", "list", **named)] == ["log"]


def test_without_its_store_a_stopped_ledger_says_what_to_name(moved, objects, tmp_path):
    commands = [
        ("backup", tmp_path / "set"),
        ("dump", tmp_path / "d"),
        ("compact",),
        ("seal",),
        ("keys", "list"),
    ]
    for command in commands:
        assert NAMED in refused(moved, *command)
    verified = moved.run("verify")
    assert verified.returncode == 1
    assert NAMED.decode() in json.loads(verified.stdout)["stored"]["findings"][0]["detail"]
    with pytest.raises(Exception, match=NAMED.decode()), serving(moved):
        pass


def test_with_its_store_away_a_stopped_ledger_says_so(moved, objects, tmp_path):
    away = (*objects[:3], "http://127.0.0.1:9")
    assert b"[objects-unavailable]" in refused(moved, "backup", tmp_path / "set", *away)
    assert b"[objects-unavailable]" in refused(moved, "dump", tmp_path / "d", *away)
    verified = moved.run("verify", *away, **AWS)
    assert verified.returncode == 1
    assert b"does not answer" in verified.stdout
