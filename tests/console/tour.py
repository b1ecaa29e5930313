"""The path of docs/tour.md, walked by its test and for its pictures: `python -m tests.console.tour URL TOKEN_FILE [FOLDER]` over a ledger with AgentDojo's runs."""

import re
import sys
from pathlib import Path

from tests.evidence.browser import chromium

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "tour"
ACCOUNT = "US133000000121212121212"  # what the bank's complaint names; nothing else is known
WIDE, TALL = 1200, 720
WAIT_MS = 120_000


class Walk:
    """A page, what was found on the way, and how often something was clicked or sent."""

    def __init__(self, page, picture=lambda _: None):
        self.page, self.picture = page, picture
        self.clicks, self.found = 0, {}

    def click(self, place):
        self.clicks += 1
        place.click()

    def send(self, text):
        """Type into the search, and press Enter: counted as a click."""
        self.clicks += 1
        self.page.get_by_role("searchbox").fill(text)
        self.page.keyboard.press("Enter")

    def counted(self):
        """The search's words when it has answered: `540 actions`."""
        status = "section.found[aria-busy=false] .summary [role=status]"
        place = self.page.locator(status, has_text=re.compile(r"^[\d,]+ actions?"))
        place.wait_for()
        return place.inner_text()

    def picture_of_flows(self):
        self.page.locator(".canvas .box.start").wait_for()
        return self.page.locator(".flows tbody tr").all_inner_texts()

    def record(self, title):
        """Wait for a record's page, and read its cards."""
        self.page.locator("main.record h1", has_text=title).wait_for()
        self.page.locator(".card.outcome").wait_for()
        read = self.page.get_by_role
        return {
            name: read("region", name=name).inner_text()
            for name in ("Request", "Tool", "Identity", "Outcome")
        }


def walk(on):
    """From the open search to the file. `on.found` has what was read off the pages."""
    page = on.page
    on.send(ACCOUNT)
    page.locator(".chips", has_text=ACCOUNT).wait_for()
    on.counted()
    on.click(page.get_by_title("Only pay", exact=True))
    page.locator(".chips", has_text="Effect").wait_for()
    on.found["payments"] = on.counted()
    on.picture("payments")
    on.click(page.locator("main.search tbody a.open").first)
    on.found["payment"] = on.record(re.compile("send_money|transaction"))
    on.found["place"] = int(page.url.rpartition("/")[2])
    on.picture("payment")
    on.click(page.get_by_role("link", name="What went into it, and on from it"))
    on.found["into"] = on.picture_of_flows()
    source = page.locator(".flows tbody tr", has_text=ACCOUNT).first.locator("a").first.get_attribute("href")
    box = page.locator(f'.canvas a[href="{source}"]')
    box.hover()
    on.picture("flows")
    on.click(box)
    on.found["source"] = on.record(re.compile(r"\w"))
    on.picture("source")
    on.click(page.get_by_role("link", name="What went into it, and on from it"))
    on.found["onward"] = on.picture_of_flows()
    row = page.locator(".flows tbody tr", has_text=ACCOUNT).first
    on.click(row.get_by_role("link", name="where else?"))
    page.locator(".chips", has_text=ACCOUNT).wait_for()
    on.found["elsewhere"] = on.counted()
    on.picture("elsewhere")
    on.click(page.locator("main.search").get_by_role("button", name="Evidence…"))
    page.locator("dialog.evidence").wait_for()
    on.picture("evidence")
    with page.expect_download() as download:
        on.click(page.get_by_role("button", name="Make and save"))
    on.found["file"] = Path(download.value.path())
    page.locator("dialog.evidence .done").wait_for()


def main(url, token, folder):
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        context = browser.new_context(
            viewport={"width": WIDE, "height": TALL}, color_scheme="light", reduced_motion="reduce"
        )
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{url}/console")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.locator("main.search tbody tr").first.wait_for()
        on = Walk(page, lambda name: page.screenshot(path=folder / f"{name}.png"))
        walk(on)
        context.close()
    print(on.clicks, on.found)  # noqa: T201 - for who writes the page


if __name__ == "__main__":
    main(
        sys.argv[1],
        Path(sys.argv[2]).read_text(encoding="utf-8").strip(),
        Path(sys.argv[3]) if len(sys.argv) > 3 else FOLDER,
    )
