"""Sessions as a person sees them: the list, the lanes, what flowed where, who acted for whom; by mouse and by keyboard, with and without contents."""

import re
from urllib.parse import quote

import pytest

from tests.console.browser import BUILT, Tab
from tests.console.test_browser import AXE, HOSTILE

pytestmark = pytest.mark.skipif(not BUILT, reason="the console is not built: make console")

IBAN = "US133000000121212121212"
PAID, HOSTILE_ID = "conv/pay #1?", "".join(HOSTILE.values()).replace("\0", "")
MANY = 2_005
OTHERS = 3


def action(name, clock, conversation=PAID, **members):
    """A record of type action on 20 November; members by facet."""
    record = {
        "id": name,
        "type": "action",
        "time": f"2026-11-{clock}Z" if "T" in clock else f"2026-11-20T{clock}Z",
        "request": {"conversation_id": conversation},
        "identity": {"agent_id": "clerk", "principal": "alice@example.com"},
    }
    for facet, given in members.items():
        record[facet] = {**record.get(facet, {}), **given} if isinstance(given, dict) else given
    return record


def stage(kind, action_id, clock, **members):
    told = action(f"{action_id}-{kind}", clock, type=f"action.{kind}", action_id=action_id, **members)
    return told if kind == "intent" else {name: told[name] for name in told if name != "identity"}


def paying():
    """An agent reads a bill that says whom to pay, asks, pays; is denied a second time; a helper that it set off goes on a night later."""
    asked = {
        "text": "please pay the bill of Blue Sparrow 4711",
        "user": "alice@example.com",
        "origin": "human",
    }
    send = {"name": "send_money", "effect": "pay", "arguments": {"recipient": IBAN, "amount": 9812.0}}
    return [
        action(
            "read",
            "09:00:00",
            request={"conversation_id": PAID, **asked},
            tool={"name": "read_file", "effect": "read", "arguments": {"file": "bill-december.txt"}},
            resource={"type": "file", "id": "bill-december.txt", "trust": "external"},
            outcome={
                "status": "success",
                "result": f"Pay 98.70 to {IBAN}, and nothing else to Blue Sparrow 4711",
            },
            source={"id": "sdk-1", "seq": 1},
        ),
        stage(
            "intent",
            "pay-1",
            "09:00:10",
            tool=send,
            resource={"type": "account", "id": IBAN},
            source={"id": "sdk-1", "seq": 2},
        ),
        stage(
            "decision",
            "pay-1",
            "09:00:11",
            policy={"effect": "require_approval", "engine": "opa", "mode": "enforce"},
        ),
        stage(
            "approval", "pay-1", "09:00:31", approval={"outcome": "approved", "approver": "bob@example.com"}
        ),
        stage("outcome", "pay-1", "09:00:33", outcome={"status": "success", "result": "ok"}),
        action(
            "again",
            "09:00:40",
            tool=send,
            resource={"id": IBAN},
            policy={"effect": "deny", "rule": "one-a-day"},
            source={"id": "sdk-1", "seq": 6},
        ),
        action(
            "post",
            "09:00:50",
            action_id="post-1",
            tool={"name": "delegate", "effect": "delegate", "arguments": {"to": "helper"}},
            trace={"derived_from": ["read"]},
            outcome={"status": "failure", "error_type": "Timeout"},
        ),
        action(
            "ask",
            "21T01:00:00",
            identity={
                "agent_id": "helper",
                "principal": "alice@example.com",
                "actors": [{"sub": "helper"}, {"sub": "clerk"}],
            },
            tool={
                "name": "search",
                "effect": "read",
                "arguments": {"query": "Blue Sparrow 4711"},
            },
            trace={"parent_action_id": "post-1"},
            outcome={"status": "success", "result": "nobody"},
        ),
        {
            **stage("intent", "open-1", "21T01:00:05", tool={"name": "delete_file", "effect": "delete"}),
            "identity": {"agent_id": "helper"},
            "trace": {"parent_action_id": "post-1"},
        },
    ]


def plain(number):
    return action(
        f"n{number}",
        f"19T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}",
        "conv-many",
        tool={"name": f"tool-{number % 3}", "effect": "read"},
        outcome={"status": "success"},
    )


def hostile():
    return [
        action(
            f"h{number}",
            f"18T00:00:{number:02}",
            HOSTILE_ID,
            request={"text": text, "user": text},
            tool={"name": text, "effect": "send", "arguments": {"to": f"word{number - 1}carried {text}"}},
            identity={"agent_id": text, "principal": text, "actors": [{"sub": text}, {"sub": f"{text}2"}]},
            resource={"id": text, "trust": "external"},
            outcome={"status": "failure", "error_type": text, "result": f"word{number}carried {text}"},
        )
        for number, text in enumerate(HOSTILE.values())
    ]


@pytest.fixture(scope="module")
def seqs(server):
    """Where each record of the session that pays stands; the log holds two other sessions."""
    posted = server.post(*paying())
    posted.raise_for_status()
    server.post(*hostile()).raise_for_status()
    server.post(*[plain(number) for number in range(MANY)]).raise_for_status()
    return {told["id"]: told["seq"] for told in posted.json()["results"]}


@pytest.fixture(scope="module")
def posted(seqs):
    return seqs


def listed(tab, number):
    """Wait until so many sessions are listed; their rows as text."""
    said = re.compile(rf"^{number} sessions?$")
    tab.page.locator("section.found[aria-busy=false] .summary [role=status]", has_text=said).wait_for()
    return tab.page.locator("main.sessions tbody tr").all_inner_texts()


def session(tab, name=PAID, said=""):
    tab.open(f"#/session/{quote(name, safe='')}{said}")
    tab.page.locator("main.session .counters").wait_for()
    return tab.page


def test_sessions_are_listed_newest_first_narrowed_by_text_time_and_what_happened_and_opened(tab):
    tab.open("#/search")
    tab.page.get_by_role("navigation", name="Pages").get_by_role("link", name="Sessions").click()
    rows = listed(tab, OTHERS)
    assert len(tab.questions()) == 3  # the search's two, and one
    assert "please pay the bill" in rows[0]
    assert "alice@example.com" in rows[0]
    assert "16 h" in rows[0]
    tab.page.get_by_role("button", name="with denials").click()
    assert PAID in listed(tab, 1)[0]
    assert "only=denied" in tab.page.url
    box = tab.page.get_by_role("searchbox")
    box.fill("nobody said this")
    box.press("Enter")
    tab.page.get_by_role("heading", name="No session fits").wait_for()
    tab.page.get_by_role("link", name="Look at all sessions").click()
    listed(tab, OTHERS)
    tab.open("#/sessions?from=2026-11-19T00:00:00Z&to=2026-11-19T12:00:00Z")
    assert "conv-many" in listed(tab, 1)[0]
    tab.open("#/sessions?q=blue+SPARROW")
    tab.page.locator("tbody tr", has_text=PAID).wait_for()
    tab.page.locator("main.sessions tbody a.open").focus()
    tab.page.keyboard.press("Enter")
    tab.page.locator("main.session .counters").wait_for()
    assert tab.page.locator("h1").inner_text() == PAID


def test_a_session_is_lanes_of_bars_that_tell_their_parts_denials_gaps_and_the_night_between(tab, seqs):
    page = session(tab)
    page.locator("a.step").first.wait_for()
    assert len(tab.questions()) == 2
    tiles = page.locator(".counters").inner_text().replace("\n", " ")
    for said in (
        "6 actions",
        "1 denied",
        "1 failed",
        "1 untrusted reads",
        "2 of them after untrusted",
        "3 records never arrived",
    ):
        assert said in tiles
    assert page.locator(".gutter b").all_inner_texts() == ["clerk", "helper"]
    assert [text.split()[0] for text in page.locator(".gutter span.name").all_inner_texts()] == [
        "read_file",
        "send_money",
        "delegate",
        "search",
        "delete_file",
    ]
    paid = page.locator(f"a.step[data-seq='{seqs['pay-1-intent']}']")
    assert paid.get_attribute("aria-label") == (
        f"send_money {IBAN}: decided after 1 s · waited 20 s for approval · ran 2 s · policy require_approval"
        " · approved by bob@example.com · success"
    )
    assert [part.get_attribute("class") for part in paid.locator("rect:not(.hit)").all()] == [
        "decide",
        "wait",
        "run",
    ]
    assert page.locator("a.step.denied path.glyph.denied").count() == 1
    assert page.locator("a.step.failed path.glyph.failed").count() == 1
    assert page.locator("a.step.open").get_attribute("aria-label").endswith("no outcome seen")
    assert page.locator("a.step.untrusted").count() == 1
    assert page.locator(".fold text").all_text_contents() == ["16 h"]
    assert page.get_by_role("img", name="3 records of sdk-1 never arrived").count() == 1
    rows = page.locator("main.session tbody tr").all_inner_texts()
    assert len(rows) == 6
    assert "no outcome" in rows[5]
    assert page.get_by_text("Most of it was recorded more than 5 minutes").count() == 1


def test_each_record_of_an_action_shows_the_whole_of_it(tab, seqs):
    for name in ("intent", "decision", "approval", "outcome"):
        tab.open(f"#/record/{seqs[f'pay-1-{name}']}").page.locator(
            ".card.outcome", has_text="success"
        ).wait_for()
        tab.page.locator(".card.approval", has_text="bob@example.com").wait_for()


def test_bars_are_reached_by_arrows_opened_by_enter_and_a_drag_looks_closer(tab, seqs):
    page = session(tab)
    page.locator("a.step").first.focus()
    chosen = lambda: page.evaluate("document.activeElement.dataset.seq")  # noqa: E731
    page.keyboard.press("ArrowRight")
    assert chosen() == str(seqs["pay-1-intent"])
    assert "waited 20 s for approval" in page.locator(".lanes .detail").inner_text()
    page.keyboard.press("ArrowUp")
    assert chosen() == str(seqs["read"])
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    assert chosen() == str(seqs["ask"])
    page.keyboard.press("+")
    page.get_by_role("button", name="Whole session").wait_for()
    page.keyboard.press("0")
    page.get_by_role("button", name="Whole session").wait_for(state="detached")
    page.keyboard.press("Enter")
    page.locator("main.record header.title").wait_for()
    page.get_by_role("link", name="Its session").click()
    page.locator("a.step").first.wait_for()
    box = page.locator(".water svg").bounding_box()
    fold = page.locator(".fold rect").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(fold["x"], box["y"] + 8, steps=3)
    page.mouse.up()
    page.get_by_text("4 actions of 6, in what is looked at").wait_for()
    address = page.url
    assert "zoom=" in address
    page.reload()
    page.get_by_text("4 actions of 6, in what is looked at").wait_for()
    assert page.locator("a.step").count() == 4


def test_a_session_of_thousands_is_shown_in_parts(tab):
    page = session(tab, "conv-many")
    page.get_by_text("Actions 1 to 2,000 of 2,005.").wait_for()
    assert page.locator("a.step").count() == 2_000
    assert page.locator("main.session tbody tr").count() == 200
    page.get_by_role("button", name="The next 2,000").click()
    page.get_by_text("Actions 2,001 to 2,005 of 2,005.").wait_for()
    page.reload()
    page.get_by_text("Actions 2,001 to 2,005 of 2,005.").wait_for()
    page.get_by_role("link", name="Flows", exact=True).click()
    page.get_by_role("heading", name="Nothing flowed").wait_for()
    session(tab, PAID)
    tab.open("#/session/nowhere").page.get_by_text("No session has this id").wait_for()


def test_flows_tell_declared_words_and_what_the_user_named_apart_and_lead_on(tab, seqs):
    page = session(tab, PAID, "?tab=flows")
    rows = page.locator(".flows tbody tr")
    rows.first.wait_for()
    told = [text.replace("\n", " ") for text in rows.all_inner_texts()]
    assert len(told) == 3
    assert all("the same words" in each and IBAN in each for each in told[:2])
    assert "said by its record" in told[2]
    lines = page.locator(".canvas .edge")
    assert [line.get_attribute("class").split()[1] for line in lines.all()] == ["same", "same", "declared"]
    page.get_by_label("also what the user had named (1)").check()
    assert "named by the user before" in rows.nth(3).inner_text()
    assert lines.count() == 4
    page.get_by_label("also what the user had named (1)").uncheck()
    page.locator(f".canvas a[href='#/record/{seqs['read']}']").focus()
    assert IBAN in page.locator(".graph .detail").inner_text()
    page.locator(".graph .detail").get_by_role("link", name="where else?").first.click()
    tab.counts(3)  # the bill, and both payments
    page.go_back()
    page.locator(f".canvas a[href='#/record/{seqs['pay-1-intent']}']").click()
    page.locator("main.record header.title").wait_for()
    page.get_by_role("link", name="What went into it, and on from it").click()
    page.locator(".box.start").wait_for()
    assert page.locator(".box").count() == 2
    assert "untrusted" in page.locator(".canvas").inner_text()
    page.go_back()
    page.get_by_role("link", name="Who acted for whom").click()
    page.locator(".delegation tbody tr").first.wait_for()
    who = [re.sub(r"\s+", " ", text) for text in page.locator(".delegation tbody tr").all_inner_texts()]
    assert [each.split(" ")[0] if not each.startswith("↳") else each.split(" ")[1] for each in who] == [
        "alice@example.com",
        "clerk",
        "delegate",
        "helper",
    ]
    assert "set off by" in who[2]
    assert "trace.parent_action_id" in who[2]


def test_who_may_not_see_contents_sees_no_words_and_only_what_is_declared(server, browser, seqs):
    context = browser.new_context()
    tab = Tab(context, server).open("#/sessions?q=please").sign_in(server.tokens["reader"])
    listed(tab, 0)
    tab.open("#/sessions")
    assert "please pay" not in "".join(listed(tab, OTHERS))
    page = session(tab, PAID, "?tab=flows")
    page.locator(".flows tbody tr").first.wait_for()
    assert page.locator(".flows tbody tr").count() == 1
    page.get_by_text("Words are not for your role").wait_for()
    assert not any(text in page.locator("main").inner_text() for text in ("please pay", "alice@", "bob@"))
    tab.close()
    context.close()


def test_hostile_names_are_text_in_every_picture_and_table(tab):
    for said, wait in (("", "a.step"), ("?tab=flows", ".box"), ("?tab=delegation", ".box")):
        page = session(tab, HOSTILE_ID, said)
        page.locator(wait).first.wait_for()
        shown = page.locator("main.session").inner_text()
        assert HOSTILE["markup"][:20] in shown
        assert not any(character in shown for character in "\u202e\u200b\x1b\x00")
        assert page.locator("main img, main script").count() == 0
        assert set(page.evaluate("[...document.links].map((link) => link.protocol)")) <= {"http:"}
        assert set(
            page.evaluate(
                "[...document.querySelectorAll('svg a')].map((link) => link.href.baseVal.slice(0, 2))"
            )
        ) <= {"#/"}
    tab.open("#/sessions")
    assert "U+202E" in " ".join(listed(tab, OTHERS))


def test_they_are_readable_at_400_pixels_and_axe_finds_nothing_serious(server, browser, seqs):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make console")
    read = quote(PAID, safe="")
    places = {
        "#/sessions": "tbody tr",
        f"#/session/{read}": "a.step",
        f"#/session/{read}?tab=flows": ".box",
        f"#/delegation/{seqs['ask']}": ".box",
    }
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
        tab = Tab(context, server).open("#/sessions").sign_in(server.tokens["content-reader"])
        for place, wait in list(places.items())[:: 1 if scheme == "light" else 2]:
            page = tab.open(place).page
            page.locator(wait).first.wait_for()
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run()")["violations"]
            assert [
                (each["id"], each["nodes"][0]["html"])
                for each in found
                if each["impact"] in {"serious", "critical"}
            ] == []
            page.set_viewport_size({"width": 400, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= 400
            page.set_viewport_size({"width": 1300, "height": 850})
        context.close()
