"""The proof of the log's keys is asked for at any moment: while entries are sealed, and while a rotation is being committed."""

from ledger.core.entry import parse_entry
from ledger.core.keyhistory import CREATED, KEY_TYPES, ROTATED, parse_history

BY = "token:admin"


def test_entries_that_are_sealed_while_they_are_read_are_read_on_in_their_segment(log):
    log.rotate_key(by=BY)
    log.seal()
    log.rotate_key(by=BY)
    reading = log._store.own_entries(KEY_TYPES)
    found = [next(reading)]
    log.seal()
    found += reading
    assert [parse_entry(entry).members["type"] for entry in found] == [CREATED, ROTATED, ROTATED]


def test_while_a_rotation_is_committed_the_proof_is_of_the_keys_before_and_then_of_all(log, monkeypatch):
    log.rotate_key(by=BY)
    before, accept, meanwhile = log.keys, log._written.accept, []

    def accepting(*durable: object) -> None:
        meanwhile.append(log.key_proof())
        accept(*durable)

    log._proved = None  # nobody has asked yet
    monkeypatch.setattr(log._written, "accept", accepting)
    log.rotate_key(by=BY)
    assert parse_history(meanwhile[0], before.first) == before
    assert parse_history(log.key_proof(), before.first) == log.keys
    assert len(log.keys.terms) == len(before.terms) + 1
