"""What a stranger doubted in Sessions and Ask: facts given to another, questions that are not the one asked, pictures that lie, and what goes on when nobody waits."""

import time
from datetime import UTC, datetime

import pytest

from tests.console.browser import BUILT
from tests.console.test_ask import HEAVY, Asking, opened
from tests.evidence.browser import chromium

pytestmark = pytest.mark.skipif(not BUILT, reason="the console is not built: make console")

RECENT = 105  # more than a list shows at once
WIDE = "SELECT i, i * i AS square, i % 3 AS third FROM range(1100) t(i) ORDER BY i"

# All answers take the same time: nothing but themselves tells two of them apart.
ALIKE = """{
  const json = Response.prototype.json;
  Response.prototype.json = async function () { return Object.assign(await json.call(this), { seconds: 0.001 }); };
}"""


def action(name, session, at="2026-01-05T09:00:00Z", **members):
    """An action of the agent clerk for alice in a session, done; members by facet, None leaves one out."""
    record = {
        "id": name,
        "type": "action",
        "time": at,
        "action_id": name,
        "request": {"conversation_id": session},
        "identity": {"agent_id": "clerk", "principal": "alice@example.com"},
        "tool": {"name": "read_file", "effect": "read"},
        "outcome": {"status": "success"},
        **members,
    }
    return {member: given for member, given in record.items() if given is not None}


def doubtful():
    """Sessions in which somebody who looks quickly would take one thing for another."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    intent = {"type": "action.intent", "outcome": None}
    turned = {"identity": {"agent_id": "turned", "principal": "alice@example.com"}}
    return [
        *(action(f"now-{number}", f"now-{number}", now) for number in range(RECENT)),
        action("far", "far", "9999-12-31T23:59:59Z"),
        action("real", "shared", policy={"effect": "deny"}, outcome=None),
        action("lead", "lead", tool={"name": "delegate", "effect": "delegate"}),
        action("follow", "follow", trace={"parent_action_id": "lead"}, identity={"agent_id": "helper"}),
        action("orphan", "orphan", trace={"parent_action_id": "never-sent"}, identity={"agent_id": "helper"}),
        action("slow", "slow", **intent),
        action(
            "slow-2",
            "slow",
            type="action.approval",
            action_id="slow",
            approval={"outcome": "expired"},
            tool=None,
            outcome=None,
        ),
        action(
            "watched",
            "reach",
            policy={"effect": "deny", "mode": "monitor"},
            resource={"name": "vault"},
            **turned,
        ),
        action("tried", "reach", resource={"destination": "evil.example"}, **turned, **intent),
        action("done", "reach", resource={"id": "till"}, **turned),
        action("through", "reach", identity={"agent_id": "puppet", "actors": [{"sub": "turned"}]}),
        action("counted", "counted", source={"id": "sdk", "seq": 3}),
    ]


@pytest.fixture(scope="module")
def context(server):
    server.post(*doubtful()).raise_for_status()
    with server.client() as client:  # another credential, which knows the session's id
        client.headers["Authorization"] = f"Bearer {server.tokens['writer']}"
        told = action("forged", "shared", tool={"name": "send_money", "effect": "pay"})
        client.post("/v1/records", json=told).raise_for_status()
    with chromium() as driven:
        made, tab = opened(driven, server, "content-reader")
        tab.close()
        yield made
        made.close()


@pytest.fixture
def tab(context, server):
    made = Asking(context, server)
    yield made
    made.close()


def cells(page, where):
    return page.evaluate(
        "(where) => [...document.querySelectorAll(where)].map((row) => [...row.cells].map((cell) => cell.innerText.trim()))",
        where,
    )


def test_what_several_credentials_told_of_one_id_is_told_apart(tab):
    page = tab.open("#/session/shared").page
    page.locator("a.step").nth(1).wait_for()
    lanes = page.locator(".gutter b").all_inner_texts()
    assert len(lanes) == 2
    assert "token:a-writer tells of clerk" in lanes
    assert page.get_by_role("columnheader", name="Told by").count() == 1
    assert page.locator("nav.pages [aria-current=page]").all_inner_texts() == ["Sessions"]
    page.get_by_role("link", name="Delegation").click()
    page.locator(".delegation tbody tr").first.wait_for()
    clerks = [row for row in cells(page, ".delegation tbody tr") if "clerk" in row[0]]
    assert sorted((row[3] == "token:a-writer", row[4], row[5]) for row in clerks) == [
        (False, "1", "1"),
        (True, "1", "0"),
    ]


def test_what_set_an_action_off_is_found_in_another_session_or_said_to_be_missing(tab):
    page = tab.open("#/session/follow?tab=delegation").page
    page.locator(".delegation tbody tr").nth(3).wait_for()
    who = [row[0].replace("↳", "").strip() for row in cells(page, ".delegation tbody tr")]
    assert who[:2] == ["alice@example.com", "clerk"]
    assert who[2].startswith("delegate #")
    assert who[3] == "helper"
    tab.open("#/session/orphan?tab=delegation")
    page.locator(".delegation td", has_text="nothing here tells of it").wait_for()
    assert page.locator(".delegation td.who", has_text="action never-sent").count() == 1


def test_more_rows_of_the_last_day_are_of_the_same_day(tab):
    for place, rows in (
        ("#/sessions?last=24h", "main.sessions tbody tr"),
        ("#/search?last=24h", "main.search tbody tr"),
    ):
        page = tab.open(place).page
        page.get_by_role("button", name="More").click()
        page.locator(rows).nth(RECENT - 1).wait_for()
        assert page.get_by_role("alert").count() == 0


def test_a_session_at_the_end_of_time_is_drawn_and_one_that_waited_in_vain_was_not_denied(tab):
    page = tab.open("#/session/far").page
    page.locator("a.step").wait_for()
    page.locator("a.step").focus()
    page.keyboard.press("+")
    assert "9999-12-31" in page.locator(".lanes .detail").inner_text()
    tab.open("#/session/slow")
    page.locator("a.step").wait_for()
    assert page.locator("a.step").get_attribute("class").split() == ["step", "open"]
    tiles = dict(line.split("\n")[::-1] for line in page.locator(".counters li").all_inner_texts())
    assert (tiles["denied"], tiles["without outcome"]) == ("0", "1")


def test_pictures_say_what_the_rows_say_and_stand_in_the_address(tab):
    tab.open("#/ask").write(
        "SELECT * FROM (VALUES (1152921504606846976, 1), (1152921504606846977, 2)) t(id, n)"
    )
    assert tab.run() == [["1152921504606846976", "1"], ["1152921504606846977", "2"]]
    assert (
        tab.page.locator(".axes circle").count() == 2
    )  # numbers so large that one more is the same to a browser
    tab.write("SELECT * FROM (VALUES ('loss', -40.0005), ('gain', 10)) t(what, n)").run()
    bars = tab.page.locator(".bars .track span")
    bars.first.wait_for()
    assert [bar.evaluate("(bar) => Math.round(parseFloat(bar.style.width))") for bar in bars.all()] == [
        100,
        25,
    ]
    assert tab.page.locator(".bars .n").first.inner_text() == "-40.0005"
    tab.write(WIDE).run()
    kind = tab.page.get_by_label("Kind of picture")
    kind.wait_for()
    tab.page.get_by_label("Shown").select_option(label="third")
    tab.page.get_by_text("Of the first 1,000 rows alone").wait_for()
    assert "chart.y=third" in tab.page.url
    tab.page.reload()
    tab.page.get_by_role("button", name="Run").click()
    kind.wait_for()
    assert tab.page.get_by_label("Shown").evaluate("(shown) => shown.selectedOptions[0].text") == "third"
    tab.page.get_by_role("button", name="Chart").click()
    kind.wait_for(state="detached")
    assert "chart=none" in tab.page.url


def test_the_answer_is_of_the_statement_in_the_address(tab):
    tab.page.add_init_script(ALIKE)
    tab.open("#/ask").write("SELECT 'one' AS said, source_seq, seq FROM records WHERE source_seq = 3")
    first = tab.run()
    assert first[0][:2] == ["one", "3"]
    assert (
        tab.page.locator("section.result tbody a").count() == 1
    )  # a source's own number is no place in the log
    tab.write("SELECT 'two' AS said")
    tab.page.get_by_text("The statement was changed since").wait_for()
    tab.page.keyboard.press("Control+Enter")
    tab.page.locator("section.result td", has_text="two").wait_for()
    tab.page.go_back()
    tab.page.locator("section.result td", has_text="one").wait_for()
    assert tab.rows() == first


def test_a_statement_that_nobody_waits_for_any_more_ends_on_the_ledger(tab, server):
    with server.client() as client:
        client.headers["Authorization"] = f"Bearer {server.tokens['content-reader']}"
        running = lambda: client.get("/v1/query/running").json()["queries"]  # noqa: E731
        tab.open("#/ask").write(HEAVY).page.keyboard.press("Control+Enter")
        tab.page.get_by_role("progressbar", name="How far it is").wait_for()
        until(running)
        tab.page.get_by_role("navigation", name="Pages").get_by_role("link", name="Work").click()
        until(lambda: not running())


def test_a_blast_radius_counts_each_once_and_its_links_find_as_many(tab):
    page = tab.open("#/blast?what=agent&value=turned").page
    page.locator(".totals").wait_for()
    totals = dict(
        zip(
            page.locator(".totals dt").all_inner_texts(),
            page.locator(".totals dd").all_inner_texts(),
            strict=True,
        )
    )
    assert [totals[name] for name in ("Actions", "Done", "Denied", "Tried, end unknown")] == [
        "4",
        "3",
        "1",
        "1",
    ]
    agents = page.get_by_role("region", name="Agents")
    assert agents.locator("tbody tr").count() == 2  # itself, and whoever it acted through
    resources = page.get_by_role("region", name="Resources").locator("tbody a.what")
    links = dict(
        zip(
            resources.all_inner_texts(), [link.get_attribute("href") for link in resources.all()], strict=True
        )
    )
    assert sorted(links) == ["evil.example", "till", "vault"]
    for link in links.values():
        tab.open(link).counts(1)
    tab.open("#/blast?what=agent&value=turned").page.get_by_role("link", name="In the search").click()
    tab.counts(4)


def until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)
