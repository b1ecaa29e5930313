"""The console as a person uses it: sign in, search, narrow down, read a record, by mouse and by keyboard; and what hostile records do to it: nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.console.browser import BUILT, WAIT_MS, Tab
from tests.faults.server import Server

ROOT = Path(__file__).resolve().parent.parent.parent
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
HOSTILE = {
    "markup": "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "turned": "invoice\u202egnp.exe",
    "unseen": "pay\u200bpal",
    "terminal": "\x1b[31mred\x1b[0m\x00",
    "formula": "=cmd|' /C calc'!A0",
    "address": "javascript:alert(3)",
    "template": "${alert(4)}{{alert(5)}}",
}
TOOLS = ["read_file", "send_money", "search"]
MANY = 120
ALL = MANY + len(HOSTILE)

pytestmark = pytest.mark.skipif(not BUILT, reason="the console is not built: make console")


def action(number):
    """One of many: every third pays, every tenth is denied."""
    return {
        "id": f"act-{number}",
        "type": "action",
        "time": f"2026-11-20T{number // 60:02}:{number % 60:02}:00Z",
        "request": {
            "user": "alice@example.com",
            "text": f"please do {number}",
            "conversation_id": f"conv-{number % 7}",
        },
        "decision": {"provider": "openai", "request_model": "gpt-5"},
        "tool": {
            "name": TOOLS[number % 3],
            "effect": ["read", "pay", "read"][number % 3],
            "arguments": {"n": number, "amount": 50.0},
        },
        "identity": {"agent_id": f"agent-{number % 2}", "principal": "alice@example.com"},
        "resource": {"type": "account", "id": f"vendor-{number % 5}"},
        "policy": {"effect": "deny" if number % 10 == 0 else "allow", "engine": "opa", "rule": "limits"},
        "outcome": {"status": "denied" if number % 10 == 0 else "success", "result": f"done {number}"},
    }


def hostile(name, text):
    """The same text wherever a record has room for text."""
    return {
        "id": f"hostile-{name}-<b>{{{{x}}}}",
        "type": "action",
        "time": "2026-11-21T09:30:00Z",
        "request": {"user": text, "text": text, "conversation_id": text, "channel": text},
        "decision": {"provider": text, "request_model": text, "reason": text, "output": text},
        "tool": {"name": text, "server": text, "operation": text, "arguments": {text: text}},
        "identity": {"agent_id": text, "agent_name": text, "principal": text, "workload": text},
        "resource": {"type": text, "id": text, "name": text, "destination": text},
        "policy": {"effect": "deny", "engine": text, "rule": text, "reason": text},
        "outcome": {"status": "failure", "error_type": text, "result": text},
        "ext": {"com.example.note": text},
    }


@pytest.fixture(scope="module")
def hostile_seqs(server):
    server.post(*[action(number) for number in range(MANY)]).raise_for_status()
    posted = server.post(*[hostile(name, text) for name, text in HOSTILE.items()])
    return dict(zip(HOSTILE, [each["seq"] for each in posted.json()["results"]], strict=True))


@pytest.fixture(scope="module")
def posted(hostile_seqs):
    return hostile_seqs


def test_a_wrong_token_is_refused_in_words_and_a_right_one_opens_the_search(server, browser, hostile_seqs):
    context = browser.new_context()
    tab = Tab(context, server).open("#/search?is.tool_name=send_money")
    tab.sign_in("alt_wrong")
    tab.page.get_by_role("alert").filter(has_text="not known here").wait_for()
    assert tab.page.input_value("#token") == ""
    tab.sign_in(server.tokens["content-reader"])
    tab.counts(MANY // 3)  # and goes on to where the address led
    kept = tab.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert "alt_" not in kept
    assert json.loads(kept)[2] == ""
    tab.page.get_by_role("button", name="Sign out").click()
    tab.page.locator("#token").wait_for()
    tab.page.goto(f"{server.url}/v1/log")
    assert "unauthenticated" in tab.page.content()
    tab.wrong = [each for each in tab.wrong if "401" not in each]
    tab.close()
    context.close()


def test_an_address_that_is_no_page_says_so_and_leads_back(tab):
    tab.open("#/<b>nowhere</b>")
    tab.page.get_by_role("heading", name="There is no such page").wait_for()
    tab.page.get_by_role("link", name="To the search").click()
    tab.counts(ALL)


def test_a_search_is_two_questions_and_shows_totals_facets_and_the_newest_first(tab):
    rows = tab.open("#/search").counts(ALL)
    assert len(tab.questions()) == 2
    assert len(rows) == 100
    facet = tab.page.locator(".facets section").filter(has_text="Tool").first.inner_text()
    assert all(re.search(rf"{tool}\s+40", facet) for tool in TOOLS)
    assert rows[0][0].startswith("2026-11-21 09:30:00")


def test_facets_keep_and_leave_out_and_the_address_says_so(tab):
    tab.open("#/search").counts(ALL)
    tab.page.get_by_title("Only send_money").click()
    tab.counts(40)
    tab.page.get_by_role("link", name="Without Outcome: denied").click()
    tab.counts(36)
    address = tab.page.url
    assert "is.tool_name=send_money" in address
    assert "not.outcome_status=denied" in address
    tab.page.get_by_role("link", name="Turn around: Outcome").click()
    tab.counts(4)
    tab.page.get_by_role("link", name="Remove: Tool").click()
    tab.counts(12)
    tab.open().page.goto(address)
    tab.counts(36)
    tab.page.get_by_role("link", name="Clear").click()
    tab.counts(ALL)


def test_text_is_found_in_contents_and_an_empty_answer_says_how_to_go_on(tab):
    tab.open("#/search").counts(ALL)
    box = tab.page.get_by_role("searchbox")
    box.fill("PLEASE DO 77")
    box.press("Enter")
    tab.counts(1)
    box.fill("nobody wrote this")
    box.press("Enter")
    tab.page.get_by_role("heading", name="No action fits").wait_for()
    tab.page.get_by_role("link", name="Drop the text").click()
    tab.counts(ALL)


def test_the_time_range_binds_everything(tab):
    tab.open("#/search").counts(ALL)
    tab.page.get_by_label("Time range").select_option("own")
    tab.page.get_by_label("From, UTC").fill("2026-11-20 00:30")
    tab.page.get_by_label("Until, UTC").fill("yesterday")
    tab.page.get_by_role("button", name="Set").click()
    tab.page.get_by_role("alert").filter(has_text="2026-11-21 09:30").wait_for()
    tab.page.get_by_label("Until, UTC").fill("2026-11-20T00:40:00Z")
    tab.page.get_by_role("button", name="Set").click()
    assert len(tab.counts(10)) == 10
    assert "from=2026-11-20T00%3A30%3A00Z" in tab.page.url


def test_dragging_over_the_histogram_looks_closer(tab):
    tab.open("#/search?from=2026-11-20T00:00Z&to=2026-11-20T02:00Z").counts(120)
    box = tab.page.locator(".histogram svg").bounding_box()
    tab.page.mouse.move(box["x"] + box["width"] * 0.254, box["y"] + 20)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] * 0.746, box["y"] + 20, steps=3)
    tab.page.mouse.up()
    tab.page.wait_for_url("**from=2026-11-20T00%3A30*")
    tab.counts(59)


def test_more_rows_come_from_a_cursor_and_columns_are_chosen(tab):
    tab.open("#/search").counts(ALL)
    tab.page.get_by_role("button", name="More rows").click()
    tab.page.locator("tbody tr").nth(ALL - 1).wait_for()
    tab.page.get_by_text("Columns", exact=True).click()
    stays = tab.page.get_by_label("Conversation").evaluate("""async (box) => {
      const moved = new Promise((resolve) => addEventListener("hashchange", () => setTimeout(resolve), { once: true }));
      box.click();
      await moved;
      return box.checked;
    }""")
    assert stays  # it does not go back for a moment while the address changes
    tab.page.get_by_role("columnheader", name="Conversation").wait_for()
    assert len(tab.counts(ALL)) == 100
    assert "columns=" in tab.page.url
    assert len(tab.questions()) == 4  # two, more rows, other columns: the counts are not asked again


def test_a_value_opens_and_leads_to_the_others(tab):
    tab.open("#/search?is.agent=agent-0").counts(60)
    tab.page.locator("tbody tr").first.get_by_role("button", name="vendor-").first.click()
    popover = tab.page.locator(".popover")
    popover.locator(".seen").wait_for()
    assert re.search(r"Actions\s+24", popover.inner_text())
    tab.page.keyboard.press("Escape")
    popover.wait_for(state="detached")
    tab.page.locator("tbody tr").first.get_by_role("button", name="vendor-").first.click()
    popover.get_by_role("link", name="Only these").click()
    tab.counts(12)


def test_a_record_tells_its_facets_its_proof_and_its_raw_entry(tab, server):
    seq = json.loads(server.client().get("/v1/records/act-77").text)["seq"]
    tab.open(f"#/record/{seq}").page.get_by_role("region", name="Outcome").wait_for()
    page = tab.page
    assert page.title() == f"Record {seq} · Agent Ledger"
    assert "please do 77" in page.get_by_role("region", name="Request").inner_text()
    assert '"amount": 50.0' in page.get_by_role("region", name="Tool").inner_text()  # as it was received
    assert "agent-1" in page.get_by_role("region", name="Identity").inner_text()
    assert "vendor-2" in page.get_by_role("region", name="Resource").inner_text()
    assert "limits" in page.get_by_role("region", name="Policy").inner_text()
    page.get_by_text("Raw entry, as it is signed").click()
    assert '"agent_id": "agent-1"' in page.get_by_role("region", name="Proof and raw entry").inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the receipt").click()
    receipt = Path(download.value.path()).read_text(encoding="utf-8")
    assert receipt.startswith("c2sp.org/tlog-proof@v1")
    page.get_by_role("region", name="Resource").get_by_role("button", name="vendor-2").click()
    page.get_by_role("link", name="All others with this value").click()
    tab.counts(24)


def test_a_record_that_is_not_there_and_one_that_is_no_action_say_so(tab):
    tab.open("#/record/99999999").page.get_by_role("alert").first.wait_for()
    tab.open("#/record/0").page.get_by_text("tells of no action").wait_for()
    tab.wrong = [each for each in tab.wrong if "status of 404" not in each and "status of 422" not in each]


def test_everything_is_reached_by_keyboard_alone(tab):
    tab.open("#/search").counts(ALL)
    keyboard = tab.page.keyboard
    keyboard.press("/")
    keyboard.type("please do")
    keyboard.press("Enter")
    tab.counts(MANY)
    tab.page.locator("h3").first.click()  # out of the field
    keyboard.press("j")
    keyboard.press("j")
    keyboard.press("k")
    keyboard.press("j")
    chosen = tab.focused()
    assert chosen.startswith("#/record/")
    keyboard.press("Tab")
    keyboard.press("Enter")
    tab.page.locator(".popover .seen").wait_for()
    keyboard.press("Escape")
    keyboard.press("k")
    keyboard.press("j")
    keyboard.press("Enter")
    tab.page.locator("main.record header.title").wait_for()
    asked = len(tab.questions())
    keyboard.press("Escape")
    tab.page.locator("main.search tbody").wait_for()
    assert tab.focused() == chosen
    assert len(tab.questions()) == asked  # who comes back finds it as it was


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_in_every_field_is_shown_as_text_and_does_nothing(tab, hostile_seqs, name):
    text = HOSTILE[name]
    tab.open(f"#/record/{hostile_seqs[name]}").page.get_by_role("region", name="Outcome").wait_for()
    for summary in ("Raw entry, as it is signed", "Contents, with their salts"):
        tab.page.get_by_text(summary).click()
    shown = tab.page.locator("main.record").inner_text()
    escapes = {"\u202e": "U+202E", "\u200b": "U+200B", "\x1b": "ESC", "\x00": "NUL"}
    seen = "".join(escapes.get(character, character) for character in text)
    assert shown.count(seen) > 15
    assert not any(character in shown for character in escapes)
    assert tab.page.locator("main.record img, main.record script").count() == 0
    tab.page.get_by_role("region", name="Tool").get_by_role("button").first.click()
    tab.page.locator(".popover .seen").wait_for()
    assert re.search(r"Actions\s+1\b", tab.page.locator(".popover").inner_text())
    tab.page.get_by_role("link", name="All others with this value").click()
    tab.counts(1)
    assert seen in tab.page.locator(".chips").inner_text()
    links = tab.page.evaluate("[...document.links].map((link) => link.protocol)")
    assert set(links) <= {"http:"}


def test_a_hostile_address_is_a_search_like_any_other(tab):
    tab.open(
        "#/search?is.tool_name); DROP TABLE actions; --=x&not.__proto__=1&q=%27%20OR%201=1&last=constructor&columns=seq;x,toString"
    )
    tab.page.get_by_role("heading", name="No action fits").wait_for()
    tab.open("#/record/1e5")
    tab.page.get_by_role("heading", name="There is no such page").wait_for()


def test_who_may_not_see_contents_is_told_so_and_sees_none(server, browser, hostile_seqs):
    seq = json.loads(server.client().get("/v1/records/act-77").text)["seq"]
    context = browser.new_context()
    tab = Tab(context, server).open(f"#/record/{seq}").sign_in(server.tokens["reader"])
    tab.page.get_by_role("region", name="Request").get_by_text("Not for your role").wait_for()
    tab.page.get_by_text("Raw entry, as it is signed").click()
    shown = tab.page.locator("main.record").inner_text()
    assert "please do 77" not in shown
    assert "alice@example.com" not in shown
    assert "agent-1" in shown
    tab.close()
    context.close()


def test_a_session_that_ends_asks_to_sign_in_and_goes_on_where_it_was(server, browser, hostile_seqs):
    secret = server.grant("leaving", "content-reader")
    context = browser.new_context()
    tab = Tab(context, server).open("#/search").sign_in(secret)
    tab.counts(ALL)
    server.revoke("leaving")
    tab.open("#/search?is.tool_name=send_money")  # by itself the page may have noticed before
    tab.page.get_by_text("Your session has ended").wait_for()
    tab.sign_in(server.tokens["content-reader"])
    tab.counts(40)
    tab.close()
    context.close()


@pytest.mark.parametrize("place", ["search", "record", "sign-in"])
def test_nothing_serious_is_found_by_axe_in_light_or_dark(server, browser, hostile_seqs, place):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make console")
    leads = {
        "search": "#/search?q=please+do+7",
        "record": f"#/record/{hostile_seqs['markup']}",
        "sign-in": "",
    }
    for scheme in ("light", "dark"):
        context = browser.new_context(
            color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
        )  # axe is a script of elsewhere
        tab = Tab(context, server).open(leads[place])
        page = tab.page
        page.locator("#token").wait_for()
        if place != "sign-in":
            tab.sign_in(server.tokens["content-reader"])
        if place == "search":
            tab.counts(11)
        elif place == "record":
            page.locator(".card.outcome").wait_for()
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run()")["violations"]
        assert [
            (each["id"], each["nodes"][0]["html"])
            for each in found
            if each["impact"] in {"serious", "critical"}
        ] == []
        context.close()


@pytest.mark.parametrize("place", ["#/search", "record"])
def test_it_is_readable_at_400_pixels(tab, hostile_seqs, place):
    tab.page.set_viewport_size({"width": 400, "height": 800})
    tab.open(f"#/record/{hostile_seqs['markup']}" if place == "record" else place)
    tab.page.locator(".card.outcome" if place == "record" else "tbody tr").first.wait_for()
    wide = tab.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 400


def test_an_empty_log_shows_how_to_record_and_goes_on_when_something_comes(browser, tmp_path):
    server = Server(tmp_path / "data", origin="ledger.example/empty")
    try:
        context = browser.new_context()
        tab = Tab(context, server).open().sign_in(server.headers["Authorization"].partition(" ")[2])
        tab.page.get_by_role("heading", name="Nothing is recorded yet").wait_for()
        pasted = "\n".join(tab.page.locator("main.first pre").all_inner_texts())
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        here = {**os.environ, "AGENT_LEDGER_DATA": str(server.data), "PATH": path, "NO_PROXY": "*"}
        subprocess.run(["bash", "-euc", pasted], env=here, cwd=ROOT, check=True, timeout=WAIT_MS / 1_000)
        tab.page.wait_for_url("**#/search*")  # with the first
        tab.page.reload()
        tab.counts(2)  # by curl, and by the SDK
        tab.close()
        context.close()
    finally:
        assert server.stop() == 0
