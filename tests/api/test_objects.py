"""`/v1/objects*` of a server with an object store: what it answers, what it refuses."""

import uuid

import pytest

from tests.api.conftest import Api
from tests.api.test_retention import action, problem
from tests.storage.conftest import s3  # noqa: F401

ROUTES = [("GET", "/v1/objects"), ("POST", "/v1/objects/send"), ("POST", "/v1/objects/move")]


@pytest.fixture(scope="module")
def server(tmp_path_factory, s3):  # noqa: F811
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIDMARKER",
            "AWS_SECRET_ACCESS_KEY": "secret-marker",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }.items():
            patch.setenv(name, value)
        bucket = s3.bucket(f"b-{uuid.uuid4().hex}", locked=True)
        place = ("--objects", f"s3://{bucket}/audit", "--objects-endpoint", s3.url)
        serving = Api(
            tmp_path_factory.mktemp("objects") / "data",
            options=(*place, "--objects-lock", "GOVERNANCE:1"),
        )
    serving.bucket = bucket
    with serving.client() as http:
        serving.ends = []
        serving.first = http.get("/v1/log").json()["size"]
        for low in (0, 10):
            assert http.post("/v1/records", json=[action(n) for n in range(low, low + 10)]).status_code == 201
            serving.ends.append(http.get("/v1/log").json()["size"])
            assert http.post("/v1/seal").status_code == 200
    yield serving
    assert serving.stop() == 0


def test_segments_are_sent_once_and_listed_with_their_lock(server, http):
    sent = http.post("/v1/objects/send").json()["sent"]
    assert set(sent) <= {0, server.ends[0]}
    assert http.post("/v1/objects/send").json() == {"sent": []}
    answer = http.get("/v1/objects").json()
    assert (answer["bucket"], answer["prefix"], answer["lock"]) == (server.bucket, "audit", "GOVERNANCE:1")
    assert [(each["start"], each["end"], each["sent"]) for each in answer["segments"]] == [
        (0, server.ends[0], True),
        (*server.ends, True),
    ]
    assert all(each["there_bytes"] > 0 for each in answer["segments"])


def test_what_was_moved_is_read_and_verified_as_before(server, http):
    assert http.post("/v1/objects/move", json={"keep": 1}).json() == {"moved": [0]}
    assert http.post("/v1/objects/move", json={"keep": 1}).json() == {"moved": []}
    first, second = http.get("/v1/objects").json()["segments"]
    assert first["here_bytes"] < second["here_bytes"]
    assert "please 2" in str(http.get(f"/v1/entries/{server.first + 2}").json()["contents"])
    assert http.get("/v1/objects").json()["cache_bytes"] > 0


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "keep"),
        ({"keep": 0}, "keep"),
        ({"keep": -1}, "keep"),
        ({"keep": "1"}, "keep"),
        ({"keep": 1.5}, "keep"),
        ({"keep": 1, "bucket": "another"}, "bucket"),
    ],
)
def test_a_body_that_says_something_else_is_refused_and_says_which_member(http, body, named):
    answer = http.post("/v1/objects/move", json=body)
    assert problem(answer) == (422, "invalid-parameter")
    assert named in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_neither_key_nor_secret_is_in_an_answer(http, method, path):
    answer = http.request(method, path, json={"keep": 1})
    assert answer.status_code == 200
    assert "MARKER" not in answer.text
    assert "secret" not in answer.text


def test_another_method_is_refused(http):
    assert http.delete("/v1/objects").status_code == 405
    assert http.get("/v1/objects/send").status_code == 405
