"""Threats 47, 49 and 57: a disk that fails, a second server, another origin. Each is a clear refusal, and loses nothing acknowledged."""

import contextlib
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.note import parse_note
from ledger.log.log import Log
from ledger.storage.anchor import HeadAnchor, default_anchor
from ledger.storage.layout import hot_path, wal_of
from tests.faults.injector import Board, Mode
from tests.faults.oracle import ORIGIN, check, record
from tests.faults.server import NotStarted, Server, told

REFUSED = 2
DATABASE = "*duckdb"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    Log.create(folder, ORIGIN)
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 12 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def disk(injector, tmp_path):
    """What is under the test's folder can be made to fail."""
    return Disk(Board(tmp_path, tmp_path), injector)


class Disk(NamedTuple):
    board: Board
    injector: Path

    @property
    def environment(self):
        return self.board.environment(self.injector)


def remount(place, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def refused(response, *codes):
    """The code of a clear refusal to append."""
    problem = response.json()
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    code = problem["type"].rpartition(":")[2]
    assert code in codes, problem
    assert "again" in problem["detail"], "it says what to do"
    return code


def not_started(folder, **options):
    with pytest.raises(NotStarted) as caught:
        Server(folder, **options).kill()
    assert caught.value.status == REFUSED
    assert "Traceback" not in caught.value.words
    [*_, last] = caught.value.words.strip().splitlines()
    return last


def started(serve, folder):
    """A server, or why there is none."""
    try:
        return serve(folder)
    except NotStarted as refusal:
        return refusal


def post_until_refused(server, chars):
    """What was acknowledged before the first refusal, that refusal, and the record it was about."""
    acknowledged = {}
    for number in range(1_000):
        item = record(f"big-{number}", "x" * chars)
        response = server.post(item)
        if response.status_code != 201:
            return acknowledged, response, item
        acknowledged |= told(response)
    raise AssertionError("nothing was refused")


# -- who may write ---------------------------------------------------------------------------------------------------


def test_a_second_server_on_the_folder_is_refused_and_told_who_has_it(data, serve):
    first = serve(data)
    last = not_started(data)
    assert str(first.process.pid) in last
    assert "one log has one writer" in last
    answer = first.post(record("after"))
    assert answer.status_code == 201
    assert first.stop() == 0
    check(data, told(answer))


def test_another_origin_is_refused_and_the_old_one_still_serves(data, serve):
    last = not_started(data, origin="ledger.example/renamed")
    assert ORIGIN in last
    assert "ledger.example/renamed" in last
    server = serve(data)
    assert server.post(record("x")).status_code == 201
    with server.client() as client:
        assert client.get("/v1/log").json()["origin"] == ORIGIN


# -- a disk that fails -----------------------------------------------------------------------------------------------


def test_an_fsync_of_the_database_that_fails_refuses_the_record_and_loses_none(data, serve, disk):
    server = serve(data, environment=disk.environment)
    acknowledged = told(server.post(record("first")))
    disk.board.fail("sync", DATABASE, Mode.FAILED)
    refused(server.post(record("second")), "storage-failed", "log-stopped")
    refused(server.post(record("third"), record("fourth")), "storage-failed", "log-stopped")
    with server.client() as client:
        size = client.get("/v1/log").json()["size"]
        assert parse_checkpoint(parse_note(client.get("/checkpoint").content).text).size == size == 2
        assert client.get("/v1/records/first").status_code == 200
    disk.board.heal()
    server.kill()
    assert check(data, acknowledged).keys() >= {"first"}
    again = serve(data).post(record("first"), record("second"), record("third"), record("fourth"))
    assert told(again)["first"] == acknowledged["first"]
    assert len(told(again)) == 4


def test_an_fsync_that_failed_once_does_not_stop_the_log_when_nothing_was_written(data, serve, disk):
    server = serve(data, environment=disk.environment)
    disk.board.fail("sync", DATABASE, Mode.FAILED)
    assert refused(server.post(record("first")), "storage-failed") == "storage-failed"
    disk.board.heal()
    answer = server.post(record("first"))
    assert answer.status_code == 201
    server.kill()
    assert check(data, told(answer)) == {"first": 1}


def test_an_anchor_that_cannot_be_written_stops_the_log_until_it_is_restarted(data, serve, disk):
    server = serve(data, environment=disk.environment)
    acknowledged = told(server.post(record("first")))
    kept = HeadAnchor(default_anchor(data)).read()
    disk.board.fail("write", default_anchor(data).name, Mode.FAILED)
    refused(server.post(record("second")), "log-stopped")
    disk.board.heal()
    refused(server.post(record("third")), "log-stopped")
    with server.client() as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        assert client.get("/checkpoint").content == kept == HeadAnchor(default_anchor(data)).read()
        assert client.get("/v1/records/first").status_code == 200
        assert "agent_ledger_writable 0" in client.get("/metrics").text
    server.stop()
    found = check(data, acknowledged)
    again = serve(data).post(record("first"), record("second"), record("third"))
    results = {result["id"]: result for result in again.json()["results"]}
    assert (
        {name for name, result in results.items() if result["existing"]}
        == found.keys()
        == {"first", "second"}
    )


def test_a_file_that_may_grow_no_further_refuses_records_until_it_may(data, serve):
    """As a full disk or a quota does; needs no privilege."""
    server = serve(data)
    acknowledged = told(server.post(record("first")))
    written = wal_of(hot_path(data, 1)).stat().st_size
    _, most = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (written + 200_000, most))
    before, response, item = post_until_refused(server, 50_000)
    refused(response, "storage-failed", "log-stopped")
    assert len(before) in range(1, 5)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, most))
    server.kill()
    acknowledged |= before
    check(data, acknowledged)
    answer = serve(data).post(item)
    assert answer.status_code in {200, 201}


def test_a_full_disk_refuses_records_and_more_space_and_a_restart_bring_them_back(small_disk, serve):
    data = small_disk / "data"
    Log.create(data, ORIGIN)
    server = serve(data)
    acknowledged, response, item = post_until_refused(server, 500_000)
    refused(response, "storage-failed", "log-stopped")
    assert len(acknowledged) > 5
    with server.client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/log").json()["size"] == len(acknowledged) + 1
    remount(small_disk, "size=64m")
    server.kill()
    check(data, acknowledged)
    again = serve(data)
    assert again.post(item).status_code in {200, 201}
    assert told(again.post(record("big-0", "x" * 500_000)))["big-0"] == acknowledged["big-0"]


def test_a_start_on_a_full_disk_refuses_or_serves_and_loses_nothing(small_disk, serve):
    data = small_disk / "data"
    Log.create(data, ORIGIN)
    server = serve(data)
    acknowledged, _, _ = post_until_refused(server, 500_000)
    server.kill()
    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))
    again = started(serve, data)
    if isinstance(again, NotStarted):
        assert again.status == REFUSED
        assert "No space left on device" in again.words
    else:
        assert told(again.post(record("big-0", "x" * 500_000)))["big-0"] == acknowledged["big-0"]
        again.kill()
    (small_disk / "filler").unlink()
    remount(small_disk, "size=64m")
    check(data, acknowledged)


def test_a_read_only_disk_is_refused_at_the_start(small_disk):
    data = small_disk / "data"
    Log.create(data, ORIGIN)
    remount(small_disk, "ro")
    last = not_started(data)
    assert "Read-only file system" in last
    assert str(data) in last
    remount(small_disk, "rw")
    check(data, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused_at_the_start(data):
    data.chmod(0o500)
    (data / "lock").chmod(0o400)
    last = not_started(data)
    data.chmod(0o700)
    (data / "lock").chmod(0o600)
    assert "Permission denied" in last
    assert str(data) in last
    check(data, {})


def test_a_folder_that_is_gone_is_not_taken_for_a_new_one_where_its_anchor_stands(data, serve):
    server = serve(data)
    server.post(record("first"))
    server.stop()
    data.rename(data.with_name("elsewhere"))
    assert "anchor" in not_started(data)
