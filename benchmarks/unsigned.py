"""The same service with hashing, commitments and signatures taken out: what those cost is what this is faster by.

Everything else stays: parsing, checking, canonical form, sequence numbers, the database, its fsync, the anchor's write.
"""
# ruff: noqa: ARG005, SLF001 - what stands in for a function takes its arguments

from benchmarks.records import texts
from benchmarks.signed import serve
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.merkle import Frontier
from ledger.core.note import parse_note
from ledger.log import persons, plan, recover, sequencer, tree
from ledger.records import commit
from ledger.records.prepare import prepare
from ledger.records.prepared import Person

ZERO_HEX, ZERO = "0" * 64, bytes(32)


class _NoFrontier(Frontier):
    def append(self, leaf):  # noqa: ARG002
        self.size += 1

    def extend(self, hashes):
        self.size += len(hashes)

    def root(self):
        return ZERO


class _NoHash:
    def hexdigest(self):
        return ZERO_HEX


_NO_HASH = _NoHash()


def _take_out():
    commit.sha256 = lambda data: _NO_HASH
    commit.os.urandom = bytes  # no salts
    plan.leaf_hash = lambda entry: ZERO
    sequencer._check_again = lambda rows: None
    tree.Frontier = _NoFrontier
    tree.root_of = lambda hashes: ZERO
    SigningKey.sign = lambda self, message: bytes(64)
    made = {}
    persons.Persons.person = lambda self, value: made.setdefault(
        value, Person(f"{len(made):064x}", bytes(16), value, "log")
    )
    recover.open_checkpoint = lambda note, keys, origin: parse_checkpoint(parse_note(note).text)


def _check():
    """What is taken out is taken out by name: a name that is no longer used would leave the baseline as slow as the ledger."""
    made = prepare(
        texts(1)[0].encode(),
        submitter="x",
        persons=persons.Persons(lambda _: None),
        origin="x",
        agent_key=lambda key_id: None,
    )
    if made.record.count(ZERO_HEX.encode()) < len(made.contents):
        raise SystemExit("commitments are still made: the unsigned service is not unsigned")


if __name__ == "__main__":
    _take_out()
    _check()
    serve()
