"""An object store for the tests that need one."""

import socket
import uuid

import pytest

from tests.storage.s3 import Server


@pytest.fixture(scope="session")
def s3():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(port)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDMARKER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-marker")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def bucket(s3) -> str:
    return s3.bucket(f"b-{uuid.uuid4().hex}")


@pytest.fixture
def locked_bucket(s3) -> str:
    return s3.bucket(f"b-{uuid.uuid4().hex}", locked=True)
