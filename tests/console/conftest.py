"""One real server and one real browser for a module's tests, and what a browser's page sends."""

from contextlib import contextmanager

import httpx
import pytest

from ledger.trust.roles import Role
from tests.console.browser import Tab
from tests.console.proving import World
from tests.evidence.browser import chromium
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


@pytest.fixture(scope="module")
def browser():
    with chromium() as driven:
        yield driven


@pytest.fixture(scope="module")
def world(browser, tmp_path_factory):
    """Logs of the module's own, served and looked at."""
    made = World(tmp_path_factory.mktemp("world"), browser)
    yield made
    made.close()


@pytest.fixture(scope="module")
def posted():
    """What a module's log holds before somebody looks; a module says so by a fixture of this name."""


@pytest.fixture(scope="module")
def signed_in(server, browser, posted):
    """A browser in which somebody who sees contents is signed in."""
    context = browser.new_context(viewport={"width": 1300, "height": 850}, reduced_motion="reduce")
    tab = Tab(context, server).open().sign_in(server.tokens["content-reader"])
    tab.page.locator("section.found[aria-busy=false] .summary").wait_for()
    tab.close()
    yield context
    context.close()


@pytest.fixture
def tab(signed_in, server):
    opened = Tab(signed_in, server)
    yield opened
    opened.close()
