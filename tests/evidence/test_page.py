"""The page that verifies, in a real browser: it finds what `agent-ledger verify` finds, shows hostile text as text, and asks nobody."""

import json
import re

import pytest

from ledger.client.evidence import verify_evidence
from ledger.evidence.bundle import make
from ledger.evidence.gather import Answer, Request, gather
from ledger.log.log import Log
from tests.cli.conftest import Ledger
from tests.evidence import crossed, followed, signed
from tests.evidence.browser import PAGE, Verifier, chromium, policy_of
from tests.evidence.conftest import HOSTILE
from tests.evidence.tampering import CASES, NAMES, forged, unzipped


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else():
    page = PAGE.read_text(encoding="utf-8")
    assert f'content="{policy_of(page)}"' in page, f"write it into the page: {policy_of(page)}"


def test_the_page_reads_no_markup_from_text():
    assert (
        re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|fetch\(|XMLHttp|WebSocket|import\(",
            PAGE.read_text("utf-8"),
        )
        == []
    )


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def verifier(browser):
    opened = Verifier(browser)
    yield opened
    opened.close()
    assert [url for url in opened.requests if not url.startswith("file:")] == []
    assert (opened.dialogs, opened.errors) == ([], [])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("known", [True, False], ids=["key", "no key"])
def test_the_page_and_the_command_find_the_same(story, verifier, tmp_path, case, known):
    path = tmp_path / "evidence.zip"
    path.write_bytes(case.tamper(unzipped(story.data), story))
    by_command = verify_evidence(path, story.key if known else None)
    by_page = verifier.verify(path.read_bytes(), str(story.key) if known else "")
    assert {(found["kind"], found["file"], found["seq"]) for found in by_page["findings"]} == {
        found[:3] for found in by_command.findings
    }
    assert by_page["verdict"] == by_command.verdict
    assert (by_page["entries"], by_page["disclosed"], by_page["rows"]) == (
        len(by_command.entries),
        by_command.disclosed,
        by_command.rows,
    )
    if known:
        assert {(found["kind"], found["file"]) for found in by_page["findings"]} == case.found(story)


@pytest.mark.parametrize("case", signed.CASES, ids=signed.NAMES)
def test_the_page_checks_what_agents_signed_as_the_command_does(verifier, case):
    said = verifier.verify(case.zip(), str(signed.LOG.key))
    assert {(found["kind"], found["file"]) for found in said["findings"]} == case.found
    assert (said["signatures"], said["signatures_not_checked"]) == (case.held, case.not_checked)


@pytest.mark.parametrize("case", crossed.CASES + followed.CASES, ids=crossed.NAMES + followed.NAMES)
def test_the_page_checks_the_receipts_of_peers_as_the_command_does(verifier, case):
    said = verifier.verify(case.zip(), str(signed.LOG.key))
    assert {(found["kind"], found["file"]) for found in said["findings"]} == case.found
    assert (said["peers"], said["peers_not_checked"]) == (case.held, case.not_checked)


def test_a_file_that_somebody_else_signed_in_every_part_is_told_by_the_key_alone(story, verifier):
    data = forged(unzipped(story.data), story)
    assert verifier.verify(data)["verdict"] == "consistent with itself"
    assert verifier.verify(data, str(story.key))["verdict"] == "does not hold"


def test_proofs_of_every_shape_hold_in_both(verifier, tmp_path):
    """Every entry of logs of 1 to 20 entries, and answers at every size before."""
    Log.create(tmp_path / "data", "test.example/shapes")
    log = Log.open(tmp_path / "data")
    heads = [log.head()]
    for number in range(19):
        log.append_own("log.query_run", {"log.n": number})
        heads.append(log.head())
        if number % 3 and number < 17:
            continue
        for head in heads[:: 1 + len(heads) // 8]:
            answer = {"columns": [{"name": "seq"}], "rows": [[0]], "truncated": False, "size": head.size}
            body = json.dumps({**answer, "root": head.root.hex()}).encode()
            request = Request(by="ann", seqs=range(len(heads)), sql="SELECT 0 AS seq")
            with make(
                gather(log, request, Answer(body, head.size, head.root)), "2026-11-21T09:30:00.000000Z"
            ).file as file:
                data = file.read()
            (tmp_path / "evidence.zip").write_bytes(data)
            assert verify_evidence(tmp_path / "evidence.zip", log.signer.key).findings == []
            said = verifier.verify(data, str(log.signer.key))
            assert (said["verdict"], said["entries"], said["findings"]) == ("holds", len(heads), [])
    log.close()


def test_hostile_text_is_shown_as_text_with_what_cannot_be_seen_in_it(story, verifier):
    verifier.verify(story.data, str(story.key))
    shown = verifier.page.locator("#entries").inner_text()
    assert (
        "<script>alert('owned')</script><img src=x onerror=alert(1)>"
        in verifier.page.locator("#entries").text_content()
    )
    assert "U+202E" in verifier.page.locator("#entries").text_content()
    assert not {"\u202e", "\u200b", "\u0000"} & set(
        verifier.page.locator("body")
        .text_content()
        .replace(verifier.page.locator("#json").text_content(), "")
    )
    assert verifier.page.locator("script").count() == 2
    assert verifier.page.locator("img, iframe, a, svg").count() == 0
    assert shown
    assert HOSTILE not in verifier.page.content()


def test_a_key_that_is_none_is_refused_before_anything_is_checked(story, verifier):
    for key in ("nonsense", str(story.key)[:-2] + "AA", str(story.key).replace("+", "+0", 1)):
        verifier.choose(story.data, key)
        verifier.says("Nothing was checked")
        assert verifier.page.locator("#json").text_content() == ""


def test_a_browser_without_ed25519_says_that_it_is_not_supported_and_checks_nothing(story, browser):
    for before in (
        "crypto.subtle.importKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'))",
        "crypto.subtle.verify = () => Promise.resolve(true)",
    ):
        old = Verifier(browser, before=before)
        old.choose(story.data, str(story.key))
        old.says("Not supported")
        assert old.page.locator("#json").text_content() == ""
        old.close()


def test_an_evidence_file_within_the_page_needs_nothing_else(story, browser, tmp_path):
    path = tmp_path / "evidence.html"
    ledger = Ledger(story.server.data, story.server.url, tmp_path / "state")
    made = ledger.run("evidence", path, "story-0", "--about", "</script><script>alert(1)</script>")
    assert made.returncode == 0, made.stderr
    opened = Verifier(browser, path)
    assert opened.said()["verdict"] == "consistent with itself"
    opened.page.fill("#key", str(story.key))
    opened.page.locator("#key").blur()
    opened.says("It holds")
    assert (opened.dialogs, opened.errors) == ([], [])
    opened.close()
    verified = ledger.run("verify", path, "--vkey", story.key)
    assert verified.returncode == 0, verified.stdout
    assert json.loads(verified.stdout)["verdict"] == "holds"
    page = path.read_bytes()
    for damaged, status in ((page.replace(b"UEsD", b"UEsE", 1), 1), (page.replace(b"UEsD", b"U*sD", 1), 2)):
        path.write_bytes(damaged)
        assert ledger.run("verify", path, "--vkey", story.key).returncode == status


def test_the_page_is_handed_out_by_the_command(story, tmp_path):
    ledger = Ledger(tmp_path / "none", "http://127.0.0.1:1", tmp_path / "state")
    assert ledger.run("verify", "--page", tmp_path / "verify.html").returncode == 0
    assert (tmp_path / "verify.html").read_bytes() == PAGE.read_bytes() == unzipped(story.data)["verify.html"]


def test_a_file_that_begins_like_the_page_and_has_no_end_is_refused_unread(tmp_path):
    path = tmp_path / "evidence.html"
    with path.open("wb") as file:
        file.write(b"<!doctype html>")
        file.truncate(1 << 40)  # a terabyte of nothing
    ledger = Ledger(tmp_path / "none", "http://127.0.0.1:1", tmp_path / "state")
    refused = ledger.run("verify", path)
    assert refused.returncode == 2
    assert b"it is longer than" in refused.stderr
