"""Asking in the browser: a statement written by keyboard, named questions as forms, the blast radius; and what hostile answers, texts and addresses do: nothing."""

import csv
import re
from pathlib import Path

import pytest

from tests.console.browser import BUILT, Tab
from tests.console.test_browser import AXE, HOSTILE, MANY, action, hostile
from tests.evidence.browser import chromium

HEAVY = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b"
PAGES = {
    "sql": "#/ask?sql=SELECT+tool_name,+count(*)+AS+n+FROM+actions+WHERE+tool_name+<>+$not+GROUP+BY+ALL&p.not=text:x",
    "questions": "#/questions",
    "question": "#/question/blast-radius-of-an-agent?p.agent=agent-1&ask=1",
    "blast": "#/blast?what=agent&value=agent-0",
}

pytestmark = pytest.mark.skipif(not BUILT, reason="the console is not built: make console")


@pytest.fixture(scope="module")
def browser():
    with chromium() as driven:
        yield driven


@pytest.fixture(scope="module")
def filled(server):
    server.post(*[action(number) for number in range(MANY)]).raise_for_status()
    server.post(*[hostile(name, text) for name, text in HOSTILE.items()]).raise_for_status()
    return server


class Asking(Tab):
    """A page where one asks."""

    def write(self, sql):
        """Write a statement in the place of the one there is, without its completions."""
        self.page.get_by_role("textbox", name="SQL").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(sql)
        return self

    def run(self):
        self.page.keyboard.press("Control+Enter")
        return self.rows()

    def rows(self):
        """The rows of the answer, each the texts of its cells."""
        self.page.locator("section.result").wait_for()
        return self.page.evaluate(
            "[...document.querySelectorAll('section.result tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))"
        )

    def saved(self, name, role="button"):
        with self.page.expect_download() as download:
            self.page.get_by_role(role, name=name).click()
        return Path(download.value.path()).read_text(encoding="utf-8"), download.value.suggested_filename


def opened(browser, server, role, **options):
    context = browser.new_context(viewport={"width": 1300, "height": 850}, reduced_motion="reduce", **options)
    tab = Asking(context, server).open("#/questions").sign_in(server.tokens[role])
    tab.page.get_by_role("link", name="Named questions").wait_for()
    return context, tab


@pytest.fixture(scope="module")
def signed_in(filled, browser):
    context, tab = opened(browser, filled, "content-reader")
    tab.close()
    yield context
    context.close()


@pytest.fixture
def tab(signed_in, filled):
    made = Asking(signed_in, filled)
    yield made
    made.wrong = [
        each for each in made.wrong if "status of 422" not in each
    ]  # the browser's own words on a refusal
    made.asked = [
        (how, url) for how, url in made.asked if not url.startswith("blob:")
    ]  # a file that is saved
    made.close()


def test_a_statement_is_written_with_completion_by_keyboard_alone_and_its_address_gives_it_again(tab):
    tab.open("#/ask").page.get_by_role("textbox", name="SQL").focus()
    keyboard, offered = tab.page.keyboard, tab.page.locator(".cm-tooltip-autocomplete")
    keyboard.press("Control+a")
    for typed, chosen in (("SELECT tool_na", "tool_name"), (", count(*) AS n FROM act", "actions")):
        keyboard.type(typed)
        offered.get_by_role("option", name=chosen).first.wait_for()
        keyboard.press("Enter")
        offered.wait_for(state="detached")
    keyboard.insert_text(" WHERE tool_name IN ('read_file', 'search') GROUP BY ALL ORDER BY tool_name")
    rows = tab.run()
    assert rows == [["read_file", "40"], ["search", "40"]]
    assert tab.page.locator(".chart .bars li").count() == 2  # two columns: a picture by itself
    assert re.search(
        r"2 rows .*of the log's first [\d,]+ entries", tab.page.locator(".result .about").inner_text()
    )
    assert "sql=SELECT+tool_name" in tab.page.url
    asked = len(tab.questions())
    tab.page.reload()
    tab.page.get_by_text("From the address").wait_for()
    assert len(tab.questions()) == asked  # a statement in a link is not run by opening it
    tab.page.get_by_role("button", name="Run").click()
    assert tab.rows() == rows
    tab.page.get_by_role("textbox", name="SQL").press("Tab")  # Tab leads on
    assert tab.page.evaluate("document.activeElement.className") != "editor"


def test_an_answer_is_kept_for_who_comes_back_from_a_record(tab):
    tab.open("#/ask").write("SELECT seq, tool_name FROM actions ORDER BY seq LIMIT 2")
    first = tab.run()
    asked = len(tab.questions())
    tab.page.locator("section.result tbody a").first.click()
    tab.page.get_by_role("region", name="Outcome").wait_for()
    tab.page.go_back()
    assert tab.rows() == first
    assert len(tab.questions()) == asked + 1  # the record's own


def test_an_error_is_shown_where_it_is(tab):
    tab.open("#/ask").write("SELECT tool_name,\n       nope_x\nFROM actions")
    tab.page.keyboard.press("Control+Enter")
    tab.page.get_by_role("alert").filter(has_text="nope_x").wait_for()
    assert tab.page.locator(".cm-wrong").all_inner_texts() == ["nope_x"]
    tab.page.get_by_role("button", name="Line 2").click()
    tab.page.keyboard.insert_text("agent_")
    tab.page.locator(".cm-wrong").wait_for(state="detached")
    tab.write("SELECT 1 FROM nowhere_y").page.keyboard.press("Control+Enter")
    tab.page.locator(".cm-wrong", has_text="nowhere_y").wait_for()


def test_parameters_are_fields_with_types(tab):
    tab.open("#/ask").write(
        "SELECT count(*) AS n FROM actions WHERE \"time\" >= $since AND tool_name IN $tools -- $none '$no'"
    )
    run = tab.page.get_by_role("button", name="Run")
    assert tab.page.locator(".fields label").all_inner_texts() == ["$since", "$tools"]
    assert run.is_disabled()
    tab.page.get_by_label("$since", exact=True).fill("yesterday")
    tab.page.get_by_text("not time (UTC)").wait_for()
    tab.page.get_by_label("$since", exact=True).fill("2026-11-20 01:00")
    tab.page.get_by_label("$tools", exact=True).fill("search, send_money")
    run.click()
    assert tab.rows() == [["40"]]
    assert "p.since=timestamp%3A2026-11-20" in tab.page.url


def test_a_heavy_statement_tells_that_it_runs_and_is_cancelled(tab):
    tab.open("#/ask").write(HEAVY).page.keyboard.press("Control+Enter")
    tab.page.get_by_role("progressbar", name="How far it is").wait_for()
    tab.page.get_by_role("button", name="Cancel").click()
    tab.page.get_by_text("Cancelled after").wait_for()
    assert any(how == "DELETE" and "/v1/query/running/" in url for how, url in tab.asked)


def test_more_rows_come_from_a_cursor_and_a_picture_is_chosen(tab):
    tab.open("#/ask").write(
        "SELECT i, i * i AS square, '2026-01-01T00:00:00Z'::TIMESTAMPTZ + to_minutes(i) AS at FROM range(1100) t(i) ORDER BY i"
    )
    tab.run()
    more = tab.page.get_by_role("button", name="More rows")
    for _ in range(4):
        more.click()
    tab.page.locator("section.result tbody tr").nth(1099).wait_for()
    assert more.count() == 0
    tab.page.get_by_label("Kind of picture").select_option("scatter")
    assert tab.page.locator(".axes circle").count() == 1100
    tab.page.get_by_label("Kind of picture").select_option("time")
    picture = tab.page.locator(".axes svg")
    picture.focus()
    tab.page.keyboard.press("ArrowRight")
    tab.page.locator(".axes figcaption", has_text="2026-01-01 00:00:00").wait_for()


def test_hostile_cells_column_names_errors_and_addresses_are_shown_as_text(tab):
    tab.open("#/ask").write(
        'SELECT tool_name AS "<img src=x onerror=alert(6)>", tool_name, request_text, tool_arguments, resource_id AS "=cmd", seq FROM actions WHERE policy_engine <> \'opa\' ORDER BY seq'
    )
    assert len(tab.run()) == len(HOSTILE)
    shown = tab.page.locator("section.result").inner_text()
    assert "<img src=x onerror=alert(6)>" in shown
    assert all(escape in shown for escape in ("U+202E", "U+200B", "ESC", "NUL"))
    assert not any(character in shown for character in "\u202e\u200b\x1b\x00")
    text, name = tab.saved("CSV")
    assert re.fullmatch(r"answer-\d+\.csv", name)
    head, *rows = csv.reader(text.splitlines())
    assert head[4] == "'=cmd"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    tab.write('SELECT "<img src=x onerror=alert(7)>" FROM actions').page.keyboard.press("Control+Enter")
    tab.page.get_by_role("alert").filter(has_text="<img src=x onerror=alert(7)>").wait_for()
    tab.open(
        "#/ask?sql=SELECT+%27\u202e%27,+$__proto__&p.__proto__=text:1&p.x=constructor:y&as_of=-1&p.a.b=text:x"
    )
    tab.page.get_by_role("button", name="Run").click()
    tab.rows()
    assert "U+202E" in tab.page.locator(".cm-content").inner_text()
    assert tab.page.locator("main img[src], main script").count() == 0


def test_a_named_question_is_a_form_that_is_answered_and_opens_as_sql(tab):
    tab.open("#/questions").page.get_by_label("Find a question").fill("what did this agent touch")
    tab.page.get_by_role("link", name="What did this agent touch").click()
    ask = tab.page.get_by_role("button", name="Ask", exact=True)
    ask.wait_for()
    assert ask.is_disabled()
    tab.page.get_by_label("agent", exact=False).first.fill("agent-1")
    tab.page.get_by_label("since").fill("last week")
    assert ask.is_disabled()
    tab.page.get_by_label("since").fill("2026-11-20")
    tab.page.keyboard.press("Enter")
    rows = tab.rows()
    assert len(rows) > 5
    address = tab.page.url
    tab.page.get_by_role("link", name="Open as SQL").click()
    tab.page.get_by_text("From the address").wait_for()
    tab.page.get_by_role("button", name="Run").click()
    assert tab.rows() == rows
    tab.page.goto(address)
    tab.page.reload()
    assert tab.rows() == rows  # the ledger's own question is asked again
    tab.open("#/question/%3Cb%3Enone").page.get_by_text("no question of this name").wait_for()


def test_a_blast_radius_leads_from_a_choice_to_counts_the_search_and_a_file(tab):
    tab.open("#/ask").page.get_by_role("link", name="Blast radius").click()
    tab.page.get_by_role("link", name="Agent", exact=True).click()
    tab.page.get_by_label("Agent: those seen most").get_by_role("link", name="agent-0").click()
    reach = tab.page.get_by_role("region", name="What it reached")
    reach.wait_for()
    totals = re.sub(r"\s+", " ", tab.page.locator(".totals").inner_text())
    assert totals.startswith("Actions 60 Done 48 Denied 12 Sessions 7 Resources 5 Users 1")
    assert reach.get_by_role("region", name="Tools").locator("tbody tr").count() == 3
    text, _ = tab.saved("Save all actions as CSV")
    assert len(list(csv.reader(text.splitlines()))) == 61
    tab.page.get_by_role("button", name="Evidence…").click()
    with tab.page.expect_download() as evidence:
        tab.page.get_by_role("button", name="Make and save").click()
    assert evidence.value.suggested_filename.endswith(".zip")
    tab.page.get_by_text("60 entries").wait_for()
    tab.page.keyboard.press("Escape")
    reach.get_by_role("region", name="Resources").get_by_role("link", name="vendor-2").click()
    tab.counts(12)
    tab.page.go_back()
    reach.wait_for()
    tab.page.get_by_role("link", name="In the search").click()
    tab.counts(60)
    tab.page.locator("tbody tr").first.get_by_role("button", name="vendor-").first.click()
    tab.page.get_by_role("link", name="What it reached").click()
    reach.get_by_role("region", name="Agents").wait_for()
    assert "what=resource&value=vendor-" in tab.page.url
    tab.open("#/blast?what=agent&value=nobody%3Cb%3E&last=constructor").page.get_by_text(
        "No action of it is recorded"
    ).wait_for()


def test_who_may_not_see_contents_is_told_what_stands_in_their_place(filled, browser):
    context, tab = opened(browser, filled, "reader")
    tab.open("#/ask").page.get_by_text("not for your role").wait_for()
    tab.write(
        "SELECT tool_arguments, tool_arguments_commitment, request_text FROM actions ORDER BY seq LIMIT 3"
    ).page.keyboard.press("Control+Enter")
    rows = tab.rows()
    assert all(first.startswith("not for your role") and last == "NULL*" for first, _, last in rows)
    tab.open("#/blast?what=user").page.get_by_label("User: those seen most").get_by_role("link").first.click()
    tab.page.get_by_text("they stand here as commitments").wait_for()
    assert "alice" not in tab.page.content()
    tab.close()
    context.close()


def test_who_may_not_ask_is_told_so(filled, browser):
    context = browser.new_context()
    tab = Tab(context, filled).open("#/ask").sign_in(filled.tokens["writer"])
    tab.page.get_by_text("needs the permission query").wait_for()
    assert tab.page.get_by_role("navigation", name="Pages").get_by_role("link", name="Ask").count() == 0
    tab.close()
    context.close()


def test_nothing_serious_is_found_by_axe_in_light_or_dark_and_all_is_readable_at_400_pixels(filled, browser):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make console")
    for scheme in ("light", "dark"):
        context, tab = opened(browser, filled, "content-reader", color_scheme=scheme, bypass_csp=True)
        for name, place in PAGES.items():
            tab.page.set_viewport_size({"width": 1300, "height": 850})
            tab.open(place)
            if name == "sql":
                tab.page.get_by_role("button", name="Run").click()
            tab.page.locator(
                {"questions": ".group", "blast": ".reached"}.get(name, "section.result")
            ).first.wait_for()
            tab.page.evaluate(AXE.read_text(encoding="utf-8"))
            found = tab.page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
            assert [
                (name, each["id"], each["nodes"][0]["html"])
                for each in found
                if each["impact"] in {"serious", "critical"}
            ] == []
            if scheme == "light":
                tab.page.set_viewport_size({"width": 400, "height": 800})
                assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400, name
        context.close()
