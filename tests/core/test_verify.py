"""What a verification of entries, hashes and checkpoints establishes, and what it says when they do not hold."""

import json
from collections.abc import Sequence

import pytest

from ledger.core.canonical import dumps
from ledger.core.chain import Stored, looking_ahead
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.entry import GENESIS_PREV, format_entry, format_time, record_signing_input
from ledger.core.merkle import Frontier, inclusion_proof, leaf_hash, root_of
from ledger.core.note import NoteSigner, format_vkey
from ledger.core.receipt import Receipt, format_receipt
from ledger.core.report import MAX_FINDINGS, Kind, Level, Report
from ledger.core.stretch import STRETCH_ENTRIES, check_stretch
from ledger.core.text import format_base64
from ledger.core.tiles import TileHashes
from ledger.core.verify import Pin, Verifier

ORIGIN = "ledger.example/test"
SIGNER = NoteSigner(ORIGIN, SigningKey(bytes(range(32))))
AGENT = SigningKey(bytes(range(1, 33)))
GENESIS = {"log.origin": ORIGIN, "log.format": 1, "log.vkey": format_vkey(SIGNER.key)}


class MadeLog:
    """A log in memory, made by the format's own pages."""

    def __init__(
        self, *, origin: str = ORIGIN, signer: NoteSigner = SIGNER, genesis: dict | None = None
    ) -> None:
        self.signer, self.origin = signer, origin
        self.entries: list[bytes] = []
        self.hashes: list[bytes] = []
        self.notes: dict[int, bytes] = {}
        self.own("log.created", genesis or GENESIS)

    def append(
        self,
        record: dict,
        submitter: str = "token:t",
        key: str | None = None,
        agent: SigningKey = AGENT,
        time=None,
    ):
        data, seq = dumps(record), len(self.entries)
        signature = None
        if key is not None:
            signature = (key, format_base64(agent.sign(record_signing_input(self.origin, data))))
        entry = format_entry(
            prev=self.hashes[-1] if seq else GENESIS_PREV,
            record=data,
            recorded_at=time or format_time(1_800_000_000_000_000 + seq),
            seq=seq,
            submitter=submitter,
            signature=signature,
        )
        self.entries.append(entry)
        self.hashes.append(leaf_hash(entry))
        return seq

    def own(self, record_type: str, ext: dict) -> int:
        return self.append({"type": record_type, "time": "2026-11-21T09:30:00Z", "ext": ext}, "log")

    def action(self, **more) -> int:
        return self.append(
            {"type": "action", "id": f"r{len(self.entries)}", "tool": {"name": "send"}}, **more
        )

    def sign(self, *signers: NoteSigner) -> bytes:
        checkpoint = Checkpoint(self.origin, len(self.entries), root_of(self.hashes))
        note = sign_checkpoint(checkpoint, *(signers or (self.signer,)))
        self.notes[len(self.entries) - 1] = note
        return note

    def receipt(self, index: int) -> bytes:
        size = len(self.entries)

        def tile(level: int, n: int, width: int) -> bytes:
            assert level == 0
            return b"".join(self.hashes[n * 256 : n * 256 + width])

        proof = inclusion_proof(index, size, TileHashes(tile, size))
        return format_receipt(Receipt(index, proof, self.notes[size - 1]))


def made(actions: int, every: int = 3) -> MadeLog:
    log = MadeLog()
    for i in range(actions):
        log.action()
        if i % every == 0:
            log.sign()
    log.sign()
    return log


def stretches(log: MadeLog, entries: Sequence[bytes | None] | None = None, hashes=None, size=STRETCH_ENTRIES):
    entries, hashes = log.entries if entries is None else entries, hashes or log.hashes
    for start in range(0, len(entries), size):
        end = min(start + size, len(entries))
        notes = {seq: note for seq, note in log.notes.items() if start <= seq < end}
        yield Stored(start, entries[start:end], hashes[start:end], notes)


def verified(log: MadeLog, entries=None, hashes=None, **options) -> Report:
    verifier = Verifier(options.pop("vkey", SIGNER.key), **options)
    for stored in looking_ahead(stretches(log, entries, hashes)):
        verifier.add(stored)
    return verifier.finish()


def kinds(report: Report) -> list[tuple[str, int | None]]:
    return [(str(finding.kind), finding.seq) for finding in report.findings]


# ---- a log that is good


def test_a_log_without_anything_kept_outside_is_consistent_and_never_more():
    report = verified(made(20))
    assert report.verdict == "consistent with itself, not anchored"
    assert (report.size, report.entries_checked, report.anchored_to, report.good_up_to) == (21, 21, 0, 21)
    assert report.findings == ()
    assert "could have cut or rewritten it" in " ".join(report.words)


def test_a_pinned_checkpoint_anchors_a_log_up_to_its_size():
    log = made(4)
    pin = log.notes[4]
    for _ in range(5):
        log.action()
    log.sign()
    report = verified(log, pins=[pin])
    assert (
        report.verdict == "verified and anchored up to 5; from there on consistent with itself, not anchored"
    )
    assert verified(log, pins=[pin, log.notes[9]]).verdict == "verified and anchored up to 10"


def test_a_receipt_anchors_a_log_too():
    log = made(6)
    report = verified(log, receipts=[log.receipt(3)])
    assert report.verdict == "verified and anchored up to 7"
    assert [(anchor.what, anchor.agrees) for anchor in report.anchors] == [("receipt of entry 3", True)]


def test_an_anchor_on_the_same_machine_is_named_but_does_not_count():
    log = made(6)
    report = verified(log, pins=[Pin(log.notes[6], "head anchor", outside=False)])
    assert report.verdict == "consistent with itself, not anchored"
    assert report.anchors[0].agrees


@pytest.mark.parametrize("level", [Level.HASHES, Level.ENTRIES])
def test_stretches_checked_out_of_order_with_old_hints_give_the_same_report(level):
    log = MadeLog()
    log.own("log.access_granted", {"log.key_id": "a", "log.public_key": format_base64(AGENT.public)})
    for i in range(2 * STRETCH_ENTRIES + 77):
        log.action(key="a" if i % 500 == 0 else None)
        if i % 300 == 0:
            log.sign()
    log.sign()
    pins = [log.notes[seq] for seq in (2, 2102, 3602)]
    verifier = Verifier(SIGNER.key, pins=pins, level=level)
    hints = [verifier.hints(start) for start in range(0, len(log.entries), STRETCH_ENTRIES)]
    parts = list(zip(looking_ahead(stretches(log)), hints, strict=True))
    outcomes = {stored.start: check_stretch(stored, hint) for stored, hint in reversed(parts)}
    for start in sorted(outcomes):
        verifier.join(outcomes[start])
    report = verifier.finish()
    assert report == verified(log, pins=pins, level=level)
    assert report.verdict.startswith("verified and anchored up to 3603")
    assert report.root == root_of(log.hashes)


# ---- entries


@pytest.mark.parametrize("level", [Level.HASHES, Level.ENTRIES])
@pytest.mark.parametrize("seq", [0, 1, 7, 12])
def test_any_byte_of_an_entry_is_found_at_its_place(seq, level):
    log = made(12)
    for at in range(len(log.entries[seq])):
        data = bytearray(log.entries[seq])
        data[at] ^= 1
        report = verified(log, [*log.entries[:seq], bytes(data), *log.entries[seq + 1 :]], level=level)
        assert report.verdict == "findings"
        assert report.good_up_to == seq
        assert {(str(f.kind), f.seq) for f in report.findings} == {("altered", seq)}, at


@pytest.mark.parametrize("seq", [0, 1, 7, 12])
def test_any_byte_of_a_hash_is_found_at_its_place(seq):
    log = made(12)
    for at in range(32):
        digest = bytearray(log.hashes[seq])
        digest[at] ^= 1
        report = verified(log, hashes=[*log.hashes[:seq], bytes(digest), *log.hashes[seq + 1 :]])
        assert kinds(report) == [("altered", seq)]
        assert (report.findings[0].where == f"the stored leaf hash of entry {seq}") == (seq < 12)


def test_an_entry_rewritten_with_its_hash_is_found_by_the_next_one():
    log = made(12)
    entry = log.entries[5].replace(b"send", b"read")
    report = verified(
        log, [*log.entries[:5], entry, *log.entries[6:]], [*log.hashes[:5], leaf_hash(entry), *log.hashes[6:]]
    )
    assert kinds(report) == [("altered", 5)]
    assert "chained to other bytes" in report.findings[0].detail


@pytest.mark.parametrize("kept", [True, False])
def test_a_chain_rewritten_from_an_entry_on_is_found_by_the_first_checkpoint_after_it(kept):
    log, other = made(12), made(4)
    other.append({"type": "action", "id": "forged"})
    for _ in range(7):
        other.action()
    other.notes = log.notes if kept else {12: log.notes[12]}
    report = verified(other)
    assert [(f.kind, f.seq) for f in report.findings] == [(Kind.ALTERED, 5 if kept else 0)]
    assert "root" in report.findings[0].detail


def test_one_missing_entry_is_named_and_the_rest_still_verified():
    log = made(12)
    report = verified(log, [*log.entries[:6], None, *log.entries[7:]], pins=[log.notes[12]])
    assert kinds(report) == [("missing", 6)]
    assert report.anchors[0].agrees  # the next entry remembers the hash of the missing one


def test_several_missing_entries_leave_the_roots_after_them_unverifiable():
    log = made(12)
    entries, hashes = [[*all_[:6], None, None, *all_[8:]] for all_ in (log.entries, log.hashes)]
    report = verified(log, entries, hashes, pins=[log.notes[12]])
    assert kinds(report) == [("missing", 6), ("unverifiable", 7), ("unverifiable", None)]
    assert report.good_up_to == 6


def test_swapped_entries_are_found_at_the_first():
    log = made(12)
    for level in (Level.HASHES, Level.ENTRIES):
        entries, hashes = log.entries.copy(), log.hashes.copy()
        entries[5:7], hashes[5:7] = entries[6:4:-1], hashes[6:4:-1]
        report = verified(log, entries, hashes, level=level)
        assert report.good_up_to == 5
        assert {finding.kind for finding in report.findings} == {Kind.ALTERED}


def test_a_break_between_two_stretches_is_found_without_looking_ahead():
    log = made(STRETCH_ENTRIES + 5, every=500)
    entry = log.entries[STRETCH_ENTRIES - 1].replace(b"send", b"read")
    entries = [*log.entries[: STRETCH_ENTRIES - 1], entry, *log.entries[STRETCH_ENTRIES:]]
    hashes = [leaf_hash(data) for data in entries]
    verifier = Verifier(SIGNER.key)
    for stored in stretches(log, entries, hashes):
        verifier.add(stored)
    assert verifier.finish().good_up_to == STRETCH_ENTRIES
    assert kinds(verified(log, entries, hashes)) == [("altered", STRETCH_ENTRIES - 1)]


@pytest.mark.parametrize("level", [Level.HASHES, Level.ENTRIES])
def test_an_entry_that_names_no_hash_before_it_is_found_though_it_is_signed(level):
    log = made(3)
    log.entries.append(log.entries[3].replace(b'{"prev"', b'{"prew"'))
    log.hashes.append(leaf_hash(log.entries[4]))
    log.action()
    log.sign()
    assert verified(log, level=level).good_up_to == 4


def test_a_clock_that_runs_back_is_found():
    log = made(3)
    log.action(time="2001-01-01T00:00:00.000000Z")
    log.sign()
    assert kinds(verified(log)) == [("altered", 4)]


@pytest.mark.parametrize(
    ("record", "submitter"),
    [
        ({"type": "log.content_erased"}, "token:t"),
        ({"type": "action"}, "log"),
        ({"type": "action", "ext": {"log.vkey": "x"}}, "token:t"),
        ({"type": 3}, "token:t"),
    ],
)
def test_only_the_log_writes_its_own_types_and_nothing_else(record, submitter):
    log = made(2)
    log.append(record, submitter)
    log.sign()
    assert kinds(verified(log)) == [("altered", 3)]


def test_a_log_of_another_origin_or_key_is_not_taken_for_this_one():
    other = NoteSigner(ORIGIN, SigningKey(bytes(32)))
    log = made(3)
    report = verified(log, vkey=other.key)
    assert report.findings[0].seq == 0
    assert "not the log of the key given" in report.findings[0].detail
    assert {finding.kind for finding in report.findings} == {Kind.ALTERED}
    assert "none of the known keys" in report.findings[1].detail


# ---- agents' signatures


def signed_log() -> MadeLog:
    log = made(1)
    log.own("log.access_granted", {"log.key_id": "a", "log.public_key": format_base64(AGENT.public)})
    log.action(key="a")
    log.own("log.access_revoked", {"log.key_id": "a"})
    return log


def test_an_agents_signature_is_checked_under_the_key_in_force_at_its_place():
    log = signed_log()
    log.sign()
    assert verified(log).findings == ()


@pytest.mark.parametrize("level", [Level.HASHES, Level.ENTRIES])
def test_a_revoked_key_is_worth_nothing_after_its_revocation(level):
    log = signed_log()
    seq = log.action(key="a")
    log.sign()
    report = verified(log, level=level)
    assert kinds(report) == [("unverifiable", seq)]
    assert "puts in force" in report.findings[0].detail


def test_a_signature_by_another_key_or_for_another_log_does_not_hold():
    log = made(1)
    log.own("log.access_granted", {"log.key_id": "a", "log.public_key": format_base64(AGENT.public)})
    first = log.action(key="a", agent=SigningKey(bytes(32)))
    log.origin = "ledger.example/other"
    second = log.action(key="a")
    log.origin = ORIGIN
    log.sign()
    assert kinds(verified(log)) == [("altered", first), ("altered", second)]


# ---- checkpoints


def test_any_byte_of_a_checkpoint_is_found_at_its_place():
    log = made(8)
    good = log.notes[4]
    for at in range(len(good)):
        data = bytearray(good)
        data[at] ^= 1
        log.notes[4] = bytes(data)
        report = verified(log)
        assert {(str(f.kind), f.seq) for f in report.findings} == {("altered", 4)}, data
    log.notes[4] = log.notes[7]
    assert "size 8, not 5" in verified(log).findings[0].detail


def test_entries_after_the_newest_checkpoint_are_reported():
    log = made(8)
    log.action()
    report = verified(log)
    assert kinds(report) == [("missing", 9)]
    assert "no signed checkpoint covers the entries 9 to 9" in report.findings[0].detail


def test_nothing_at_all_is_missing_its_beginning():
    assert kinds(Verifier(SIGNER.key).finish()) == [("missing", 0)]


def test_a_cut_tail_is_found_only_against_something_kept_outside():
    log = made(12)
    pin, receipt = log.notes[12], log.receipt(2)
    del log.entries[8:], log.hashes[8:]
    log.notes = {seq: note for seq, note in log.notes.items() if seq < 8}
    assert verified(log).verdict == "consistent with itself, not anchored"
    for kept in ({"pins": [pin]}, {"receipts": [receipt]}):
        report = verified(log, **kept)
        assert [(f.kind, f.seq) for f in report.findings] == [(Kind.ROLLED_BACK, 8)]
        assert "size 13, and the log ends at 8" in report.findings[0].detail


def test_a_full_rewrite_with_the_logs_own_key_is_a_fork_of_what_was_kept():
    log, other = made(12), made(4)
    other.append({"type": "action", "id": "forged"})
    for _ in range(9):
        other.action()
        other.sign()
    assert verified(other).verdict == "consistent with itself, not anchored"
    report = verified(other, pins=[log.notes[4], log.notes[12]], receipts=[log.receipt(6)])
    assert [(f.kind, f.seq) for f in report.findings] == [(Kind.FORKED, 5)] * 2
    assert [anchor.agrees for anchor in report.anchors] == [True, False, False]
    assert (report.anchored_to, report.good_up_to) == (5, 5)


@pytest.mark.parametrize(
    "pin", [b"", b"garbage", made(3).notes[3].replace(b"ledger.example", b"other.example")]
)
def test_a_pin_that_is_not_of_this_log_is_unverifiable_and_anchors_nothing(pin):
    report = verified(made(3), pins=[pin])
    assert kinds(report) == [("unverifiable", None)]
    assert (report.anchored_to, report.good_up_to) == (0, 4)


def test_a_pin_that_the_key_did_not_sign_anchors_nothing():
    log = made(3)
    forged = sign_checkpoint(
        Checkpoint(ORIGIN, 4, root_of(log.hashes)), NoteSigner(ORIGIN, SigningKey(bytes(32)))
    )
    report = verified(log, pins=[forged])
    assert kinds(report) == [("unverifiable", None)]
    assert report.anchored_to == 0


def test_a_receipt_whose_proof_leads_nowhere_is_unverifiable():
    log = made(6)
    receipt = log.receipt(3).replace(b"index 3", b"index 2")
    assert kinds(verified(log, receipts=[receipt, b"no receipt"])) == [("unverifiable", None)] * 2


# ---- rotation


def rotated(*signers: NoteSigner, then: NoteSigner) -> MadeLog:
    log = made(3)
    log.own("log.key_rotated", {"log.vkey": format_vkey(NEXT.key)})
    log.sign(*signers)
    log.action()
    log.sign(then)
    return log


NEXT = NoteSigner(ORIGIN, SigningKey(bytes(range(2, 34))))


def test_a_rotation_is_followed_from_the_first_key():
    assert verified(rotated(SIGNER, NEXT, then=NEXT)).findings == ()


@pytest.mark.parametrize("signers", [[SIGNER], [NEXT]])
def test_a_rotation_that_both_keys_did_not_sign_is_not_followed(signers):
    assert kinds(verified(rotated(*signers, then=NEXT)))[0] == ("altered", 4)


def test_the_old_key_signs_nothing_after_its_rotation():
    log = rotated(SIGNER, NEXT, then=SIGNER)
    assert kinds(verified(log)) == [("altered", 5)]
    old = Verifier(SIGNER.key).hints(0)
    verifier = Verifier(SIGNER.key)
    for stored in stretches(log):
        verifier.join(check_stretch(stored, old))
    assert kinds(verifier.finish()) == [("altered", 5)]


# ---- the report


def test_findings_are_capped_and_the_first_place_is_kept():
    log = made(1, every=1000)
    for _ in range(300):
        log.append({"type": "action"}, "log")
    log.sign()
    report = verified(log)
    assert (len(report.findings), report.unlisted) == (MAX_FINDINGS, 300 - MAX_FINDINGS)
    assert report.findings[0].seq == report.good_up_to == 2


def test_a_report_says_the_same_as_json():
    log = made(3)
    value = verified(log, pins=[log.notes[3]], own_key=True).to_dict()
    assert json.loads(json.dumps(value)) == value
    assert value["verdict"] == "verified and anchored up to 4"
    assert "log's own word" in " ".join(value["words"])


def test_no_verdict_is_a_bare_yes():
    for report in (verified(made(3)), verified(made(3), pins=[made(3).notes[3]]), verified(MadeLog())):
        assert report.verdict.lower() not in {"ok", "valid", "verified", "true"}


def test_the_frontier_of_joined_stretches_is_the_trees():
    log = made(STRETCH_ENTRIES * 3 + 1, every=10_000)
    tree = Frontier()
    tree.extend(log.hashes)
    assert verified(log).root == tree.root()
