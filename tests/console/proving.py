"""One address, ledgers that are put behind it one after the other, and a browser that stays: for what it remembers."""

import random
import re
import socket
import tempfile
from pathlib import Path

import duckdb

from ledger.log.secret import format_secret
from tests.audit.sealed_log import write_folder
from tests.console.browser import Tab
from tests.faults.server import Server
from tests.storage.sealing import ORIGIN, SIGNER

SEED = bytes(range(32))  # of SIGNER
KEEP = "seen => { localStorage.clear(); Object.entries(seen).forEach(([name, text]) => localStorage.setItem(name, text)) }"
OWN_PORTS = range(20_000, 30_000)  # below those that are given out: between two servers nobody else gets it


def free_port():
    for port in random.sample(OWN_PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


class World:
    """One address, and the ledgers that are put behind it one after the other."""

    def __init__(self, base, driven):
        self.base, self.port, self.server = base, free_port(), None
        self.context = driven.new_context(viewport={"width": 1300, "height": 850}, reduced_motion="reduce")
        self.tab = None

    def make(self, name, log, cuts, seed=SEED):
        data = Path(tempfile.mkdtemp(prefix=name, dir=self.base)) / "data"
        write_folder(data, log, list(cuts))
        data.chmod(0o700)
        key = data / "log.key"
        key.touch(mode=0o600)
        key.write_bytes(format_secret(SIGNER.key, seed))
        return data

    def serve(self, data, *options):
        if self.server is not None:
            assert self.server.stop() == 0
        self.server = Server(
            data, origin=ORIGIN, options=["--port", str(self.port), "--scrub-mib-s", "0", *options]
        )
        return self.server

    def put(self, data):
        """Serve this one, where another is served now."""
        if self.server is None or self.server.data != data:
            self.serve(data)

    def begin(self, data, place="#/prove"):
        """The page of this ledger, in a browser that has seen none: what another test left is gone."""
        self.put(data)
        self.remembers({})
        return self.open(place)

    def truth(self, path):
        """What the server answers there, to who may see everything."""
        with self.server.client() as http:
            return http.get(path).raise_for_status().content

    def remembers(self, seen):
        """What the browser keeps of this address is this, and nothing else; no page is open that keeps more."""
        if self.tab is None:
            return
        page, blank = self.tab.page, f"{self.server.url}/blank"
        page.unroute_all(behavior="ignoreErrors")
        page.route(blank, lambda route: route.fulfill(body="", content_type="text/html"))
        page.goto(blank)
        page.evaluate(KEEP, seen)
        page.unroute_all()

    @property
    def token(self):
        return self.server.headers["Authorization"].partition(" ")[2]

    def open(self, place):
        """The page, by somebody who is signed in; the same one after a ledger was put in place of another."""
        if self.tab is None:
            self.tab = Tab(self.context, self.server).open(place)
        else:
            self.tab.server = self.server
            self.tab.open(place)
            self.tab.page.reload()
        page = self.tab.page
        page.locator("#token, header.top").first.wait_for()
        if page.locator("#token").count():
            self.tab.sign_in(self.token)
        page.locator("header.top").wait_for()
        return page

    def verify(self, button="Verify the whole log"):
        """Press the button; what the verdict says, and its findings as (kind, place)."""
        said, rows = self.verified(button)
        return said, [tuple(row[:2]) for row in rows]

    def verified(self, button="Verify the whole log"):
        """Press the button; what the verdict says, and its findings as [kind, place, how it shows]."""
        page = self.tab.page
        before = int(page.locator("main.prove").get_attribute("data-run"))
        page.get_by_role("button", name=button).click()
        verdict = page.locator(f"main[data-run='{before + 1}'] section.verdict")
        verdict.wait_for()
        rows = [row.split("\t") for row in verdict.locator("tbody tr").all_inner_texts()]
        return verdict.locator("h2").inner_text(), rows

    def proved(self, seq):
        """What is red on a record's page, as (what of it, why)."""
        page = self.tab.page
        page.goto(f"{self.server.url}/console#/prove")  # or the proof before would be read
        page.get_by_role("button", name="Verify the whole log").wait_for()
        page.goto(f"{self.server.url}/console#/prove/{seq}")
        page.locator("main.proved[aria-busy=false] section.verdict").wait_for()
        pairs = page.locator(".checks li.bad").evaluate_all(
            "all => all.map((each) => [each.querySelector('b').innerText, each.lastElementChild.innerText])"
        )
        return [tuple(each) for each in pairs]

    def of_witnesses(self):
        """What is red in the panel of integrity."""
        page = self.tab.page
        page.locator("button.state:enabled").click()
        panel = page.get_by_role("dialog", name="Integrity")
        panel.locator("section[aria-busy=false] dt", has_text="Witnesses").wait_for()
        found = panel.locator("dd .bad").all_inner_texts()
        page.keyboard.press("Escape")
        panel.wait_for(state="detached")
        return [("panel", each) for each in found]

    def close(self):
        if self.tab is not None:
            self.tab.page.close()  # what it says until then is known
            self.tab.wrong = [
                each for each in self.tab.wrong if not re.search("status of (4|5)|ERR_|Failed to fetch", each)
            ]
            self.tab.close()
        self.context.close()
        if self.server is not None:
            assert self.server.stop() == 0


def execute(data, *statements):
    """By hand, in the hot file of a ledger that is stopped."""
    [hot] = (data / "hot").glob("*.duckdb")
    with duckdb.connect(str(hot)) as connection:
        for each in statements:
            connection.execute(each)
