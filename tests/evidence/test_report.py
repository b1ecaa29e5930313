"""The report: for people, and harmless whatever was recorded."""

import html.parser
import re

import pytest

from ledger.core.entry import Entry
from ledger.evidence.shown import plain, text
from ledger.evidence.timeline import LANES, MARKS, draw, mark_of
from tests.evidence.browser import Verifier, chromium
from tests.evidence.conftest import HOSTILE
from tests.evidence.tampering import unzipped

TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "h3",
        "p",
        "br",
        "em",
        "strong",
        "code",
        "pre",
        "ul",
        "li",
        "bdi",
        "span",
        "section",
    ),
    *("table", "thead", "tbody", "tr", "th", "td", "svg", "line", "text", "circle", "rect", "path"),
}
ATTRIBUTES = {
    *(
        "charset",
        "http-equiv",
        "content",
        "name",
        "lang",
        "class",
        "viewbox",
        "role",
        "aria-label",
        "font-family",
        "font-size",
    ),
    *(
        "x",
        "y",
        "x1",
        "y1",
        "x2",
        "y2",
        "cx",
        "cy",
        "r",
        "d",
        "width",
        "height",
        "fill",
        "stroke",
        "stroke-width",
        "text-anchor",
    ),
}


class Elements(html.parser.HTMLParser):
    """Every element and attribute of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.words = set(), set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def report(story):
    return unzipped(story.data)["report.html"].decode()


def test_it_tells_who_asked_for_what_and_every_entry_with_what_is_disclosed(story, report):
    words = "".join(Elements(report).words)
    assert "Evidence from the audit log ledger.example/faults" in words
    for each in (
        "case 12",
        "please do 0",
        "alice@example.com",
        "SELECT seq, id, tool_name",
        "cut at its limit",
        str(story.key),
    ):
        assert each in words, each
    assert "commitment only: never given to the ledger" in words
    assert len(re.findall(r"<h3>Entry \d+", report)) == len(story.seqs)


def test_it_has_no_element_and_no_attribute_that_runs_loads_or_leads_anywhere(report):
    found = Elements(report)
    assert found.tags - TAGS - {"title"} == set()
    assert found.attributes - ATTRIBUTES == set()
    assert report.count("<style>") == 1
    assert "default-src 'none'" in report


def test_what_cannot_be_seen_or_turns_the_reading_order_is_shown_by_its_number(report):
    assert not re.search(
        "[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]", report
    )
    assert 'class="u">U+202E<' in report
    assert 'class="u">U+200B<' in report


@pytest.mark.parametrize(
    "hidden",
    [
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
        "\u00ad",
        "\u3164",
        "\ufe0f",
        "\U000e0041",
        "\U000e0100",
        "\u0007",
        "\u2028",
        "\ud800",
        "\ue000",
    ],
    ids=ascii,
)
def test_every_kind_of_hidden_character_is_shown(hidden):
    assert hidden not in text(f"a{hidden}b")
    assert f"U+{ord(hidden):04X}" in text(f"a{hidden}b")
    assert plain(f"<{hidden}") == f"&lt;[U+{ord(hidden):04X}]"


def test_a_long_text_is_cut_and_the_rest_counted():
    assert "… and 6,000 more characters" in text("x" * 10_000)
    assert text("Zürich 東京 שלום 🦊") == "<bdi>Zürich 東京 שלום 🦊</bdi>"


def entry(seq, agent, minute=0, **members):
    when = f"2026-11-21T09:{minute:02}:00.000000Z"
    return Entry(
        seq,
        bytes(32),
        when,
        "token:gw",
        None,
        b"",
        {"type": "action", "identity": {"agent_id": agent}, **members},
    )


def test_the_picture_has_a_mark_for_each_entry_a_lane_for_each_agent_and_ends_somewhere():
    marks = [mark_of(entry(seq, f"agent {seq % 3}", seq)) for seq in range(30)]
    picture = draw(
        [
            *marks,
            mark_of(entry(30, "agent 1", 31, policy={"effect": "deny"})),
            mark_of(entry(31, "agent 1", 32, outcome={"status": "failure"})),
        ]
    )
    assert (picture.count("<circle"), picture.count("<path"), picture.count("<rect")) == (30, 1, 1)
    assert picture.count("<line") == 3
    many = [mark_of(entry(seq, f"agent {seq}")) for seq in range(MARKS + 10)]
    assert draw(many).count("<line") == LANES
    assert "are drawn" in draw(many)
    assert "&lt;script&gt;" in draw([mark_of(entry(0, "<script>"))])


def test_in_a_browser_it_asks_nobody_and_runs_nothing(story, tmp_path):
    path = tmp_path / "report.html"
    path.write_bytes(unzipped(story.data)["report.html"])
    with chromium() as browser:
        opened = Verifier(browser, path)
        assert opened.page.locator("script, img, iframe, a").count() == 0
        assert opened.page.locator("svg circle, svg path").count() >= 5
        assert "<script>alert('owned')</script>" in opened.page.locator("body").text_content()
        assert (opened.requests, opened.dialogs, opened.errors) == ([path.as_uri()], [], [])
        assert opened.page.pdf()[:4] == b"%PDF"
        opened.close()
    assert HOSTILE not in path.read_text()
