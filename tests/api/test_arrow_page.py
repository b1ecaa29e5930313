"""What docs/arrow.md shows, run as it is written against a real server."""

import json
import os
import re
import subprocess
import sys

import pyarrow as pa

from ledger.ingest.arrow.schema import SCHEMA
from ledger.records.columns import COLUMNS
from tests.ingest.arrows import stream
from tests.project.tree import ROOT

PAGE = (ROOT / "docs" / "arrow.md").read_text(encoding="utf-8")


def test_the_example_posts_two_records_and_they_say_what_it_says(server, http):
    [block] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    token = server.headers["Authorization"].removeprefix("Bearer ")
    done = subprocess.run(
        [sys.executable, "-c", block],
        env={**os.environ, "AGENT_LEDGER_URL": server.url, "AGENT_LEDGER_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    record = http.get(f"/v1/entries/{first}").json()
    assert record["entry"]["record"]["time"] == "2026-11-21T09:30:00.123456Z"
    assert [c["value"] for c in record["contents"]] == [
        '"Please pay invoice 1041."',
        '{"to": "vendor-7", "amount": 98.70}',
    ]
    assert http.get(f"/v1/entries/{second}").json()["entry"]["record"]["identity"] == {
        "agent_id": "payer",
        "scopes": ["read"],
    }


def test_what_one_ledger_answers_another_takes(http, tmp_path):
    """The columns of `records` are those of a stream, all but what the ledger adds."""
    sql = "SELECT * EXCLUDE (seq, leaf_hash, recorded_at, submitter, facets_missing) FROM records WHERE type = 'action'"
    answer = http.post(
        "/v1/query", json={"sql": sql}, headers={"Accept": "application/vnd.apache.arrow.stream"}
    )
    assert answer.status_code == 200, answer.text
    found = pa.ipc.open_stream(answer.content).read_all()
    kept = [name for name in found.column_names if COLUMNS[name].kind != "commitment"]
    again = http.post(
        "/v1/records",
        content=stream(found.select(kept)),
        headers={"Content-Type": "application/vnd.apache.arrow.stream"},
    )
    assert set(found.column_names) == set(SCHEMA.names)
    assert again.status_code == 200, again.text
    assert again.json()["existing"] == found.num_rows
