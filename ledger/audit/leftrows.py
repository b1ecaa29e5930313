"""Rows that were sealed and stand in a hot file still, as a crash may leave them: they have to be the same, with their contents.

What was erased since may stand there: it is as on the day it was written, and waits for the next start, which deletes the file.
"""

from collections.abc import Callable

from ledger.audit.beside import Committed
from ledger.audit.readonly import ReadOnly
from ledger.core.entry import parse_entry
from ledger.core.errors import LedgerError
from ledger.core.merkle import leaf_hash
from ledger.core.places import Places
from ledger.core.report import Findings, Kind


def check_left(
    source: ReadOnly, name: str, end: int, sealed_hash: Callable[[int], bytes], findings: Findings
) -> Places:
    """Compare them with what is sealed; returns the entries and members of contents that stand there.

    Args:
        source: the hot file.
        name: how to name it.
        end: where the sealed part ends.
        sealed_hash: the leaf hash of a sealed entry; empty where there is none.
        findings: where to report.

    Raises:
        UnreadableError: it cannot be read.
    """
    left = Places()
    for batch in source.sealed_rows(end):
        seqs = batch.column("seq").to_pylist()
        rows = zip(seqs, batch.column("hash").to_pylist(), batch.column("entry").to_pylist(), strict=True)
        for seq, digest, entry in rows:
            if not digest == sealed_hash(seq) == leaf_hash((entry or "").encode()):
                detail = "it was sealed, and stands there with other bytes or another hash"
                findings.add(Kind.ALTERED, f"{name}, entry {seq}", detail, seq)
        _check_contents(source, name, (min(seqs), max(seqs) + 1), findings, left)
    return left


def _check_contents(
    source: ReadOnly, name: str, within: tuple[int, int], findings: Findings, left: Places
) -> None:
    table = source.rows(*within)
    contents = Committed.of(source.contents(*within, table))
    seqs, entries = table.column("seq").to_pylist(), table.column("entry").to_pylist()
    for row, (seq, entry) in enumerate(zip(seqs, entries, strict=True)):
        for at in range(contents.ends[row], contents.ends[row + 1]):
            member = str(contents.members[at])
            if contents.digests[at] == _committed(entry, member):
                left.add(seq, member)
                left.add(seq)
            else:
                detail = "it was sealed, and a content stands there that the entry does not commit to"
                findings.add(Kind.ALTERED, f"{name}, contents of entry {seq}, {member}", detail, seq)


def _committed(entry: str | None, member: str) -> object:
    try:
        record = parse_entry((entry or "").encode()).members
    except LedgerError:
        return None
    facet, _, name = member.partition(".")
    part = record.get(facet)
    return part.get(name) if isinstance(part, dict) else None
