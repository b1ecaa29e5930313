"""Entries whose bytes are gone: the tree goes on over them, and the log has to say why. And a verification that is put away goes on."""

import json

import pytest

from ledger.core.canonical import dumps
from ledger.core.chain import Stored, looking_ahead
from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.joined import Joined
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import root_of
from ledger.core.note import NoteSigner
from ledger.core.report import Level, Report, Rested
from ledger.core.retired import CONTENTS_RETIRED, claimed_ranges
from ledger.core.stretch import STRETCH_ENTRIES, Own
from ledger.core.verify import Verifier
from tests.core.test_verify import AGENT, SIGNER, MadeLog, format_base64, kinds, made, stretches, verified


def without(log: MadeLog, *ranges: tuple[int, int]) -> list[bytes | None]:
    gone = {seq for low, high in ranges for seq in range(low, high)}
    return [None if seq in gone else entry for seq, entry in enumerate(log.entries)]


def retiring(actions: int, *ranges: list[int], policy: str = "p90d") -> MadeLog:
    log = made(actions)
    log.own("log.entries_retired", {"log.retired": list(ranges), "log.policy": policy})
    log.action()
    log.sign()
    return log


@pytest.mark.parametrize("level", [Level.HASHES, Level.ENTRIES])
def test_retired_entries_are_told_and_the_tree_goes_on_over_them(level):
    log = retiring(12, [3, 9])
    pins = [log.notes[4], log.notes[14]]
    report = verified(log, without(log, (3, 9)), pins=pins, receipts=[log.receipt(5)], level=level)
    assert report.findings == ()
    assert report.verdict == "verified and anchored up to 15"
    assert report.root == root_of(log.hashes)
    assert (report.retired_entries, report.entries_checked, report.waiting) == (6, 9, 0)
    assert "Retired by policy: entries 3 to 8 (policy p90d, told by entry 13)." in report.words


def test_entries_that_are_gone_and_that_the_log_does_not_explain_are_missing():
    log = retiring(12, [3, 6])
    report = verified(log, without(log, (3, 9)), pins=[log.notes[14]])
    assert kinds(report) == [("missing", 6)]
    assert report.findings[0].where == "entries 6 to 8"
    assert "does not say that the bytes were retired" in report.findings[0].detail
    assert report.good_up_to == 6
    assert report.anchors[0].agrees


def test_whole_stretches_may_be_retired():
    size = 3 * STRETCH_ENTRIES
    log = made(size, every=700)
    log.own("log.entries_retired", {"log.retired": [[1, 2 * STRETCH_ENTRIES + 5]], "log.policy": "x"})
    log.sign()
    report = verified(log, without(log, (1, 2 * STRETCH_ENTRIES + 5)), pins=[log.notes[size + 1]])
    assert report.findings == ()
    assert report.retired_entries == 2 * STRETCH_ENTRIES + 4
    altered = log.hashes.copy()
    altered[STRETCH_ENTRIES + 7] = bytes(32)  # amid hashes that nothing but the roots confirms
    assert verified(log, without(log, (1, 2 * STRETCH_ENTRIES + 5)), altered).findings[0].kind == "altered"


@pytest.mark.parametrize("last", [7, 8])
def test_a_stored_hash_of_a_gone_entry_is_what_the_next_entry_says(last):
    log = retiring(12, [3, 9])
    hashes = log.hashes.copy()
    hashes[last] = bytes(32)
    report = verified(log, without(log, (3, 9)), hashes)
    assert {finding.kind for finding in report.findings} == {"altered"}
    if last == 8:
        assert report.findings[0].where == "the stored leaf hash of entry 8"


def test_entry_0_is_never_retired():
    log = retiring(12, [0, 9])
    assert kinds(verified(log, without(log, (0, 9)))) == [("missing", 0)]


def test_what_the_log_says_was_retired_and_is_still_stored_is_counted():
    log = retiring(12, [3, 9])
    assert verified(log, without(log, (3, 5))).waiting == 4


def test_a_record_retires_only_what_comes_before_it():
    log = made(3)
    seq = log.own("log.entries_retired", {"log.retired": [[1, 9]], "log.policy": "x"})
    for _ in range(4):
        log.action()
    log.sign()
    assert kinds(verified(log, without(log, (2, 3)))) == [("missing", 2)]
    assert seq == 4


@pytest.mark.parametrize(
    "ranges",
    [None, "x", [[1]], [[1, 2, 3]], [[5, 3]], [[-1, 3]], [["1", 3]], [[True, 3]], [[1, 11]], [3], {}],
)
def test_what_is_no_range_retires_nothing(ranges):
    assert (
        claimed_ranges(Own(10, CONTENTS_RETIRED[0], {CONTENTS_RETIRED[1]: ranges}), *CONTENTS_RETIRED) == []
    )
    assert claimed_ranges(Own(10, CONTENTS_RETIRED[0], {CONTENTS_RETIRED[1]: [[1, 10]]}), *CONTENTS_RETIRED)


def test_findings_name_the_first_place_even_when_many_are_wrong():
    log = made(3000, every=100)
    entries = [entry.replace(b"send", b"read") for entry in log.entries]
    report = verified(log, entries)
    assert report.findings[0].seq == 1
    assert report.good_up_to == 1
    assert len(report.findings) + report.unlisted > 2000


# ---- put away, and gone on from


def rich_log() -> MadeLog:
    log = MadeLog()
    log.own("log.access_granted", {"log.key_id": "a", "log.public_key": format_base64(AGENT.public)})
    for i in range(3 * STRETCH_ENTRIES):
        log.action(key="a" if i % 900 == 0 else None)
        if i % 300 == 0:
            log.sign()
    log.own("log.entries_retired", {"log.retired": [[100, 2500], [2600, 2601]], "log.policy": "p"})
    log.sign()
    return log


@pytest.mark.parametrize("level", [Level.HASHES, Level.ENTRIES])
@pytest.mark.parametrize("altered", [None, 50, 5000])
def test_a_verification_that_was_put_away_gives_the_same_report(level, altered):
    log = rich_log()
    entries = without(log, (100, 2500), (2600, 2601))
    if altered is not None:
        entries[altered] = dumps({"prev": "nothing"})
    pins = [log.notes[602], log.notes[len(log.entries) - 1]]
    whole = verified(log, entries, pins=pins, level=level)
    for stop in (1, 2, 3):
        first = Verifier(SIGNER.key, level=level)
        parts = list(looking_ahead(stretches(log, entries)))
        for stored in parts[:stop]:
            first.add(stored)
        saved = json.loads(json.dumps(first.state()))
        second = Verifier(SIGNER.key, level=level, joined=Joined.from_json(saved), pins=pins[1:])
        for stored in parts[stop:]:
            second.add(stored)
        report = second.finish()
        assert report.findings == whole.findings
        assert (report.root, report.size, report.good_up_to) == (whole.root, whole.size, whole.good_up_to)
        assert report.retired == whole.retired
        assert report.entries_checked == whole.entries_checked
        assert report.anchored_to == whole.anchored_to


def rested_on(log: MadeLog, entries: list[bytes], size: int, root: bytes) -> Report:
    base = size // STRETCH_ENTRIES * STRETCH_ENTRIES
    first = Verifier(SIGNER.key)
    for stored in looking_ahead(stretches(log)):
        if stored.start < base:
            first.add(stored)
    rested = Rested(size, root, "auditor@example", "2026-11-21T00:00:00Z", "entries", base)
    verifier = Verifier(SIGNER.key, joined=Joined.from_json(first.state()), rested=rested)
    for stored in looking_ahead(stretches(log, entries)):
        if stored.start >= base:
            verifier.add(stored)
    return verifier.finish()


def test_a_report_says_what_it_rests_on_and_the_record_anchors():
    log = made(5000, every=100)
    report = rested_on(log, log.entries, 4501, root_of(log.hashes[:4501]))
    assert report.findings == ()
    assert report.verdict.startswith("verified and anchored up to 4501; from there on")
    assert "Everything before entry 4501 rests on the verification record by auditor@example" in " ".join(
        report.words
    )
    assert report.to_dict()["rests_on"]["base"] == 4096


def test_a_log_that_is_not_the_one_the_record_saw_is_found():
    log = made(5000, every=100)
    assert {f.kind for f in rested_on(log, log.entries, 4501, bytes(32)).findings} == {"forked"}
    assert rested_on(log, log.entries[:4400], 4501, bytes(32)).findings[-1].kind == "rolled-back"
    other = made(4100, every=100)
    for _ in range(900):
        other.append({"type": "action", "id": "forged"})
    other.sign()
    report = rested_on(log, other.entries, 4501, root_of(log.hashes[:4501]))
    assert report.findings


def test_a_state_of_another_log_or_of_none_is_refused():
    other = NoteSigner("ledger.example/other", SigningKey(bytes(32))).key
    with pytest.raises(LedgerError) as caught:
        Verifier(SIGNER.key, joined=Joined([other], KeyHistory.begin(other)))
    assert caught.value.code == Code.ORIGIN_MISMATCH
    good = Verifier(SIGNER.key).state()
    for broken in (
        None,
        {},
        {**good, "version": 9},
        {**good, "counts": [1]},
        {**good, "tree": [[3, "00"]]},
        {**good, "log_keys": ["x"]},
    ):
        with pytest.raises(LedgerError) as caught:
            Joined.from_json(broken)
        assert caught.value.code in {Code.MALFORMED_NOTE, Code.MALFORMED_VERIFIER_KEY}


def test_gone_entries_without_stored_hashes_are_missing():
    log = retiring(12, [3, 9])
    hashes = [None if 3 <= seq < 9 else digest for seq, digest in enumerate(log.hashes)]
    verifier = Verifier(SIGNER.key)
    verifier.add(Stored(0, without(log, (3, 9)), hashes, log.notes))
    assert kinds(verifier.finish())[0] == ("missing", 3)
