"""Whether a backup is one that a restore accepts: checked before it is signed, and without reading every entry.

A restore verifies everything, and what is not stored must be explained by an entry of the log that is in the backup. What is gone only ever
grows, so a segment lacks no more than the own entries in the backup say if, and only if, its manifest counts no more. A person whom
the backup before has is stored or was erased; one whom a segment names that is new since is stored, was erased, or was never given.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from ledger.audit.manifests import find_segments
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.report import Findings
from ledger.log.keeping import CONTENTS_RETIRED, ENTRIES_RETIRED, ERASED, Keeping
from ledger.records.members import PERSONS
from ledger.storage.layout import PERSONS as PERSONS_FILE
from ledger.storage.layout import segment_path
from ledger.storage.manifest import FACTS, OWN, Manifest
from ledger.storage.removed import Removed
from ledger.upkeep.people import lost_persons, stored_persons

WITHHELD: Final = "log.content_withheld"
REASONS: Final = (ERASED, CONTENTS_RETIRED, ENTRIES_RETIRED)


class UnexplainedError(Exception):
    """Something is not stored, and the entry that says why is not in the backup."""


def refuse_incomplete(
    folder: Path,
    manifests: Sequence[Manifest],
    keys: KeyHistory,
    before: Path | None,
    known: Collection[int],
) -> None:
    """Look at a backup that is about to be signed.

    Args:
        folder: the backup.
        manifests: those in force in it.
        keys: the log's.
        before: the backup before.
        known: the first entries of the segments that it has.

    Raises:
        UnexplainedError: something was erased or retired while it was made.
        LedgerError: `evidence-altered`: its manifests are not those of one log; `storage-failed`.
    """
    findings = Findings()
    find_segments(folder, keys.origin, findings).check_signatures(keys, findings)
    for finding in findings.kept:
        raise LedgerError(Code.EVIDENCE_ALTERED, f"nothing is backed up: {finding.where}: {finding.detail}")
    removed, withheld = _told(folder, manifests)
    for manifest in manifests:
        told = removed.counts(manifest.start, manifest.end)
        if manifest.retired.entries > told.entries or manifest.retired.contents > told.contents:
            raise UnexplainedError(f"the entries {manifest.start} to {manifest.end - 1}")
    lost = lost_persons(folder / PERSONS_FILE, before / PERSONS_FILE) if before else None
    if lost is not None and not removed.persons.issuperset(lost):
        raise UnexplainedError("a person whom the backup before has")
    for manifest in manifests:
        if lost is None or manifest.start not in known:
            _refuse_unknown_persons(folder, manifest, removed, withheld)


def _told(folder: Path, manifests: Sequence[Manifest]) -> tuple[Removed, set[tuple[int, str]]]:
    """What the own entries in the backup say: what is gone, and where a person was never given."""
    keeping, withheld = Keeping(), set()
    for manifest in manifests:
        for line in (segment_path(folder, manifest.start) / manifest.file(OWN)).read_bytes().splitlines():
            entry = parse_entry(line)
            kind, ext = str(entry.members.get("type")), entry.members.get("ext")
            if not isinstance(ext, dict):
                continue
            if kind in REASONS:
                keeping = keeping.after(kind, ext, entry.seq)
            elif kind == WITHHELD and isinstance(places := ext.get("log.withheld"), list):
                withheld |= {
                    (seq, member)
                    for seq, member in (pair for pair in places if isinstance(pair, list) and len(pair) == 2)  # noqa: PLR2004
                    if isinstance(seq, int) and member in PERSONS
                }
    return keeping.removed, withheld


def _refuse_unknown_persons(
    folder: Path, manifest: Manifest, removed: Removed, withheld: set[tuple[int, str]]
) -> None:
    columns = {member: f"{member.replace('.', '_')}_commitment" for member in PERSONS}
    facts = segment_path(folder, manifest.start) / manifest.file(FACTS)
    with pq.ParquetFile(str(facts), page_checksum_verification=True) as file:
        for batch in file.iter_batches(columns=["seq", *columns.values()], use_threads=False):
            for member, column in columns.items():
                named = pc.drop_null(pc.unique(batch.column(column))).to_pylist()
                stored = stored_persons(folder / PERSONS_FILE, named)
                unknown = set(named) - stored - removed.persons
                if not unknown:
                    continue
                rows = zip(batch.column("seq").to_pylist(), batch.column(column).to_pylist(), strict=True)
                for seq, digest in rows:
                    if digest in unknown and not (
                        (seq, member) in withheld or seq in removed.erased.get(member, ())
                    ):
                        raise UnexplainedError(f"a person whom entry {seq} names ({member})")
