"""Verifies everything that is stored of a log, as an outsider would: shares only `core` with the writer.

`audit` reads a stopped log's folder, `audit_live` a running one. Every column of every table is either checked against the signed
bytes, or reported as something that the log does not cover.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ledger.audit.database import Database
from ledger.audit.folder import Folder
from ledger.audit.joiner import SAVE_STRETCHES, Joiner, Progress, State, check_beside
from ledger.audit.live import Live, Running, head_with
from ledger.audit.manifests import Pace
from ledger.audit.readonly import UnreadableError, refuse_running
from ledger.audit.runs import check_runs
from ledger.audit.spread import check_all
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import VerifierKey, parse_vkey
from ledger.core.report import MAX_FINDINGS, Findings, Kind, Level, Report
from ledger.core.stretch import STRETCH_ENTRIES
from ledger.core.verification import Verification
from ledger.core.verify import Pin, Verifier
from ledger.storage.anchor import HeadAnchor, default_anchor
from ledger.storage.layout import DATABASE_1, VERSION, read_version, refuse_other_version, segment_folders
from ledger.storage.segment import Fetch

__all__ = ["Asked", "Verified", "audit", "audit_live", "check_beside", "verify_folder", "verify_live"]


@dataclass(frozen=True)
class Asked:
    """What a verification is asked to do.

    Attributes:
        vkey: any of the log's keys, got elsewhere; else what entry 0 says is taken, and the report says so.
        pins: checkpoints kept elsewhere.
        receipts: receipts kept elsewhere.
        anchor: a head anchor that is kept out of reach of the log's machine; then it counts as an anchor. The default one, beside the
            folder, is compared too where it is there, but does not count: who can rewrite the one can rewrite the other.
        level: how much to check.
        sealed_only: leave the hot part alone, which a running server writes; then nothing beyond the sealed part is compared.
        since: the record of a verification to begin from; whoever gives it believes it.
        processes: how many to spread the work over; where files are fetched, one reads them all.
        progress: told entries done and in all.
        pace: told how many bytes were read, of sealed files; it may sleep.
        save: told the log's key and the state (`unfinished` makes a record of them), every so many stretches.
        save_stretches: how many.
        fetch: brings a segment's file that is not in its folder (`ledger.upkeep.offload`); it is compared with the manifest like any other.
        here: at level `files`, leave out the large files of segments that have none of them here: they are in an object store.
    """

    vkey: VerifierKey | None = None
    pins: Sequence[Pin | bytes] = ()
    receipts: Sequence[bytes] = ()
    anchor: Path | None = None
    level: Level = Level.EVERYTHING
    sealed_only: bool = False
    since: Verification | None = None
    processes: int = 1
    progress: Progress | None = None
    pace: Pace | None = None
    save: Callable[[VerifierKey, State], None] | None = field(default=None, compare=False)
    save_stretches: int = SAVE_STRETCHES
    fetch: Fetch | None = field(default=None, compare=False)
    here: bool = False


class Verified(NamedTuple):
    """What came of it.

    Attributes:
        report: the report.
        vkey: the log's first key; None where none could be found.
        state: where the verification stood at the last stretch boundary; None where nothing could be read.
    """

    report: Report
    vkey: VerifierKey | None = None
    state: State | None = None


def verify_folder(data: Path, **asked: Any) -> Report:
    """`audit` of a folder; the members of `Asked` by name."""
    return audit(data, _asked(asked)).report


def verify_live(log: Running, **asked: Any) -> Report:
    """`audit_live` of a log; the members of `Asked` by name."""
    return audit_live(log, _asked(asked)).report


def _asked(asked: dict[str, Any]) -> Asked:
    several: dict[str, Any] = {name: tuple(asked[name]) for name in ("pins", "receipts") if name in asked}
    return Asked(**{**asked, **several})


def audit(data: Path, asked: Asked) -> Verified:
    """Verify the folder of a stopped log. Nothing in it is changed.

    Raises:
        LedgerError: `not-found` where there is no log, `locked` where its writer runs, `origin-mismatch` where the record to begin from is
            of another log.
        OSError: the head anchor cannot be read.
    """
    version = read_version(data)
    if version > VERSION:
        refuse_other_version(data)
    if not asked.sealed_only or version == 1:
        refuse_running(data)
    pins = [*asked.pins, *_anchor_pin(asked.anchor or default_anchor(data), outside=asked.anchor is not None)]
    try:
        return _audit_folder(data, asked, pins) if version > 1 else _audit_database(data, asked, pins)
    except UnreadableError as error:
        return Verified(_unreadable(data.name, str(error)))


def _audit_folder(data: Path, asked: Asked, pins: Sequence[Pin | bytes]) -> Verified:
    origin = asked.vkey.name if asked.vkey else origin_of(data)
    opener = partial(Folder, data, origin, sealed_only=asked.sealed_only, fetch=asked.fetch)
    with contextlib.closing(opener()) as folder:
        key = _first(asked.vkey, folder.keys()) or key_of(folder.genesis())
        if key is None:
            findings = folder.findings
            detail = "it names no verifier key that could be used; give the one you know"
            findings.add(Kind.UNVERIFIABLE, "entry 0", detail, 0)
            return Verified(_only(findings))
        if asked.level is Level.FILES:
            if not folder.segments.found and not folder.findings.kept:
                raise _nothing_sealed(data)
            return Verified(_files(folder, asked, key), key)
        joiner = begin(asked, key, pins, folder.end, own_key=asked.vkey is None)
        verifier = joiner.verifier
        folder.pace = asked.pace
        starts = folder.prepare(verifier.size)
        joiner.waits(folder.left)
        verifier.findings.take(folder.findings.kept, folder.findings.count - len(folder.findings.kept))
        check_all(
            folder, partial(opener, end=folder.end), starts, joiner, 1 if asked.fetch else asked.processes
        )
        folder.segments.check_signatures(verifier.history, verifier.findings)
        if asked.level is Level.EVERYTHING:
            folder.segments.check_files(verifier.findings, base=joiner.begun_at, pace=asked.pace)
            check_runs(data, folder.segments, verifier.findings)
        verified = finish(joiner, key)
        return verified._replace(
            report=replace(verified.report, leftovers=tuple(folder.segments.leftovers[:MAX_FINDINGS]))
        )


def _files(folder: Folder, asked: Asked, key: VerifierKey) -> Report:
    """Whole files against the digests of signed manifests."""
    segments, findings = folder.segments, folder.findings
    segments.check_signatures(KeyHistory.begin(key), findings, rotated=folder.rotated_at())
    segments.check_files(findings, progress=asked.progress, pace=asked.pace, here=asked.here)
    last = segments.found[-1].manifest if segments.found else None
    doubt = findings.first_seq
    listed = findings.listed()
    return Report(
        origin=key.name,
        size=segments.end,
        root=last.root if last else b"",
        entries_checked=0,
        findings=listed,
        unlisted=findings.count - len(listed),
        good_up_to=segments.end if doubt is None else min(doubt, segments.end),
        level=Level.FILES,
        own_key=asked.vkey is None,
        leftovers=tuple(segments.leftovers[:MAX_FINDINGS]),
    )


def _audit_database(data: Path, asked: Asked, pins: Sequence[Pin | bytes]) -> Verified:
    if asked.level is Level.FILES:
        raise _nothing_sealed(data)
    with contextlib.closing(Database(data / DATABASE_1)) as database:
        return _audit_opened(database, data / DATABASE_1, asked, pins)


def _nothing_sealed(data: Path) -> LedgerError:
    return LedgerError(
        Code.INVALID_PARAMETER,
        f"{data} has no sealed segments, so there are no manifests whose digests could be compared: verify it at another level",
        path="level",
    )


def _audit_opened(database: Database, path: Path, asked: Asked, pins: Sequence[Pin | bytes]) -> Verified:
    findings = Findings()
    if not database.source.check_shape(findings):
        return Verified(_only(findings))
    key = asked.vkey or key_of(database.source.entry(0))
    if key is None:
        return Verified(
            _unreadable("entry 0", "it names no verifier key that could be used; give the one you know")
        )
    joiner = begin(asked, key, pins, database.find_end(), own_key=asked.vkey is None)
    starts = database.prepare(joiner.verifier.size)
    joiner.verifier.findings.take([*findings.kept, *database.findings.kept])
    check_all(database, partial(Database, path, database.end), starts, joiner, asked.processes)
    return finish(joiner, key)


def begin(asked: Asked, key: VerifierKey, pins: Sequence[Pin | bytes], end: int, *, own_key: bool) -> Joiner:
    """A joiner for a log that ends at `end`, at its beginning or where a record has come to.

    Raises:
        LedgerError: `origin-mismatch`, `malformed-note`: the record is of no use for this log.
    """
    since = asked.since
    verifier = Verifier(
        key,
        pins=pins,
        receipts=asked.receipts,
        level=asked.level,
        own_key=own_key,
        joined=since.joined() if since else None,
        rested=since.rested() if since else None,
        goes_on=asked.sealed_only,
        known=asked.vkey,
    )
    return Joiner(
        verifier,
        end,
        asked.progress,
        begin=since.state if since else None,
        beside=asked.level is not Level.HASHES,
        save=partial(asked.save, key) if asked.save else None,
        save_stretches=asked.save_stretches,
    )


def finish(joiner: Joiner, key: VerifierKey) -> Verified:
    """The end of a verification."""
    return Verified(joiner.finish(), key, joiner.last_state)


# ---- a running log


def audit_live(log: Running, asked: Asked) -> Verified:
    """Verify a running log up to its newest checkpoint at the moment of the call.

    It reads through the writer's own database, which cannot be shared: for an outsider's view stop it and use `audit`, or read its
    tiles (`ledger.client.sources`).

    Raises:
        LedgerError: `storage-failed`, when the database cannot be read at all; as `begin`.
    """
    anchor = list(_anchor_pin(Path(log.anchored()), outside=False))
    live = Live(log, head_with(log, anchor))
    key = _first(asked.vkey, log.keys) or log.keys.first
    joiner = begin(asked, key, [*asked.pins, *anchor], live.end, own_key=asked.vkey is None)
    starts = range(joiner.verifier.size, live.end, STRETCH_ENTRIES)
    check_all(live, _nobody_else, starts, joiner, 1)
    joiner.hear(live.said_since())
    return finish(joiner, key)


def _nobody_else() -> Live:
    raise LedgerError(Code.LOCKED, "a running log is read by its own process")


# ---- what is compared, and what cannot be read


def _anchor_pin(path: Path, *, outside: bool) -> Iterator[Pin]:
    try:
        note = HeadAnchor(path).read()
    except LedgerError as error:
        note, path = b"", Path(f"{path} ({error.detail})")  # reported as the anchor that could not be read
    if note is not None:
        yield Pin(note, f"head anchor {path}", outside)
    elif outside:
        raise LedgerError(Code.NOT_FOUND, f"there is no head anchor at {path}")


def keys_of(data: Path, *, sealed_only: bool = False, fetch: Fetch | None = None) -> KeyHistory | None:
    """The keys that a stopped log's entries say it had: their word, which a verification follows. None where they say nothing.

    Raises:
        LedgerError: `not-found`.
    """
    if read_version(data) == 1:
        return None
    try:
        with contextlib.closing(
            Folder(data, origin_of(data), sealed_only=sealed_only, fetch=fetch)
        ) as folder:
            return folder.keys()
    except UnreadableError:
        return None


def origin_of(data: Path) -> str:
    """The log's name as the first manifest or hot file has it; "" where nothing tells."""
    for folder in segment_folders(data):
        for path in sorted(folder.glob("manifest-*")):
            lines = path.read_bytes()[:4096].split(b"\n")
            return lines[1].decode(errors="replace") if len(lines) > 1 else ""
    return ""


def _first(known: VerifierKey | None, keys: KeyHistory | None) -> VerifierKey | None:
    """The key to begin with where this one is known: the first of those that the log says it had, if it is among them."""
    return keys.first if known is not None and keys is not None and known in keys.keys else known


def key_of(genesis: bytes | None) -> VerifierKey | None:
    """The key that entry 0 names: the log's own word."""
    try:
        ext: Any = parse_entry(genesis or b"").members.get("ext")
        return parse_vkey(ext["log.vkey"])
    except (LedgerError, TypeError, KeyError, AttributeError):
        return None


def _unreadable(where: str, detail: str) -> Report:
    findings = Findings()
    findings.add(Kind.UNVERIFIABLE, where, detail, 0)
    return _only(findings)


def _only(findings: Findings) -> Report:
    """The report where nothing could be checked."""
    return Report("", 0, b"", 0, findings=findings.listed(), level=Level.EVERYTHING, own_key=True)
