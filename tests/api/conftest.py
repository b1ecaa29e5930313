"""One real server for the tests of this folder, with a token of each role."""

import pytest

from ledger.trust.roles import Role
from tests.faults.server import Server


class Api(Server):
    """The server, and clients with less than the admin's token."""

    def __init__(self, data, **options):
        super().__init__(data, **options)
        self.tokens = {role.value: self.grant(f"a-{role}", role.value) for role in Role}

    def as_(self, role):
        client = self.client()
        client.headers["Authorization"] = f"Bearer {self.tokens[role]}"
        return client


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    serving = Api(tmp_path_factory.mktemp("api") / "data")
    yield serving
    assert serving.stop() == 0


@pytest.fixture
def http(server):
    with server.client() as client:
        yield client
