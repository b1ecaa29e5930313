"""Writes an evidence file: a zip that is the same bytes whenever the same is asked of the same log at the same time."""

import tempfile
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, Final

from ledger.core import canonical, evidence
from ledger.core.errors import Code, LedgerError
from ledger.core.evidence import FileDigest, Manifest, entry_file
from ledger.evidence.gather import Gathered, Shown
from ledger.evidence.report import Report
from ledger.log.log import Log
from ledger.records.resources import verifying_page

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can say
_UNIX: Final = 3
_PLAIN_FILE: Final = 0o100644 << 16


@dataclass(frozen=True, slots=True)
class Made:
    """An evidence file.

    Attributes:
        file: its bytes, from the beginning; it has no name and is gone when it is closed.
        size_bytes: its length.
        manifest: what the log signed.
        digest: SHA-256 of manifest.txt, 64 hex digits: what the log's own entry says.
        disclosed: how many contents and persons are disclosed.
    """

    file: IO[bytes]
    size_bytes: int
    manifest: Manifest
    digest: str
    disclosed: int


def make(gathered: Gathered, made_at: str, *, max_bytes: int = evidence.MAX_BYTES) -> Made:
    """Make an evidence file. Its files stand in the order of their names, but for files.json and manifest.txt at the end.

    Raises:
        LedgerError: `evidence-too-large`, `retired`.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - who asked reads it
    try:
        writing = _Writing(file, max_bytes)
        with writing.archive:
            digest, manifest = _write(writing, gathered, made_at)
        size = file.seek(0, 2)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return Made(file, size, manifest, digest, writing.disclosed)


def record(log: Log, made: Made, gathered: Gathered) -> int:
    """Say in the log that evidence was made, before anyone has it. Returns the entry's seq.

    Not what was asked: that may name a person, and an entry is for ever. The manifest's digest covers it.

    Raises:
        LedgerError: why it was not written.
    """
    said = {
        "log.by": gathered.request.by,
        "log.disclosed": made.disclosed,
        "log.entries": made.manifest.entries,
        "log.manifest": made.digest,
        "log.size": made.manifest.size,
    }
    return log.append_own("log.evidence_made", said).seq


class _Writing:
    """The archive as far as it is written, and what was put into it."""

    def __init__(self, file: IO[bytes], max_bytes: int) -> None:
        self.archive = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=False)
        self.listed: dict[str, FileDigest] = {}
        self.disclosed = 0
        self._left = self._max = max_bytes

    def put(self, name: str, data: bytes) -> None:
        """Write one file.

        Raises:
            LedgerError: `evidence-too-large`.
        """
        self._left -= len(data)
        if self._left < 0 or len(data) > evidence.MAX_FILE_BYTES:
            raise LedgerError(
                Code.EVIDENCE_TOO_LARGE,
                f"what was chosen is more than {self._max} bytes: choose fewer entries, or disclose fewer contents",
                limit=self._max,
            )
        info = zipfile.ZipInfo(name, _EPOCH)
        info.create_system, info.external_attr = _UNIX, _PLAIN_FILE
        self.archive.writestr(info, data)
        self.listed[name] = evidence.digest_of(data)


def _write(writing: _Writing, gathered: Gathered, made_at: str) -> tuple[str, Manifest]:
    log, head = gathered.log, gathered.head
    signer = log.signer  # before the proof of the keys, which then has it
    writing.put(evidence.README, _readme(gathered))
    writing.put(evidence.CHECKPOINT, head.note)
    report = Report()
    for shown in gathered.entries():
        _put_entry(writing, shown)
        report.take(shown)
    writing.put(evidence.VKEY, f"{log.vkey}\n".encode())
    if len(log.keys.terms) > 1:
        writing.put(evidence.KEYS, log.key_proof())
    writing.put(evidence.REPORT, report.page(gathered, made_at))
    writing.put(evidence.REQUEST, canonical.dumps(gathered.asked()) + b"\n")
    if gathered.answer is not None:
        writing.put(evidence.RESULT, gathered.answer.body)
    writing.put(evidence.PAGE, verifying_page())
    files = evidence.format_files(writing.listed)
    writing.put(evidence.FILES, files)
    digest = sha256(files).hexdigest()
    manifest = Manifest(
        log.origin, head.size, head.root, made_at, gathered.request.by, len(gathered.seqs), digest
    )
    note = evidence.sign_manifest(manifest, signer)
    writing.put(evidence.MANIFEST, note)
    return sha256(note).hexdigest(), manifest


def _put_entry(writing: _Writing, shown: Shown) -> None:
    seq = shown.entry.seq
    if shown.contents is not None:
        writing.put(entry_file(seq, evidence.CONTENTS), evidence.format_contents(shown.contents))
        writing.disclosed += len(shown.contents.disclosed)
    writing.put(entry_file(seq, evidence.ENTRY), shown.data)
    writing.put(entry_file(seq, evidence.RECEIPT), shown.receipt)


def _readme(gathered: Gathered) -> bytes:
    return f"""Evidence from the audit log {gathered.log.origin}

report.html      read this first: what was asked, when things happened, every entry; it prints
verify.html      checks everything else: open it in a browser and drop this zip on it. It sends nothing anywhere
manifest.txt     signed by the log: who asked for this, when, and the digest of files.json
files.json       the SHA-256 of every other file
entries/         one folder for each entry: entry.json (what the log signed for), receipt.txt (the proof of its place),
                 contents.json (what is disclosed beside it, with the salts that its commitments are made with)
checkpoint.txt   the log's signed checkpoint that the receipts lead to
log.vkey         the log's first verifier key; keys.json, where it has had others, proves those. It proves nothing by itself: compare it with one from somebody you trust
request.json     what was asked; result.json, where SQL was: its answer

The page came with the file. Whoever does not trust that takes it, or the command, from elsewhere:
agent-ledger verify <this zip> --vkey <the log's verifier key>
""".encode()
