"""The pages for daily work in a real browser: the live tail, health of sources, alerts, access, cases, erasure; who may not, sees why."""

import re
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest

from tests.console.browser import BUILT, Tab
from tests.console.conftest import Console
from tests.console.test_browser import AXE, HOSTILE
from tests.evidence.browser import chromium

PATIENT_MS = 180_000  # what the server does by itself, on a machine that does something else as well
PAGES = ["work", "live", "health", "alerts", "cases", "erasure", "access"]
ALERTS = """
[[rule]]
name = "payments"
kind = "match"
where = {{ effect = ["pay"] }}

[[target]]
name = "soc"
kind = "webhook"
url = "http://127.0.0.1:9/"
allow_private = true
secret_file = "{secret}"
"""
SECRET = "whsec_" + "c2VjcmV0" * 4

pytestmark = pytest.mark.skipif(not BUILT, reason="the console is not built: make console")


def at(**ago):
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def action(record_id, tool="search", **more):
    identity = {"agent_id": "agent-1", "principal": "ann@example.com"}
    return {
        "id": record_id,
        "type": "action",
        "time": at(seconds=1),
        "tool": {"name": tool, "effect": "read", "arguments": {"q": record_id}},
        "identity": identity,
        "request": {"user": "ann@example.com", "text": f"please do {record_id}"},
        "outcome": {"status": "success"},
        **more,
    }


def counted(number, **more):
    return action(f"counted-{number}", source={"id": "gw-1", "seq": number}, **more)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    (folder / "secret").write_text(SECRET)
    (folder / "alerts.toml").write_text(ALERTS.format(secret=folder / "secret"))
    serving = Console(folder / "data", options=("--four-eyes", "--alerts", str(folder / "alerts.toml")))
    serving.tokens["second"] = serving.grant("second", "admin")
    hostile = [
        action(f"hostile-{name}", tool=text, source={"id": f"h-{name}-{text}", "seq": 1})
        for name, text in HOSTILE.items()
    ]
    serving.post(*hostile).raise_for_status()
    rejected = action("rejected", tool='say "no"') | {"outcome": {}, "approval": {"outcome": "rejected"}}
    ahead = {"time": (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    serving.post(
        counted(1),
        counted(2),
        counted(5),
        action("skewed", source={"id": "fast", "seq": 1}, **ahead),
        action("paid", tool="send_money") | {"tool": {"name": "send_money", "effect": "pay"}},
        rejected,
    ).raise_for_status()
    yield serving
    assert serving.stop() == 0


@pytest.fixture(scope="module")
def browser():
    with chromium() as driven:
        yield driven


@pytest.fixture(scope="module")
def contexts(server, browser):
    """A browser for each role, signed in."""
    made = {}
    for role in ("admin", "reader", "second"):
        made[role] = browser.new_context(viewport={"width": 1300, "height": 850}, reduced_motion="reduce")
        made[role].add_cookies([server.cookie(role)])
    yield made
    for context in made.values():
        context.close()


@pytest.fixture
def tab(contexts, server):
    opened = Tab(contexts["admin"], server)
    yield opened
    opened.close()


@pytest.fixture
def second(contexts, server):
    opened = Tab(contexts["second"], server)
    yield opened
    opened.close()


@pytest.fixture
def reading(contexts, server):
    opened = Tab(contexts["reader"], server)
    yield opened
    opened.close()


def rows(tab, text=""):
    return tab.page.locator("main tbody tr", has_text=text)


def test_the_overview_leads_to_what_one_may_and_asks_nothing_of_the_log(tab, reading):
    tab.page.route("**/readyz", lambda route: route.fulfill(status=503, json={"status": "stopped"}))
    tab.open("#/work").page.locator(".tiles .bad", has_text="the ledger is stopped").wait_for()
    for name in ("Live", "Health", "Alerts", "Cases", "Erasure", "Access"):
        tab.page.locator(".tiles b", has_text=name).wait_for()
    tab.page.locator(".tiles small", has_text="administrators").wait_for()
    assert tab.page.locator(".pages a[aria-current=page]").inner_text() == "Work"
    reading.open("#/work").page.locator(".tiles b", has_text="Live").wait_for()
    assert reading.page.locator(".tiles b").all_inner_texts() == ["Live", "Health", "Alerts", "Cases"]
    reading.open("#/access").page.get_by_text("needs the permission access").wait_for()
    assert tab.questions() + reading.questions() == []
    tab.wrong = [each for each in tab.wrong if "status of 503" not in each]


def test_what_comes_is_shown_as_it_comes_and_waits_while_paused(tab, server):
    tab.open("#/live").page.get_by_text("Following", exact=True).wait_for()
    rows(tab, "send_money").first.wait_for()  # what was there already
    server.post(action("live-1", tool="first_tool")).raise_for_status()
    rows(tab, "first_tool").wait_for()
    tab.page.keyboard.press("p")
    server.post(action("live-2", tool="second_tool"), action("live-3", tool="third_tool")).raise_for_status()
    tab.page.get_by_text("Paused: 2 more came").wait_for()
    assert rows(tab, "second_tool").count() == 0
    tab.page.keyboard.press("p")
    rows(tab, "third_tool").wait_for()
    rows(tab, "second_tool").get_by_role("link").click()
    tab.page.get_by_role("region", name="Tool").get_by_text("second_tool").wait_for()
    assert "/v1/records/stream" in "".join(url for _, url in tab.asked)


def test_the_tail_filters_by_names_by_text_and_hides_the_logs_own(tab, server):
    tab.open("#/live?effect=pay").page.get_by_text("Following", exact=True).wait_for()
    rows(tab, "send_money").wait_for()
    assert rows(tab).count() == 1
    tab.page.get_by_label("Effect").select_option("")
    tab.page.get_by_label("Text").fill("COUNTED-5")
    tab.page.get_by_role("button", name="Follow").click()
    tab.page.wait_for_url("**#/live?q=COUNTED-5")
    rows(tab, "agent-1").wait_for()
    assert rows(tab).count() == 1
    tab.open("#/live?own=1&submitter=log")
    rows(tab, "log.access_granted").first.wait_for()
    tab.open("#/live?effect=hack").page.get_by_text("Nothing has come yet").wait_for()
    assert tab.page.get_by_label("Effect").input_value() == "hack"


def test_the_tail_of_what_went_wrong_has_what_an_approver_rejected_and_counts_what_it_leaves_out(tab):
    tab.open("#/live?bad=1&q=say%20%22no%22").page.get_by_text("more did not fit").wait_for()
    rows(tab, 'say "no"').wait_for()
    assert rows(tab).count() == 1
    assert rows(tab).first.get_attribute("class") == "trouble"


def test_a_tail_that_is_cut_off_says_so_and_goes_on_where_it_was(tab, server):
    cut = []

    def cutting(route):
        cut.append(route.request.headers.get("last-event-id"))
        route.abort() if len(cut) == 1 else route.continue_()

    tab.page.route("**/v1/records/stream*", cutting)
    tab.open("#/live").page.get_by_text("Not connected").wait_for()
    tab.page.get_by_text("Following", exact=True).wait_for()
    server.post(action("after-the-cut", tool="after_tool")).raise_for_status()
    rows(tab, "after_tool").wait_for()
    assert len(cut) == 2
    tab.wrong = [each for each in tab.wrong if "ERR_FAILED" not in each]


def test_health_names_gaps_skew_and_key_age_worst_first_in_two_questions(tab, server):
    tab.open("#/health")
    row = rows(tab, "gw-1")
    row.wait_for()
    assert rows(tab).first.inner_text().startswith("gw-1")
    assert "2 missing" in row.inner_text()
    assert len(tab.questions()) == 2
    assert re.search(r"5\s*min", rows(tab, "fast").inner_text())
    row.get_by_role("button", name="missing").click()
    tab.page.locator(".gaps li", has_text="3 \u2013 4").wait_for()
    tab.page.locator(".facts", has_text="ready").wait_for()
    assert "never heard" in tab.page.locator("main").inner_text()
    assert [row.split("\t")[0] for row in rows(tab, "a-writer").all_inner_texts()] == ["a-writer"]
    server.post(counted(3), counted(4)).raise_for_status()
    tab.page.get_by_role("button", name="Ask again").click()
    tab.page.locator("tr", has_text="gw-1").get_by_text("none").wait_for()


def test_alerts_show_what_fired_the_entry_and_a_target_that_is_not_reached(tab):
    tab.open("#/alerts")
    deadline = time.monotonic() + PATIENT_MS / 1_000
    while time.monotonic() < deadline and (
        rows(tab, "payments").count() < 2 or not rows(tab, "failed").count()
    ):
        tab.page.get_by_role("button", name="Look again").or_(tab.page.locator("h1")).first.click()
        tab.page.wait_for_timeout(200)
    assert "failed" in rows(tab, "soc").inner_text()
    rows(tab, "payments").first.get_by_role("link").first.click()
    tab.page.get_by_role("region", name="Tool").get_by_text("send_money").wait_for()


def test_a_credential_is_revoked_only_by_its_name_typed(tab, server):
    secret = server.grant("leaver", "reader")
    tab.open("#/access")
    row = rows(tab, "leaver")
    row.get_by_role("button", name="Revoke").click()
    sure = row.get_by_role("button", name="Revoke", exact=True)
    row.get_by_label("Type the credential").fill("leave")
    assert sure.is_disabled()
    row.get_by_label("Type the credential").press("Enter")
    with httpx.Client(
        base_url=server.url, headers={"Authorization": f"Bearer {secret}"}, trust_env=False
    ) as leaver:
        assert leaver.get("/v1/log").status_code == 200
        row.get_by_label("Type the credential").fill("leaver")
        sure.click()
        row.wait_for(state="detached")
        assert leaver.get("/v1/log").status_code == 401
    assert "alt_" not in tab.page.content()


def test_a_case_is_opened_from_a_record_noted_closed_and_read_by_who_may(tab, reading, server):
    seq = server.client().get("/v1/records/paid").json()["seq"]
    tab.open(f"#/record/{seq}").page.get_by_role("link", name="Note it in a case").click()
    words = tab.page.get_by_label("A title in the first line")
    words.fill(
        f"Who was paid? <b>{HOSTILE['turned']}\nsee #/search?is.tool_name=send_money and javascript:alert(1)"
    )
    tab.page.get_by_role("button", name="Open the case").click()
    tab.page.get_by_role("heading", name="Case 20").wait_for()
    place = tab.page.url
    note = tab.page.locator(".notebook li")
    assert "invoiceU+202Egnp.exe" in note.inner_text()
    assert note.get_by_role("link", name=f"entry {seq}").get_attribute("href") == f"#/record/{seq}"
    assert (
        note.get_by_role("link", name="#/search").get_attribute("href") == "#/search?is.tool_name=send_money"
    )
    assert tab.page.locator(".notebook b, .notebook [href^=javascript]").count() == 0
    tab.page.get_by_label("A note").fill("It was the vendor.")
    tab.page.get_by_label("About entries").fill("x")
    tab.page.get_by_role("button", name="close the case").click()
    tab.page.get_by_role("alert").filter(has_text="no entry's number").wait_for()
    tab.page.get_by_label("About entries").fill("")
    tab.page.get_by_role("button", name="close the case").click()
    tab.page.locator(".notebook li").nth(1).get_by_text("closed").wait_for()
    tab.page.get_by_role("button", name="Evidence").wait_for()
    tab.page.locator(".notebook li").nth(1).locator("header a").click()
    tab.page.get_by_role("link", name="The case 20").wait_for()
    reading.open(f"#/{place.partition('#/')[2]}").page.locator(".notebook li").nth(1).wait_for()
    shown = reading.page.locator("main").inner_text()
    assert "It was the vendor." not in shown
    assert "not for your role" in shown
    assert "needs the permission post" in shown
    assert reading.page.locator("textarea").count() == 0
    with server.client() as client:
        found = client.post("/v1/query", json={"sql": OF_CASES}).json()["rows"]
    assert [(row[1], row[2]) for row in found] == [("token:a-admin", "open"), ("token:a-admin", "close")]


def test_a_note_that_an_agent_forged_breaks_no_case_and_hides_nothing(tab, server):
    """Whoever may post may write into any case: words that scripts know, entries that are none, hundreds of notes."""
    case = f"c-{time.time_ns()}"
    agent = {"Authorization": f"Bearer {server.tokens['writer']}"}
    with httpx.Client(base_url=server.url, headers=agent, trust_env=False, timeout=30) as forging:
        forged = f"{case}\u202e"
        noted = [note(forged, "open", "Whose is it?"), note(forged, "close", "The vendor's.")]
        noted += [note(forged, act, "", [-1, 2**52, 0]) for act in ("constructor", "toString", "__proto__")]
        forging.post("/v1/records", json=noted).raise_for_status()
        tab.open(f"#/cases/{quote(forged)}").page.locator(".notebook li").nth(4).wait_for()
        assert tab.page.locator("h1").inner_text() == f"Case {case}U+202E"
        assert tab.page.locator(".lead .pill").inner_text() == "closed"
        assert tab.page.locator(".notebook .pill").all_inner_texts() == ["opened", "closed"]
        tab.page.get_by_role("button", name="Evidence").click()
        tab.page.get_by_role("button", name="Make and save").click()
        tab.page.get_by_role("dialog").get_by_text("6 entries").wait_for()
        forging.post(
            "/v1/records", json=[note(forged, "note", f"noise {n}") for n in range(210)]
        ).raise_for_status()
    tab.open("#/cases").open(f"#/cases/{quote(forged)}").page.get_by_text(
        "15 notes came before these"
    ).wait_for()
    assert tab.page.locator(".lead").inner_text().startswith("closed 215 notes")
    tab.page.get_by_role("button", name="Show more").click()
    tab.page.locator(".notebook li").nth(214).wait_for()
    assert "Whose is it?" in tab.page.locator(".notebook li").first.inner_text()


def note(case, act, text, entries=()):
    said = {"case.act": act, "case.entries": list(entries)} if entries else {"case.act": act}
    return {
        "type": "note",
        "time": at(seconds=1),
        "resource": {"type": "case", "id": case},
        "ext": said,
    } | ({"request": {"text": text}} if text else {})


def test_a_note_whose_answer_was_lost_is_written_once_and_a_draft_outlives_the_session(
    second, contexts, server
):
    taken = []

    def lost(route):
        said = {**route.request.headers, "sec-fetch-site": "same-origin"}  # as the browser says of it
        taken.append(route.fetch(headers=said).status)
        route.abort()

    second.open("#/cases").page.get_by_label("A title in the first line").wait_for(state="attached")
    if not second.page.get_by_label("A title in the first line").is_visible():
        second.page.get_by_text("Open a case", exact=True).click()
    second.page.get_by_label("A title in the first line").fill("Written once")
    second.page.route("**/v1/records", lost, times=1)
    second.page.get_by_role("button", name="Open the case").click()
    second.page.get_by_role("alert").filter(has_text="does not answer").wait_for()
    second.page.get_by_role("button", name="Open the case").click()
    second.page.get_by_role("heading", name="Case 20").wait_for()
    second.page.locator(".notebook li").wait_for()  # the one
    assert taken == [201]
    second.page.get_by_label("A note").fill("Half a thought")
    contexts["second"].clear_cookies()
    second.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # it looks at the log
    second.page.get_by_text("Your session has ended").wait_for()
    assert "Half a thought" not in second.page.content()
    second.sign_in(server.tokens["second"])
    second.page.get_by_role("heading", name="Case 20").wait_for()
    assert second.page.get_by_label("A note").input_value() == "Half a thought"
    second.page.get_by_role("button", name="Write it down").click()
    second.page.locator(".notebook li").nth(1).wait_for()
    assert second.page.get_by_label("A note").input_value() == ""
    second.wrong = [each for each in second.wrong if "ERR_FAILED" not in each]


OF_CASES = """SELECT resource_id, submitter, ext->>'case.act', request_text FROM records
WHERE type = 'note' AND resource_type = 'case' AND submitter = 'token:a-admin' ORDER BY seq"""


def test_an_erasure_is_shown_takes_a_ground_and_a_number_waits_for_a_second_and_is_told_when_done(
    tab, second, server
):
    person = "gone@example.com "  # as a form had it: a blank at its end
    posted = server.post(
        action("theirs") | {"identity": {"principal": person}, "request": {"user": person, "text": "mine"}}
    ).json()
    tab.open("#/erasure").page.get_by_label("their identifier").fill("nobody@example.com")
    tab.page.get_by_role("button", name="Show what would go").click()
    tab.page.get_by_text("Nothing would go").wait_for()
    tab.page.get_by_label("their identifier").fill(person)
    tab.page.get_by_role("button", name="Show what would go").click()
    shown = tab.page.get_by_role("region", name="What would go")
    shown.wait_for()
    assert "of 1 entry" in shown.inner_text()
    assert "with a blank at an end" in shown.inner_text()
    places = tab.page.locator(".confirm b").inner_text()
    erase = tab.page.get_by_role("button", name="Erase for good")
    tab.page.get_by_label("how many places").fill(places)
    assert erase.is_disabled()
    tab.page.get_by_label("On what ground").fill("request 4711")
    tab.page.get_by_label("how many places").fill(f"{places}0")
    assert erase.is_disabled()
    tab.page.get_by_label("how many places").fill(places)
    erase.click()
    tab.page.get_by_text("It waits in").wait_for()
    for who in (tab, second):  # who asked is shown the same, and refused
        who.open("#/erasure")
        rows(who, "request 4711").get_by_role("button", name="Look and confirm").click()
        shown = who.page.get_by_role("region", name="What would go")
        shown.get_by_text("gone@example.com").wait_for()
        who.page.get_by_label("how many places").fill(places)
        who.page.get_by_role("button", name="Erase for good").click()
        if who is tab:
            tab.page.get_by_role("alert").filter(has_text="another").wait_for()
            tab.wrong = [each for each in tab.wrong if "status of 403" not in each]
    second.page.get_by_text("It is off the disk").wait_for(timeout=PATIENT_MS)
    rows(second, "token:second").get_by_text("off the disk").wait_for()
    stored = server.client().get(f"/v1/entries/{posted['seq']}").json()
    assert (stored["contents"], "request.text" in stored["erased"]) == ([], True)


@pytest.fixture(scope="module")
def narrow(server, browser):
    """One page for all of them: signed in once, with axe in it."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make console")
    size = {"width": 400, "height": 800}
    context = browser.new_context(viewport=size, reduced_motion="reduce", bypass_csp=True)
    context.add_cookies([server.cookie("admin")])
    server.post(action("newest") | {"tool": {"name": "send_money", "effect": "pay"}}).raise_for_status()
    tab = Tab(context, server).open("#/work")
    tab.page.get_by_role("heading", name="Work").wait_for()
    tab.page.evaluate(AXE.read_text(encoding="utf-8"))
    yield tab
    tab.close()
    context.close()


@pytest.mark.parametrize("place", PAGES)
def test_each_page_is_sound_for_axe_and_fits_400_pixels(narrow, place):
    narrow.page.set_viewport_size({"width": 400, "height": 800})
    more = "?effect=pay" if place == "live" else ""  # axe looks at each row
    narrow.page.evaluate("(place) => (location.hash = place)", f"#/{place}{more}")
    ready = f"main.{place}[aria-busy=false], main.live tbody tr, .tiles, main.erasure tbody, main.erasure p.quiet, main.work[aria-busy=false] .bar"
    narrow.page.locator(f".tabs [aria-current][href='#/{place}']").wait_for()
    narrow.page.locator(ready).first.wait_for()
    assert narrow.page.evaluate("document.documentElement.scrollWidth") <= 400
    for scheme, width in (("light", 400), ("dark", 1300)):
        narrow.page.emulate_media(color_scheme=scheme)
        narrow.page.set_viewport_size({"width": width, "height": 800})
        found = narrow.page.evaluate("axe.run()")["violations"]
        serious = [
            (each["id"], each["nodes"][0]["html"])
            for each in found
            if each["impact"] in {"serious", "critical"}
        ]
        assert serious == []
    assert narrow.page.locator("main img, main script").count() == 0
