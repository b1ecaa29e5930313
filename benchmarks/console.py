"""python -m benchmarks.console URL TOKEN_FILE: how long the console takes over a ledger that is running, as somebody in front of it sees it; the best of five.

A browser without a cache opens the search; then a value is kept, and a text is looked for. Times are from the request for the page, or from the change of its address.
"""

import sys
import time
from pathlib import Path

from tests.evidence.browser import chromium

ROUNDS = 5
WAIT_MS = 600_000  # a ledger that has just started makes its tables first
PAINT = "Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime)"
SAID = "section.found[aria-busy=false] .summary [role=status]"
DONE = "section.found[aria-busy=false] tbody tr, section.found[aria-busy=false] .nothing"


def main(url, token):
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1360, "height": 850})
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{url}/console")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.locator(DONE).first.wait_for()
        found = page.locator(".summary [role=status]").inner_text()
        print(f"{page.locator('.state').inner_text()}, {found}\n")
        print("| | ms |\n|---|---|")
        opened = [_opened(context, url) for _ in range(ROUNDS)]
        for what, values in zip(
            ("first contentful paint", "facets are there", "rows are there"),
            zip(*opened, strict=True),
            strict=True,
        ):
            print(f"| {what} | {min(values)} |")
        for what, place in (
            ("one outcome kept", "is.outcome_status=failure"),
            ("a text looked for", "q=invoice"),
        ):
            print(f"| {what} | {min(_moved(page, place) for _ in range(ROUNDS))} |")


def _opened(context, url):
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    started = time.monotonic()
    page.goto(f"{url}/console")
    page.locator(".facets li").first.wait_for()
    facets = _since(started)
    page.locator(DONE).first.wait_for()
    rows = _since(started)
    painted = page.evaluate(PAINT)
    page.close()
    return painted, facets, rows


def _moved(page, place):
    page.evaluate("location.hash = '#/search'")
    page.locator(".chips").wait_for(state="detached")
    page.locator(DONE).first.wait_for()
    said = page.locator(SAID)
    before = said.inner_text()
    started = time.monotonic()
    page.evaluate("(place) => { location.hash = `#/search?${place}` }", place)
    said.filter(has_not_text=before).wait_for()  # what was found before stays in sight until then
    return _since(started)


def _since(started):
    return round((time.monotonic() - started) * 1_000)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).read_text(encoding="utf-8").strip())
