"""A record whose entry was retired, off the disk, is known by what is left of its id: sent again it is not taken for a new one."""

import shutil
import time

import pytest

from ledger.log.log import Log
from tests.faults.oracle import ORIGIN, record
from tests.faults.server import Server, told

COMPACT_WITHIN_S = 120
GONE = 410


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    Log.create(folder, ORIGIN)
    return folder


def compacted(server: Server) -> dict:
    with server.client() as client:
        assert client.post("/v1/compact").status_code == 202
        until = time.monotonic() + COMPACT_WITHIN_S
        while (state := client.get("/v1/compact").json())["running"]:
            assert time.monotonic() < until, state
            time.sleep(0.1)
    return state


def entry_files(data):
    return [path for path in data.rglob("*") if path.is_file() and path.name.startswith(("entries", "facts"))]


@pytest.mark.timeout(300)
def test_the_retry_of_an_id_whose_entry_is_off_the_disk_is_answered_410_also_after_the_index_is_made_anew(
    data, serve
):
    server = serve(data)
    answer = server.post(record("goes"), record("stays"))
    places = told(answer)
    with server.client() as client:
        assert client.post("/v1/seal").status_code == 200
        policy = {"removes": "entries", "select": f"SELECT seq FROM records WHERE seq = {places['goes'][0]}"}
        assert client.put("/v1/retention/policies/short", json=policy).status_code == 200
        [plan] = client.post("/v1/retention/run", json={}).json()["plans"]
        assert plan["entries"] == 1
    before = entry_files(data)
    state = compacted(server)
    assert state["failed"] is None
    assert not any(path.exists() for path in before)
    for ids in ("as they were", "made anew"):
        refused = server.post(record("goes"))
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (GONE, "retired"), ids
        again = server.post(record("stays"))
        assert (again.status_code, told(again)["stays"]) == (200, places["stays"])
        server.kill()
        shutil.rmtree(data / "ids")
        server = serve(data)
    with server.client() as client:
        assert client.get(f"/v1/entries/{places['goes'][0]}").status_code == GONE
        assert client.get(f"/v1/entries/{places['goes'][0]}/receipt").status_code == 200
