"""Pictures of the console over a ledger that is running, as docs/console/*.png: `python -m tests.console.screenshots URL TOKEN_FILE [FOLDER [NAME …]]`.

Into a folder that is named go all pictures, light and dark and narrow; into docs/console only the kept one of each page.
"""

import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from tests.evidence.browser import chromium

WIDE, TALL = 1360, 850
NARROW = 400
WAIT_MS = 120_000
FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "console"


class Picture(NamedTuple):
    """A page: where it is, what is clicked there one after another, what has to be there then, and which scheme is kept, if any."""

    name: str
    address: str
    clicks: tuple[str, ...]
    ready: str
    kept: str | None


ASKED = {
    "sql": "SELECT date_trunc('day', \"time\") AS day, tool_effect, count(*) AS actions\nFROM actions\n"
    "WHERE tool_effect IN ('pay', 'send', 'create') AND \"time\" >= $since\nGROUP BY ALL\nORDER BY day, tool_effect",
    "p.since": "timestamp:2024-01-01",
}
BUSY = "section.found[aria-busy=false] tbody"
PICTURES = (
    Picture("search", "#/search?is.tool_effect=pay", (), f"{BUSY} tr", "light"),
    Picture(
        "record", "#/search?is.tool_effect=pay", ("tbody a.open",), ".card.outcome ~ .card, .raw", "dark"
    ),
    Picture("sessions", "#/sessions?only=after", (), f"{BUSY} tr", "light"),
    Picture("session", "#/sessions?only=after", (f"{BUSY} a.open",), "a.step", "light"),
    Picture("flows", "#/sessions?only=after", (f"{BUSY} a.open", ".tabs a >> nth=1"), ".box", "dark"),
    Picture("delegation", "#/sessions?only=after", (f"{BUSY} a.open", ".tabs a >> nth=2"), ".box", "light"),
    Picture("ask", f"#/ask?{urlencode(ASKED)}", (".doing button.main",), ".chart", "light"),
    Picture("questions", "#/questions", (), ".group", None),
    Picture("question", "#/question/injected-action?ask=1", (), "section.result", None),
    Picture("blast", "#/blast?what=tool&value=send_money", (), ".reached", "dark"),
    Picture("work", "#/work", (), ".tiles small", None),
    Picture("live", "#/live", (), "tbody tr", None),
    Picture("alerts", "#/alerts", (), ".bar, .nothing", None),
    Picture("cases", "#/cases", (), "p.quiet, tbody tr", None),
    Picture("erasure", "#/erasure", (), "p.quiet, tbody tr", None),
    Picture("access", "#/access", (), "tbody tr", None),
    Picture("health", "#/health", ("button.value",), ".gaps li", "light"),
    Picture("prove", "#/prove", ("main.prove button.main",), "section.verdict", "dark"),
    Picture("proof", "#/prove/700", (), ".checks >> nth=1", "light"),
    Picture(
        "integrity", "#/prove", ("button.state:enabled",), "dialog.integrity section:last-of-type dd", ""
    ),
)


def main(url, token, folder, names):
    every = folder != FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for scheme in ("light", "dark"):
            size = {"width": WIDE, "height": TALL}
            context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            page = context.new_page()
            page.set_default_timeout(WAIT_MS)
            page.goto(f"{url}/console")
            page.fill("#token", token)
            page.keyboard.press("Enter")
            page.locator("#main").wait_for()
            for picture in PICTURES:
                if (names and picture.name not in names) or not (every or scheme == picture.kept):
                    continue
                page.goto("about:blank")
                page.goto(f"{url}/console{picture.address}")
                for selector in picture.clicks:
                    page.locator(selector).first.click()
                page.locator(picture.ready).first.wait_for()
                page.screenshot(path=folder / f"{picture.name}-{scheme}.png")
                if every:
                    page.set_viewport_size({"width": NARROW, "height": TALL})
                    page.screenshot(path=folder / f"{picture.name}-{scheme}-narrow.png")
                    page.set_viewport_size(size)
            context.close()


if __name__ == "__main__":
    main(
        sys.argv[1],
        Path(sys.argv[2]).read_text(encoding="utf-8").strip(),
        Path(sys.argv[3]) if len(sys.argv) > 3 else FOLDER,
        sys.argv[4:],
    )
