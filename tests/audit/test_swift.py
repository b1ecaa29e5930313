"""What is read from Arrow's buffers says "sound" only of what the careful way finds nothing in, and then the same."""

import random
from itertools import pairwise

import pyarrow as pa
import pytest

from ledger.audit.swift import COLUMNS, Part, plain_rows
from ledger.audit.swift import sound_stretch as sound_parts
from ledger.core.chain import Stored
from ledger.core.ed25519 import SigningKey
from ledger.core.merkle import leaf_hash
from ledger.core.stretch import STRETCH_ENTRIES, Sound, check_sound, check_stretch
from ledger.core.text import format_base64
from ledger.core.verify import Verifier
from tests.core.test_verify import SIGNER, MadeLog

AGENT = SigningKey(bytes(range(1, 33)))


def a_log() -> MadeLog:
    log, dice = MadeLog(), random.Random(3)
    log.own("log.access_granted", {"log.key_id": "a", "log.public_key": format_base64(AGENT.public)})
    while len(log.entries) < STRETCH_ENTRIES + 5:
        if dice.random() < 0.01:
            log.own("log.query_run", {"log.n": 1})
        else:
            submitter = dice.choice(["token:a", "token:b", *(f"token:{n}" for n in range(20))])
            log.action(submitter=submitter, key="a" if dice.random() < 0.02 else None)
        if dice.random() < 0.01:
            log.sign()
    log.sign()
    return log


@pytest.fixture(scope="module")
def log() -> MadeLog:
    return a_log()


def table_of(log: MadeLog, entries: list[bytes] | None = None, hashes: list[bytes] | None = None) -> pa.Table:
    entries = entries or log.entries
    notes = [log.notes[seq].decode() if seq in log.notes else None for seq in range(len(entries))]
    columns = [
        pa.array(range(len(entries)), pa.uint64()),
        pa.array(hashes or log.hashes, pa.binary()),
        pa.array(entries, pa.binary()).cast(pa.string()),
        pa.array(notes, pa.string()),
    ]
    return pa.table(columns, names=list(COLUMNS))


def sound_stretch(start: int, stop: int, table: pa.Table, *cuts: int) -> Sound | None:
    """Of a table whose row groups are cut there."""
    parts = []
    for low, high in pairwise([0, *(cuts or (700,)), table.num_rows]):
        if rows := plain_rows(start + low, table.slice(low, high - low)):
            parts.append(Part(rows, start + low, start + high))
    return sound_parts(start, stop, parts)


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_sound_stretch_gives_the_outcome_of_the_careful_way(log: MadeLog, ahead: int):
    count = STRETCH_ENTRIES
    hints = Verifier(SIGNER.key).hints(0)._replace(forms=False, marks=(5, 700), leaves=(3,))
    sound = sound_stretch(0, count, table_of(log).slice(0, count + ahead))
    assert sound is not None
    notes = {seq: note for seq, note in log.notes.items() if seq < count}
    stored = Stored(0, log.entries[:count], log.hashes[:count], notes, log.entries[count : count + ahead])
    swift, careful = check_sound(sound, hints), check_stretch(stored, hints)
    assert len(sound.telling) == sum(
        b'"signature":' in e or b'"submitter":"log"' in e for e in stored.entries
    )
    # Which entries are read besides those that tell something, for their time, is each one's own affair.
    assert swift == careful._replace(first_time=swift.first_time, last_time=swift.last_time)


def test_whatever_is_altered_is_not_sound(log: MadeLog):
    count, dice = STRETCH_ENTRIES, random.Random(5)
    assert sound_stretch(0, count, table_of(log)) is not None
    for _ in range(40):
        entries, hashes = log.entries.copy(), log.hashes.copy()
        seq = dice.randrange(count)
        if dice.random() < 0.5:
            data = bytearray(entries[seq])
            data[dice.randrange(len(data))] ^= 1
            entries[seq] = bytes(data)
        else:
            hashes[seq] = bytes(32)
        assert sound_stretch(0, count, table_of(log, entries, hashes)) is None


def test_what_is_missing_short_or_out_of_place_is_not_sound(log: MadeLog):
    count, table = STRETCH_ENTRIES, table_of(log)
    assert sound_stretch(0, count, table.slice(0, count - 1)) is None
    assert sound_stretch(0, count, table.slice(1)) is None
    gone = [None if seq == 9 else entry.decode() for seq, entry in enumerate(log.entries)]
    assert sound_stretch(0, count, table.set_column(2, "entry", pa.array(gone))) is None
    short = ["{}" if seq == 9 else entry.decode() for seq, entry in enumerate(log.entries)]
    assert sound_stretch(0, count, table.set_column(2, "entry", pa.array(short))) is None
    wide = [digest + b"x" if seq == 9 else digest for seq, digest in enumerate(log.hashes)]
    assert sound_stretch(0, count, table.set_column(1, "hash", pa.array(wide))) is None


def test_a_chain_that_begins_anew_is_not_sound_wherever_the_row_groups_are_cut(log: MadeLog):
    """Each entry from there on fits its hash and the one before it: what alone is wrong is one link."""
    count = STRETCH_ENTRIES
    for broken in (1, 699, 700, 701, count - 1, count):
        entries, hashes, prev = log.entries[:broken], log.hashes[:broken], bytes(32)
        for entry in log.entries[broken:]:
            entries.append(b'{"prev":"' + prev.hex().encode() + entry[73:])
            hashes.append(prev := leaf_hash(entries[-1]))
        for cut in (1, 699, 700, 701, count - 1, count, count + 1):
            assert sound_stretch(0, count, table_of(log), cut) is not None
            assert sound_stretch(0, count, table_of(log, entries, hashes), cut) is None


def test_what_stands_in_front_of_the_wrong_member_is_not_taken_for_the_hash_before(log: MadeLog):
    """The hash before stands in the entry, and not where the format has it."""
    count, seq = STRETCH_ENTRIES, 9
    entries, hashes = log.entries.copy(), log.hashes.copy()
    right = b'"prev":"' + hashes[seq - 1].hex().encode() + b'"'
    for wrong in (b'{"a":1,' + right, b"{ " + right, b'{"prev":"' + b"0" * 64 + b'",' + right):
        entries[seq] = wrong + log.entries[seq][74:]
        hashes[seq] = leaf_hash(entries[seq])
        assert sound_stretch(0, seq + 1, table_of(log, entries, hashes)) is None
        assert sound_stretch(0, count, table_of(log, entries, hashes)) is None


def test_parts_that_leave_an_entry_out_or_give_it_twice_are_not_sound(log: MadeLog):
    table = table_of(log)
    rows = plain_rows(0, table)
    assert rows is not None
    assert sound_parts(0, 20, [Part(rows, 0, 9), Part(rows, 9, 21)]) is not None
    assert sound_parts(0, 20, [Part(rows, 0, 9), Part(rows, 10, 21)]) is None
    assert sound_parts(0, 20, [Part(rows, 0, 9), Part(rows, 8, 21)]) is None
    assert sound_parts(0, 20, [Part(rows, 1, 21)]) is None
    assert sound_parts(0, 20, [Part(rows, 0, 19)]) is None
    assert sound_parts(0, 20, []) is None
