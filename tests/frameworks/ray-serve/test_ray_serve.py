"""A real Ray cluster of this machine, Serve on loopback, two deployments of which one calls the other."""

import json
import os
import socket
import sys
import time

import httpx
import pytest
import ray
from ray import cloudpickle, serve
from starlette.requests import Request

from ledger.client import Ledger
from ledger.client.adapters.ray_serve import recorded
from tests.faults.server import ROOT, Server

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # replicas cannot import a test
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {
    "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
    "x-user": "alice@example.com",
    "x-request-id": "request-1",
}
ACTIONS = "SELECT * FROM actions WHERE tool_name LIKE '%s' ORDER BY time"


def made() -> Ledger:
    return Ledger(source="replica", timeout_s=15)


@serve.deployment
class Store:
    @recorded(effect="read", ledger=made)
    async def read(self, path: str) -> str:
        if path == "/etc/shadow":
            raise PermissionError("not yours")
        return f"{path} is empty"


@serve.deployment
class Front:
    def __init__(self, store):
        self.store = store

    @recorded(user_header="x-user", ledger=made)
    async def __call__(self, request: Request) -> dict[str, str]:
        return {"answer": await self.store.read.remote(request.query_params["path"])}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    ledger = Server(tmp_path_factory.mktemp("ray") / "log", python=os.environ["AGENT_LEDGER_PYTHON"])
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    environment = {
        "AGENT_LEDGER_URL": ledger.url,
        "AGENT_LEDGER_TOKEN": ledger.headers["Authorization"].removeprefix("Bearer "),
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(
            tmp_path_factory.mktemp("state")
        ),  # what another test saw of a log of this name is not this log
        "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "ledger.client.adapters.ray_serve:span_processors",
        "RAY_SERVE_TRACING_SAMPLING_RATIO": "1.0",
    }
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", **environment})
    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=80_000_000,
        runtime_env={"env_vars": environment},
        log_to_driver=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(
        Front.options(ray_actor_options={"num_cpus": 0.1}).bind(
            Store.options(ray_actor_options={"num_cpus": 0.1}).bind()
        ),
        name="files",
        route_prefix="/files",
    )
    yield f"http://127.0.0.1:{port}/files", ledger
    serve.shutdown()
    ray.shutdown()
    ledger.stop()


def rows(ledger, tool):
    """The rows of a tool, once all have ended: replicas send what came of a call in the background."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with ledger.client() as client:
            answer = client.post("/v1/query", json={"sql": ACTIONS % tool}).json()
        names = [column["name"] for column in answer["columns"]]
        found = [dict(zip(names, row, strict=True)) for row in answer["rows"]]
        if found and all(row["outcome_status"] for row in found):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_a_request_is_an_action_and_so_is_the_call_that_it_makes_in_the_same_trace(running):
    url, ledger = running
    answer = httpx.get(url, params={"path": "/q3"}, headers=HEADERS, timeout=60)
    assert answer.json() == {"answer": "/q3 is empty"}
    (front,) = rows(ledger, "Front.%")
    told = {
        "tool_server": "files",
        "tool_protocol": "http",
        "identity_agent_name": "Front",
        "identity_principal": "alice@example.com",
        "identity_principal_source": "header x-user",
        "request_turn_id": "request-1",
        "resource_id": "/files",
        "trace_trace_id": TRACE,
        "outcome_status": "success",
    }
    assert {name: front[name] for name in told} == told
    assert json.loads(front["tool_arguments"])["query"] == {"path": "/q3"}
    assert json.loads(front["outcome_result"]) == {"answer": "/q3 is empty"}
    (store,) = rows(ledger, "Store.read")
    told = {
        "tool_protocol": "ray",
        "tool_effect": "read",
        "outcome_status": "success",
        "identity_agent_name": "Store",
    }
    assert {name: store[name] for name in told} == told
    assert json.loads(store["tool_arguments"]) == {"path": "/q3"}
    assert store["trace_trace_id"] == TRACE


def test_a_method_that_raises_is_recorded_as_a_failure(running):
    url, ledger = running
    assert httpx.get(url, params={"path": "/etc/shadow"}, timeout=60).status_code == 500
    failed = [row for row in rows(ledger, "Store.read") if "shadow" in row["tool_arguments"]]
    assert [(row["outcome_status"], row["outcome_error_type"]) for row in failed] == [
        ("failure", "PermissionError")
    ]


def test_the_lines_of_the_page_record_a_request(running, page):
    url, ledger = running
    serve.run(
        page("ray-serve")["app"],
        name="page",
        route_prefix="/page",
    )
    answer = httpx.get(url.replace("/files", "/page"), params={"path": "/q4"}, headers=HEADERS, timeout=60)
    assert answer.text == "/q4 is empty"
    (row,) = rows(ledger, "Files.%")
    assert (row["identity_principal"], row["outcome_status"]) == ("alice@example.com", "success")


def test_no_method_runs_while_the_ledger_is_away(running):
    url, ledger = running
    ledger.stop()
    answer = httpx.get(url, params={"path": "/q3"}, timeout=60)
    assert answer.status_code == 500


def test_a_plain_method_is_refused_where_it_is_decorated():
    with pytest.raises(TypeError, match="async def"):
        recorded()(lambda: None)
