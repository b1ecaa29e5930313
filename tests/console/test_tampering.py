"""Every kind of tampering that somebody who asks a server can see, planted in a real log and found by the page in a real browser: on the disk, in answers, by the key's holder."""

import json
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

import pytest

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.fork import parse_fork, verify_fork
from ledger.core.merkle import Frontier, consistency_proof
from ledger.core.text import format_base64
from ledger.storage.layout import SEGMENTS
from tests.audit.sealed_log import filled
from tests.console.browser import BUILT
from tests.console.kinds import (
    AFTER_IT_WAS_SEEN,
    BEFORE_IT_WAS_SEEN,
    DAMAGED,
    IN_ANSWERS,
    LIES_OF_RECORDS,
    OF_WITNESSES,
    ON_THE_DISK,
    RECORDS,
    UNSIGNED,
)
from tests.console.planting import Site, copied, flip
from tests.storage.sealing import ORIGIN, SIGNER

pytestmark = pytest.mark.skipif(not BUILT, reason="the console is not built: make console")

ENTRIES, CUTS = 2101, (601, 1801)
SOUND = (f"Nothing is wrong in {ENTRIES:,} entries", [])


@pytest.fixture(scope="module")
def log():
    return filled(ENTRIES)


@pytest.fixture(scope="module")
def data(world, log):
    """Never changed but by a server that serves it."""
    return world.make("true", log, CUTS)


@pytest.fixture
def site(data, log, tmp_path):
    """A copy to tamper with."""
    return Site(log, copied(data, tmp_path / "copy"), CUTS)


@pytest.fixture
def answers(world, data, log):
    """The true log behind a server that is made to lie."""
    return Site(log, data, CUTS, truth=world.truth)


def test_what_is_altered_on_the_disk_is_found_and_named(world, site):
    kinds = [*ON_THE_DISK, *RECORDS]
    for kind in kinds:
        kind.plant(site, kind.at(site))
    world.begin(site.data)
    said, findings = world.verify()
    expected = [each for kind in ON_THE_DISK for each in kind.says(kind.at(site))]
    assert (said, sorted(findings)) == (f"{len(expected)} findings", sorted(expected))
    for kind in RECORDS:
        found = world.proved(kind.at(site))
        for what, why in kind.says(0):
            assert any(each == what and why in detail for each, detail in found), (kind.name, found)


def test_a_file_that_is_altered_under_a_running_server_or_damaged_is_found(world, site):
    page = world.begin(site.data)
    assert world.verify() == SOUND
    hashes = site.data / SEGMENTS / f"{CUTS[0]:016}" / "hashes"
    flip(hashes, 32 * 400)
    assert world.verify()[1] == [("altered", f"entry {CUTS[0] + 400:,}")]
    page.get_by_text("its bytes are right, the next entry says so").wait_for()
    flip(hashes, 32 * 400)
    world.server.stop()
    [kind] = DAMAGED
    kind.plant(site, kind.at(site))
    world.serve(site.data)
    world.open("#/prove")
    assert [each for each, _ in world.verify()[1]] == ["unverifiable"]


def test_whatever_a_server_answers_instead_is_found_and_named(world, answers):
    page = world.begin(answers.data)
    for kind in IN_ANSWERS:
        answers.lies.clear()
        seq = kind.at(answers)
        kind.plant(answers, seq)
        answers.lie(page)
        assert sorted(world.verify()[1]) == sorted(kind.says(seq)), kind.name
        page.unroute_all()
    last = ENTRIES - 1
    short = f"/tile/entries/{ENTRIES // 256:03}.p/{ENTRIES % 256}"
    begun = lambda body: body.replace(b'"submitter":"log"', b'"submitter":"token:x"')  # noqa: E731
    whole = [
        ({short: 503, f"/v1/entries/{last}": 404}, [("missing", f"entry {last:,}")]),
        ({"/tile/entries/003": 503, "/v1/entries/768": 503}, [("unverifiable", "entries 768 to 1,023")]),
        # what is no entry of the log's own is not the beginning of a log either
        (
            {"/tile/entries/000": 503, "/v1/entries/0": begun},
            [("altered", "entry 0"), ("altered", "entry 0")],
        ),
        ({f"/tile/0/{ENTRIES // 256:03}.p/{ENTRIES % 256}": last_hash}, [("altered", f"entry {last:,}")]),
    ]
    for lies, findings in whole:
        answers.lies = lies
        answers.lie(page)
        assert world.verify()[1] == findings
        page.unroute_all()
    page.get_by_text("its bytes are right, the signed root says so").wait_for()
    for kind in UNSIGNED:
        answers.lies.clear()
        kind.plant(answers, 0)
        page.get_by_role("region", name="What this browser knows").wait_for()
        answers.lie(page)
        assert world.verify()[1][0] == kind.says(0)[0], kind.name
        page.unroute_all()
        page.locator("section.alarm").get_by_text("Not signed by the log.").wait_for()
        forget(page)


def last_hash(body):
    return body[:-1] + bytes([body[-1] ^ 1])


def test_what_a_server_says_of_a_record_is_proved_or_red(world, answers):
    page = world.begin(answers.data)
    for kind in LIES_OF_RECORDS:
        answers.lies.clear()
        seq = kind.at(answers)
        kind.plant(answers, seq)
        answers.lie(page)
        found = world.proved(seq)
        for what, why in kind.says(seq):
            assert any(each == what and why in detail for each, detail in found), (kind.name, found)
        page.unroute_all()
    seq = answers.sealed()
    partly = [
        (
            lambda shown: {**shown, "submitter": "token:else"},
            "what is shown as this entry is not what the receipt proves",
        ),
        (lambda shown: {**shown, "contents": shown["contents"] * 2}, "altered: it was added"),
        (
            lambda shown: {
                **shown,
                "persons": [*shown["persons"], {**shown["persons"][0], "commitment": "0" * 64}],
            },
            "altered: it was added",
        ),
        (lambda shown: {name: shown[name] for name in ("seq", "entry")}, "has not the members of one"),
    ]
    for lie, said in partly:
        answers.lies = {
            f"/v1/entries/{seq}": lambda body, lie=lie: json.dumps(lie(json.loads(body))).encode()
        }
        answers.lie(page)
        assert any(said in why for _, why in world.proved(seq)), said
        page.unroute_all()
    assert world.proved(seq) == []
    page.locator(".checks li", has_text="request.text").get_by_text("As it was checked").click()
    page.locator(".checks pre", has_text="words").wait_for()


@pytest.mark.parametrize("kind", OF_WITNESSES, ids=lambda kind: kind.name)
def test_a_witness_counts_for_what_he_cosigned_and_only_of_the_log_that_was_seen(world, answers, kind):
    page = world.begin(answers.data)
    page.get_by_role("region", name="What this browser knows").wait_for()
    kind.plant(answers, 0)
    answers.lie(page)
    for (what, why), (each, detail) in zip(kind.says(0), world.of_witnesses(), strict=False):
        assert what == each
        assert why in detail
    page.unroute_all()


def test_a_log_that_its_keys_holder_made_wrong_is_found_at_the_first_look(world, log, site):
    for kind in BEFORE_IT_WAS_SEEN:
        seq = site.hot(3)
        world.begin(world.make("wrong", kind.make(log, seq), CUTS))
        assert sorted(world.verify()[1]) == sorted(kind.says(seq)), kind.name


def test_a_log_that_was_rolled_back_forked_or_replaced_is_an_alarm_on_every_page(world, data, log, site):
    page = world.begin(data)
    bar = page.locator("section.alarm")
    page.get_by_role("region", name="What this browser knows").wait_for()
    seen = page.evaluate("({...localStorage})")
    for kind in AFTER_IT_WAS_SEEN:
        world.serve(world.make("other", kind.make(log, site.hot(3)), CUTS))
        world.remembers(seen)
        world.open("#/search")
        [(alarm, place)] = kind.says(0)
        bar.get_by_text(alarm).wait_for()
        page.get_by_role("link", name="What was seen").click()
        assert world.verify()[1][0] == (alarm.rstrip(".").lower(), place)
    page.locator("section.verdict.wrong").wait_for()
    with page.expect_download() as saving:
        bar.get_by_role("button", name="Save the proof").click()
    forked = verify_fork(parse_fork(saving.value.path().read_bytes()), SIGNER.key)
    assert (forked.older.size, forked.newer.size) == (ENTRIES, ENTRIES)
    world.remembers(seen)
    fresh = site.data.parent.parent / "fresh"
    world.serve(fresh)
    world.open("#/search")
    bar.get_by_text("Another key.").wait_for()
    assert str(SIGNER.key) in bar.inner_text()
    with page.expect_download():
        bar.get_by_role("button", name="Save both checkpoints").click()
    page.get_by_role("link", name="What was seen").click()
    assert world.verify()[1][0] == ("altered", "the log")
    forget(page)
    said, findings = world.verify()  # and what answers is believed to be the log
    assert (said[:16], findings) == ("Nothing is wrong", [])
    page.evaluate("localStorage.setItem('agent-ledger-seen ledger.example/before', '{}')")
    page.reload()
    page.locator("section.unchecked", has_text="this browser has seen ledger.example/before").wait_for()
    page.get_by_text("seen at this address under other names: ledger.example/before").wait_for()
    page.get_by_role("button", name="They are two logs").click()
    page.locator("section.unchecked").wait_for(state="detached")


def test_two_histories_that_are_shown_at_once_are_a_fork_although_each_goes_on_from_what_was_seen(
    world, answers
):
    page = world.begin(answers.data)
    page.get_by_role("region", name="What this browser knows").wait_for()
    base = answers.log.hashes(0, ENTRIES)
    one, two = ([*base, *(sha256(b"%d%d" % (of, at)).digest() for at in range(40 + of))] for of in (0, 1))
    shown = json.loads(world.server.client().get("/v1/log").content)
    answers.lies = {
        "/v1/log": json.dumps(
            {**shown, "size": len(one), "root": root(one).hex(), "checkpoint": signed(one)}
        ).encode(),
        "/checkpoint": signed(two).encode(),
    }
    waits = []

    def answered(route):
        url = urlsplit(route.request.url)
        if url.path != "/v1/proofs/consistency":
            return answers.answered(route)
        old, new = (int(value) for [value] in parse_qs(url.query).values())
        proof = [
            format_base64(each)
            for each in consistency_proof(old, new, reader(one if new == len(one) else two))
        ]
        if new == len(one):
            return waits.append((route, proof))
        return route.fulfill(json={"old": old, "new": new, "hashes": proof})

    page.route("**/*", answered)
    page.reload()
    page.get_by_role("button", name="Verify the whole log").click()
    page.get_by_role("region", name="What this browser knows").get_by_text(f"{len(two):,} entries").wait_for()
    for route, proof in waits:  # the header asks again where an answer is late
        route.fulfill(json={"old": ENTRIES, "new": len(one), "hashes": proof})
    page.locator("section.alarm").get_by_text("Forked.").wait_for()
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save the proof").click()
    forked = verify_fork(parse_fork(saving.value.path().read_bytes()), SIGNER.key)
    assert (forked.older.size, forked.newer.size) == (len(one), len(two))
    page.unroute_all(behavior="ignoreErrors")


def reader(leaves):
    return lambda nodes: [root(leaves[index << level : index + 1 << level]) for level, index in nodes]


def root(leaves):
    tree = Frontier()
    tree.extend(leaves)
    return tree.root()


def signed(leaves):
    return sign_checkpoint(Checkpoint(ORIGIN, len(leaves), root(leaves)), SIGNER).decode()


def forget(page):
    page.get_by_role("button", name="Forget what this browser saw").click()
    page.get_by_role("button", name="Forget it").click()
    page.locator("section.alarm").wait_for(state="detached")
