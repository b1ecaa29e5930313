"""Pictures of the console over a ledger that is running, as docs/console/*.png: `python -m tests.console.screenshots URL TOKEN_FILE [FOLDER]`."""

import sys
from pathlib import Path

from tests.evidence.browser import chromium

WIDE, TALL = 1360, 850
WAIT_MS = 120_000
FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "console"
SEARCH = "#/search?is.tool_effect=pay"


def main(url, token, folder):
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for scheme in ("light", "dark"):
            size = {"width": WIDE, "height": TALL}
            context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            page = context.new_page()
            page.set_default_timeout(WAIT_MS)
            page.goto(f"{url}/console{SEARCH}")
            page.fill("#token", token)
            page.keyboard.press("Enter")
            page.locator("section.found[aria-busy=false] tbody tr").first.wait_for()
            if scheme == "light":
                page.screenshot(path=folder / "search-light.png")
            page.locator("tbody a.open").first.click()
            page.locator(".card.outcome").wait_for()
            page.locator(".raw").wait_for()
            if scheme == "dark":
                page.screenshot(path=folder / "record-dark.png")
            context.close()


if __name__ == "__main__":
    main(
        sys.argv[1],
        Path(sys.argv[2]).read_text(encoding="utf-8").strip(),
        Path(sys.argv[3]) if len(sys.argv) > 3 else FOLDER,
    )
