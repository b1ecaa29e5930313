"""The verifying page in a real browser: Debian's Chromium, driven by Playwright, without a network."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "ledger/core/verify.html"
CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Verifier:
    """The page, opened as a file, and what it asked of the network or said in dialogs: nothing."""

    def __init__(self, browser: Any, page: Path = PAGE, before: str = "") -> None:
        self.page = browser.new_page()
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console", lambda message: self.errors.append(message.text) if message.type == "error" else None
        )
        if before:
            self.page.add_init_script(before)
        self.address = page.as_uri()
        self.page.goto(self.address)

    def verify(self, data: bytes, key: str = "") -> dict[str, Any]:
        """Choose a file as a person would; what the page says for programs."""
        self.choose(data, key)
        return self.said()

    def choose(self, data: bytes, key: str = "") -> None:
        self.page.goto(self.address)  # what was said of another file is gone
        self.page.fill("#key", key)
        chosen = {"name": "evidence.zip", "mimeType": "application/zip", "buffer": data}
        self.page.set_input_files("#file", chosen)

    def says(self, words: str) -> None:
        """Wait until the verdict has these words."""
        self.page.locator("#verdict", has_text=words).wait_for(timeout=60_000)

    def said(self) -> dict[str, Any]:
        self.page.locator("#json:not(:empty)").wait_for(state="attached", timeout=60_000)
        return json.loads(self.page.locator("#json").text_content())

    def close(self) -> None:
        self.page.close()


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def policy_of(page: str) -> str:
    """The policy that fits the page's own script and style."""
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    return f"default-src 'none'; script-src 'sha256-{digest(script)}'; style-src 'sha256-{digest(style)}'; base-uri 'none'; form-action 'none'"
