"""The console proves the log in the browser: a whole log and one record; what is done to it on the disk while the page is open; what it shows that contradicts what was seen."""

import copy
import json
import re
from urllib.parse import urlsplit

import pytest

from ledger.client.evidence import verify_evidence
from ledger.client.keyfile import AgentKey
from ledger.core.ed25519 import SigningKey
from ledger.core.note import Cosigner, parse_note
from tests.api.erased import erase
from tests.api.test_claims import sealed_by
from tests.audit.sealed_log import USERS, filled
from tests.console.browser import BUILT, Tab
from tests.console.test_browser import AXE
from tests.storage.sealing import ORIGIN, SIGNER, action

pytestmark = pytest.mark.skipif(not BUILT, reason="the console is not built: make console")

ENTRIES, CUTS = 1301, (601, 1201)
ERASED = 3  # of the users
LONG_AGO = "2020-01-01T00:00:00Z"
# What it was given in the place of a content is a commitment; its `ext` has what follows an entry in an answer.
WITHHELD = {
    "outcome": {"status": "success", "result": {"commitment": "0" * 64}},
    "ext": {"com.example.x": {"a": {"u": 0, "v": 1}, "contents": []}},
}


@pytest.fixture(scope="module")
def log():
    return filled(ENTRIES)


@pytest.fixture(scope="module")
def data(world, log):
    """A log in which a person was erased, a hundred entries retired by policy, and one record told long after."""
    folder = world.make("true", log, CUTS)
    server = world.serve(folder)
    agent = AgentKey.create(folder.parent / "agent.key", "agent-7")
    with server.client() as http:
        server.post({**action(9_999), "time": LONG_AGO}).raise_for_status()
        http.post("/v1/keys/rotate", json={}).raise_for_status()
        granted = {"key_id": agent.key_id, "public_key": agent.public_key}
        http.post("/v1/agent-keys", json=granted).raise_for_status()
        record = {"id": "signed-1", "type": "note", "time": "2020-01-02T00:00:00Z"}
        http.post("/v1/records", json=sealed_by(agent, ORIGIN, record)).raise_for_status()
        server.post(action(9_998, **WITHHELD)).raise_for_status()
        erase(http, subject=f"user-{ERASED}@example.com")
        policy = {
            "removes": "entries",
            "select": "SELECT seq FROM records WHERE seq BETWEEN 100 AND 199 AND submitter <> 'log'",
        }
        http.put("/v1/retention/policies/p90d", json=policy).raise_for_status()
        [plan] = http.post("/v1/retention/run", json={}).json()["plans"]
        assert plan["entries"] == 98
    return folder


def test_a_whole_log_is_verified_and_what_is_gone_by_policy_or_late_is_told_and_no_finding(world, data):
    page = world.begin(data)
    said, findings = world.verify()
    size = world.server.client().get("/v1/log").json()["size"]
    assert (said, findings) == (f"Nothing is wrong in {size:,} entries", [])
    told = page.locator("section.verdict .facts").inner_text()
    assert re.search(r"98 entries retired by p90d, as entry 1,\d+ says", told)
    assert re.search(r"[1-9]\d* contents or persons erased, as entry 1,\d+, entry 1,\d+ says", told)
    assert re.search(r"3 recorded late, up to 2,\d+ days after their own time: entry 1,301", told)
    assert "1 signed by their agents, which holds" in told
    world.server.post(action(10_000)).raise_for_status()
    world.server.client().post("/v1/keys/rotate", json={}).raise_for_status()
    said, findings = world.verify(f"Only what came after entry {size - 1:,}")
    assert (said, findings) == (f"Nothing is wrong in entries {size:,} to {size + 1:,}", [])
    page.get_by_text(re.compile(r"rotated \d times since")).wait_for()
    page.get_by_label("Compare").fill(str(SIGNER.key))
    page.get_by_role("button", name="I have it from elsewhere").click()
    page.get_by_text("under the key that you compared").wait_for()
    assert [url for url in world.tab.asked if "/v1/query" in url[1]] == []
    page.route("**/tile/**", lambda _: None)  # never answered
    page.get_by_role("button", name="Verify the whole log").click()
    page.get_by_role("progressbar", name="Entries verified").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped after 0 entries").wait_for()
    page.unroute_all(behavior="ignoreErrors")


def test_what_was_checked_and_by_whom_stands_behind_the_state_on_every_page(world, data):
    page = world.begin(data)
    world.verify()
    page.locator("button.state:enabled").press("Enter")
    panel = page.get_by_role("dialog", name="Integrity")
    panel.get_by_text("nobody else keeps a checkpoint").wait_for()
    said = panel.inner_text()
    assert "verified up to 1,3" in said
    assert "head" in said
    assert "what it has sealed" in said
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert serious(page) == []
    page.keyboard.press("Escape")
    panel.wait_for(state="detached")
    assert serious(page) == []


def test_a_witness_counts_where_his_line_holds_here_and_not_because_the_server_says_so(world, data):
    page = world.begin(data)
    page.get_by_role("region", name="What this browser knows").wait_for()
    note = world.server.client().get("/checkpoint").content
    text = parse_note(note).text
    alice, bob, carol, other = (
        Cosigner(f"{name}.example/w", SigningKey(name.encode().ljust(32)), at)
        for name, at in (
            ("alice", 1_800_000_000),
            ("bob", 1_800_000_000),
            ("carol", 9 * 10**12),
            ("other", 1),
        )
    )
    forged = bob.line(text.replace(ORIGIN, "ledger.example/other"))
    lines = (note + (alice.line(text) + forged + carol.line(text) + other.line(text)).encode()).decode()

    def told(**named):
        each = [
            {"name": name, "key": str(who.key), "size": 1, "cosigned_at": 1, "problem": None}
            for name, who in named.items()
        ]
        witnesses = json.dumps({"quorum": "any", "witnesses": each})
        page.route("**/*", lying({"/v1/witnesses": witnesses, "/witnessed/checkpoint": lines}))
        page.locator("button.state:enabled").click()
        panel = page.get_by_role("dialog", name="Integrity")
        panel.get_by_text("their quorum has cosigned all of it, the server says").wait_for()
        found = panel.locator("dd .each").all_inner_texts()
        page.keyboard.press("Escape")
        panel.wait_for(state="detached")
        page.unroute_all()
        return found

    first = told(alice=alice, bob=bob, carol=carol)
    assert first[0].startswith("alice cosigned 2027-01-15 08:00:00")
    assert "checked here, under the key that this ledger named, first seen 20" in first[0]
    assert first[1] == "bob its cosignature does not hold under the witness's key"
    assert first[2] == "carol its cosignature is of a time that no calendar has"
    again = told(alice=other, carol=carol)
    assert again[0].startswith(f"alice this ledger named another key of this witness before: {alice.key},")
    assert again[2].startswith("bob is not named by this ledger any more")


def serious(page):
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {each['nodes'][0]['html']}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


def test_a_record_is_proved_step_by_step_and_its_receipt_saved(world, data):
    page = world.begin(data, "#/prove/700")
    page.get_by_role("heading", name="It stands in the log, and is what was recorded", exact=True).wait_for()
    checks = page.locator(".checks").all_inner_texts()
    assert all(word in checks[0] for word in ("Entry", "Path", "Signature", "This browser", "Witnesses"))
    assert all(word in checks[1] for word in ("request.text", "tool.arguments", "request.user"))
    assert page.locator(".checks .bad").count() == 0
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert serious(page) == []
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save the receipt").click()
    receipt = saving.value.path().read_bytes()
    assert world.server.client().get("/v1/entries/700/receipt?entry=true").content == receipt
    context = world.context.browser.new_context()
    reader = Tab(context, world.server).open("#/prove/700").sign_in(world.server.grant("reading", "reader"))
    reader.page.get_by_text("not for your role; the commitment is proved").first.wait_for()
    reader.page.get_by_text("recorded; 3 contents are not shown, which nobody checked").wait_for()
    assert "please" not in reader.page.inner_text("main")
    reader.close()
    context.close()
    page.goto(f"{world.server.url}/console#/prove/150")
    page.get_by_text("its bytes are retired by policy").wait_for()
    page.get_by_text("Its hash stands in the log; what was recorded is gone by policy").wait_for()
    assert page.locator(".checks .bad").count() == 0


def test_what_a_server_says_is_gone_or_shows_in_part_is_not_proved_by_its_word(world, data):
    page = world.begin(data)
    with world.server.client() as http:
        bare = http.get("/v1/entries/700/receipt").content
        by = http.get("/v1/entries/150").json()["retired_by"]
        shown = http.get("/v1/entries/700").json()

    def retired(route):
        problem = {"type": "urn:agent-ledger:problem:retired", "title": "Retired", "retired_by": by}
        if urlsplit(route.request.url).query:
            return route.fulfill(status=410, json=problem)
        return route.fulfill(body=bare)

    kept = [each for each in shown["contents"] if each["member"] != "request.text"]
    hidden, erased = ({**shown, "contents": kept, name: ["request.text"]} for name in ("hidden", "erased"))
    shown = copy.deepcopy(shown)
    cut = next(each for each in shown["contents"] if each["member"] == "request.text")
    cut["salt"] += cut["value"][:4].encode().hex()  # the same bytes are hashed
    cut["value"] = cut["value"][4:]
    wrong, told = "1 of it does not hold", {**erased, "told_in": {"request.text": by}}
    lies = [
        ("/receipt*", lambda route: route.fulfill(body=bare), "no entry of the log is named", wrong),
        ("/receipt*", retired, f"entry {by} does not say that it retired this one", wrong),
        ("", lambda route: route.fulfill(json=shown), "does not give the commitment", wrong),
        ("", lambda route: route.fulfill(json=hidden), "hidden, though your role may see it", wrong),
        ("", lambda route: route.fulfill(json=erased), "and names no entry of the log that says so", wrong),
        (
            "",
            lambda route: route.fulfill(json=told),
            f"and entry {by}, which it names for that, does not",
            wrong,
        ),
    ]
    for path, lie, said, verdict in lies:
        page.route(f"**/v1/entries/700{path}", lie)
        page.goto(f"{world.server.url}/console#/prove/700")
        page.locator(".checks .bad", has_text=said).wait_for()
        page.locator("section.verdict h2", has_text=verdict).wait_for()
        page.unroute_all()
        page.goto(f"{world.server.url}/console#/prove")
        page.get_by_role("button", name="Verify the whole log").wait_for()


def test_what_is_erased_or_was_never_given_is_proved_by_the_entry_that_says_so(world, data):
    page = world.begin(data)
    [person] = [seq for seq in range(700, 707) if (seq - 1) % USERS == ERASED]
    with world.server.client() as http:
        withheld = http.get(f"/v1/records/{action(9_998)['id']}").json()["seq"]
        said = {seq: http.get(f"/v1/entries/{seq}").json()["told_in"] for seq in (person, withheld)}
    for seq, how, members in (
        (person, "erased", ["request.text", "tool.arguments", "request.user"]),
        (withheld, "withheld", ["outcome.result"]),
    ):
        assert sorted(said[seq]) == sorted(members)
        assert world.proved(seq) == []
        for member in members:
            line = page.locator(".checks li.good", has_text=member)
            line.get_by_text(f"{how}, as entry {said[seq][member]} says, which is proved likewise").wait_for()
        page.locator("section.verdict h2", has_text="not in it, as the log itself says").wait_for()
    note = world.server.client().get("/checkpoint").text
    size = int(note.split()[1])
    page.route("**/*", lying({f"/tile/entries/{size // 256:03}.p/{size % 256}": 503}))
    page.goto(f"{world.server.url}/console#/prove")
    page.get_by_role("button", name="Verify the whole log").wait_for()
    assert world.verify()[1] == []  # its last entries one by one, whatever words stand in them


def test_evidence_of_a_record_says_what_it_will_hold_and_verifies(world, data):
    page = world.begin(data, "#/prove/700")
    page.get_by_role("button", name="Evidence…").click()
    page.get_by_label("What it is for").fill("case 12")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Make and save").click()
    page.get_by_text(re.compile("1 entry, .* of the log says so")).wait_for()
    assert saving.value.suggested_filename.startswith("evidence-")
    made = verify_evidence(saving.value.path(), SIGNER.key)
    assert (made.findings, list(made.entries)) == ([], [700])
    page.keyboard.press("Escape")


def test_a_server_that_answers_and_does_not_prove_itself_is_a_warning_until_it_does(world, data):
    page = world.begin(data)
    page.route("**/*", lying({"/v1/log": 503}))  # the bar has nothing to check
    page.reload()
    page.locator("button.state", has_text="no answer").wait_for()
    asked = len(world.tab.asked)
    assert world.verify()[1] == []
    keys = [url for _, url in world.tab.asked[asked:] if url.endswith("/v1/keys")]
    assert len(keys) == 1  # the check goes on with those that it held against what was seen
    page.unroute_all()
    page.route("**/*", lying({"/v1/keys": 503}))
    world.server.post(action(30_000)).raise_for_status()
    page.reload()
    page.locator("button.state:enabled").wait_for()
    for _ in range(3):
        with page.expect_response("**/v1/keys"):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator(
        "section.unchecked", has_text=re.compile("Could not be checked since 20.*made up")
    ).wait_for()
    page.locator("button.state", has_text="could not be checked").wait_for()
    assert page.locator("section.alarm").count() == 0
    page.unroute_all()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("section.unchecked").wait_for(state="detached")
    assert page.locator("section.alarm").count() == 0


def lying(shown):
    """In the place of what the server has at these paths: other bytes, or a refusal."""

    def answered(route):
        answer = shown.get(urlsplit(route.request.url).path)
        if answer is None:
            return route.continue_()
        if not isinstance(answer, int):
            return route.fulfill(body=answer)
        problem = {"type": "urn:agent-ledger:problem:made-up", "title": "Made up", "detail": "made up"}
        return route.fulfill(status=answer, json=problem)

    return answered
