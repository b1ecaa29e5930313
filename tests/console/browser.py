"""The console in a real browser: Debian's Chromium, driven by Playwright, against a real server."""

import re

from tests.console.test_files import BUILT

WAIT_MS = (
    60_000  # for a machine that does something else as well: nothing waits for time, all for what it shows
)
WATCH = "addEventListener('securitypolicyviolation', (event) => console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
UNKNOWN = "status of 401"  # the browser says so itself of the one request that asks who is signed in


class Tab:
    """A page of the console, and what it asked, said and broke."""

    def __init__(self, context, server):
        self.server, self.page = server, context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.asked, self.wrong = [], []
        self.page.add_init_script(WATCH)
        self.page.on("request", lambda request: self.asked.append((request.method, request.url)))
        self.page.on(
            "dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss())
        )
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self._said)

    def _said(self, message):
        if message.type in {"error", "warning"} and UNKNOWN not in message.text:
            self.wrong.append(message.text)

    def open(self, place=""):
        self.page.goto(f"{self.server.url}/console{place}")
        return self

    def sign_in(self, token):
        self.page.fill("#token", token)
        self.page.keyboard.press("Enter")
        return self

    def counts(self, number):
        """Wait until the search has found so many actions, and shows them; returns the rows, each the texts of its cells."""
        said = re.compile(rf"^{number} actions?\b")
        self.page.locator("section.found[aria-busy=false] .summary [role=status]", has_text=said).wait_for()
        return [row.split("\n") for row in self.page.locator("main.search tbody tr").all_inner_texts()]

    def focused(self):
        """Where the link with the focus leads."""
        return self.page.evaluate("document.activeElement.getAttribute('href')")

    def questions(self):
        return [url for method, url in self.asked if (method, url) == ("POST", f"{self.server.url}/v1/query")]

    def close(self):
        """Close it, and see that it asked nobody else and broke nothing."""
        self.page.close()
        assert self.wrong == [], self.wrong
        assert [url for _, url in self.asked if not url.startswith((f"{self.server.url}/", "data:"))] == []


__all__ = ["BUILT", "Tab"]
