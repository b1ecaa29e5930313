"""One log, one writer, also where locks are lost and folders moved: whoever lost it says so before it acknowledges anything more."""

import shutil
import time

import pytest

from ledger.log.log import Log
from ledger.storage.anchor import HeadAnchor, default_anchor
from ledger.trust.local import RELOAD_EVERY_S
from tests.faults.injector import Board
from tests.faults.oracle import ORIGIN, check, record
from tests.faults.server import told

STOPPED = ("log-stopped", "token-file")  # tokens are looked up in the folder, too


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    Log.create(folder, ORIGIN)
    return folder


def refused(response, *words):
    problem = response.json()
    assert response.status_code == 503, problem
    assert problem["type"].endswith(STOPPED), problem
    for word in words:
        assert word in problem["detail"]


@pytest.mark.parametrize("replaced", [False, True], ids=["granted twice", "file replaced"])
def test_a_lock_that_a_second_server_got_too_stops_the_first_before_it_acknowledges(
    data, serve, injector, tmp_path, replaced
):
    """As on a network file system that lost its locks: the second one's locks, DuckDB's too, hold nobody off."""
    first = serve(data)
    acknowledged = told(first.post(record("one")))
    if replaced:
        (data / "lock").unlink()
    board = Board(tmp_path, data)
    board.lose_locks()
    second = serve(data, environment=board.environment(injector))
    refused(first.post(record("two")), "lock", "again")
    refused(first.post(record("three")))
    with first.client() as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    acknowledged |= told(second.post(record("four")))
    assert first.stop() == 0, first.said()
    acknowledged |= told(second.post(record("five")))
    assert second.stop() == 0, second.said()
    assert check(data, acknowledged) == {"one": 1, "four": 2, "five": 3}


def test_a_data_folder_that_was_moved_away_stops_the_server_and_back_again_it_goes_on(data, serve):
    server = serve(data)
    acknowledged = told(server.post(record("one")))
    data.rename(data.with_name("elsewhere"))
    refused(server.post(record("two")), str(data), "moved away")
    data.with_name("elsewhere").rename(data)
    server.stop()
    assert check(data, acknowledged) == {"one": 1}
    acknowledged |= told(serve(data).post(record("two")))
    assert acknowledged["two"][0] == 2


def test_while_the_data_folder_is_away_a_server_is_unavailable_and_nobody_is_told_that_a_token_is_wrong(
    data, serve
):
    server = serve(data)
    acknowledged = told(server.post(record("one")))
    data.rename(data.with_name("elsewhere"))
    time.sleep(1.5 * RELOAD_EVERY_S)
    with server.client() as client:
        answers = [client.post("/v1/records", json=record("two")), client.get("/v1/log")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert all("moved away" in answer.json()["detail"] for answer in answers)
    data.with_name("elsewhere").rename(data)
    server.stop()
    assert check(data, acknowledged) == {"one": 1}


def test_a_data_folder_that_was_removed_stops_the_server_before_it_acknowledges(data, serve):
    server = serve(data)
    server.post(record("one"))
    shutil.rmtree(data)
    refused(server.post(record("two")), str(data), "removed")
    server.kill()


def test_a_copy_in_the_place_of_the_data_folder_stops_the_server_before_it_acknowledges(data, serve):
    server = serve(data)
    acknowledged = told(server.post(record("one")))
    shutil.copytree(data, data.with_name("copy"))
    data.rename(data.with_name("old"))
    data.with_name("copy").rename(data)
    refused(server.post(record("two")), "replaced")
    server.kill()
    assert check(data, acknowledged) == {"one": 1}


def test_a_head_anchor_that_another_writer_moved_stops_the_server(data, serve):
    server = serve(data)
    acknowledged = told(server.post(record("one")))
    path = default_anchor(data)
    other = HeadAnchor(path)
    other.advance(HeadAnchor(path).read(), 2)
    other.close()
    refused(server.post(record("two")), str(path), "another one")
    server.stop()
    assert check(data, acknowledged) == {"one": 1, "two": 2}, "it is there, unacknowledged: a retry finds it"
