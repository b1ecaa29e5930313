"""Everything done to an evidence file is found by the verifier, and named."""

import pytest

from ledger.client.evidence import verify_evidence, words
from tests.evidence import crossed, followed, signed
from tests.evidence.signed import Signed
from tests.evidence.tampering import CASES, NAMES, forged, unzipped


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_was_done_to_an_evidence_file_is_found_and_named(story, tmp_path, case):
    path = tmp_path / "evidence.zip"
    path.write_bytes(case.tamper(unzipped(story.data), story))
    report = verify_evidence(path, story.key)
    found = {(finding.kind, finding.file) for finding in report.findings}
    assert found == case.found(story)
    assert report.verdict == ("does not hold" if found else "holds")


def test_without_a_key_from_elsewhere_a_good_file_is_only_consistent_with_itself(story, tmp_path):
    path = tmp_path / "evidence.zip"
    path.write_bytes(story.data)
    report = verify_evidence(path)
    assert (report.verdict, report.findings, report.key) == ("consistent with itself", [], story.key)


def test_a_file_that_somebody_else_signed_in_every_part_is_told_by_the_key_alone(story, tmp_path):
    """The thief makes a log of the same name with one false entry: nothing in the file can tell, only a key from elsewhere."""
    path = tmp_path / "evidence.zip"
    path.write_bytes(forged(unzipped(story.data), story))
    assert verify_evidence(path).verdict == "consistent with itself"
    found = {(finding.kind, finding.file) for finding in verify_evidence(path, story.key).findings}
    assert found == {("key", "log.vkey"), ("signature", "manifest.txt"), ("checkpoint", "checkpoint.txt")}


@pytest.mark.parametrize("case", signed.CASES, ids=signed.NAMES)
def test_what_an_agent_signed_is_checked_where_the_file_has_the_entry_of_its_key(tmp_path, case):
    path = tmp_path / "evidence.zip"
    path.write_bytes(case.zip())
    report = verify_evidence(path, signed.LOG.key)
    assert {(finding.kind, finding.file) for finding in report.findings} == case.found
    assert (report.signatures, report.signatures_not_checked) == (case.held, case.not_checked)
    assert any("not checked" in sentence for sentence in words(report)) == (case.not_checked > 0)


@pytest.mark.parametrize("case", crossed.CASES + followed.CASES, ids=crossed.NAMES + followed.NAMES)
def test_what_is_said_of_a_peers_entry_is_checked_by_the_receipt_that_is_kept(tmp_path, case):
    path = tmp_path / "evidence.zip"
    path.write_bytes(case.zip())
    report = verify_evidence(path, signed.LOG.key)
    assert {(finding.kind, finding.file) for finding in report.findings} == case.found
    assert (report.peers, report.peers_not_checked) == (case.held, case.not_checked)
    assert any("not checked" in sentence for sentence in words(report)) == (case.not_checked > 0)


def test_a_peers_key_that_is_given_counts_and_then_no_other_of_its_log(tmp_path):
    path = tmp_path / "evidence.zip"
    path.write_bytes(Signed("", (crossed.ours(crossed.GOOD),), set(), 0, 0).zip())
    report = verify_evidence(path, signed.LOG.key, [crossed.BOB.key])
    assert (report.peers, report.peers_not_checked, report.findings) == (1, 0, [])
    path.write_bytes(Signed("", (crossed.PEER, crossed.ours(crossed.GOOD)), set(), 0, 0).zip())
    report = verify_evidence(path, signed.LOG.key, [crossed.IMPOSTOR.key])
    assert (report.peers, [finding.kind for finding in report.findings]) == (0, ["peer"])


@pytest.mark.parametrize(
    ("entries", "given", "held"),
    [
        ((followed.ROTATED, followed.OLD, followed.AFTER), crossed.BOB, 2),
        ((followed.OLD, followed.AFTER, followed.ROTATED), crossed.BOB, 2),  # a proof needs no place
        ((followed.ROTATED, followed.OLD, followed.AFTER), followed.NEXT, 2),
        ((followed.AFTER,), followed.NEXT, 1),
        ((followed.ROTATED | {"submitter": "token:x"}, followed.AFTER), crossed.BOB, 0),
        ((followed.ROTATED, followed.AFTER), crossed.IMPOSTOR, 0),
    ],
    ids=range(6),
)
def test_a_peers_key_that_is_given_leads_to_those_that_entries_of_the_file_prove(
    entries, given, held, tmp_path
):
    path = tmp_path / "evidence.zip"
    path.write_bytes(Signed("", followed.entries(*entries), set(), 0, 0).zip())
    report = verify_evidence(path, signed.LOG.key, [given.key])
    assert (report.peers, report.peers_not_checked) == (held, 0)
    assert bool(report.findings) == (held == 0)
