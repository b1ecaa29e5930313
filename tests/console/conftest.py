"""One real server for a module's tests, and what a browser's page sends."""

from contextlib import contextmanager

import httpx
import pytest

from ledger.trust.roles import Role
from tests.faults.server import Server

PAGE = {"Sec-Fetch-Site": "same-origin", "X-Console": "1"}


class Console(Server):
    """The server, a token of each role, and pages that are signed in."""

    def __init__(self, data, **options):
        super().__init__(data, **options)
        self.tokens = {role.value: self.grant(f"a-{role}", role.value) for role in Role}

    def page(self):
        """A browser's page: it keeps cookies, and says where it is from."""
        return httpx.Client(base_url=self.url, headers=PAGE, timeout=30, trust_env=False, verify=self._verify)

    @contextmanager
    def signed_in(self, role="content-reader"):
        with self.page() as page:
            page.post("/console/session", json={"token": self.tokens[role]}).raise_for_status()
            yield page

    def cookie(self, role):
        """The cookie of a new session, as a browser's context takes it: where signing in is not what is tested."""
        with self.signed_in(role) as page:
            (made,) = page.cookies.jar
            return {"name": made.name, "value": made.value, "url": self.url}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    serving = Console(tmp_path_factory.mktemp("console") / "data")
    yield serving
    assert serving.stop() == 0
