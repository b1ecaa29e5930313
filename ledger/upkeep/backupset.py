"""What a backup looks like: a folder of its own for each, shaped like a data folder in which everything is sealed.

    <set>/20261121T093000Z-1200000/      one backup: made as `.making`, renamed as the last step
        backup.note                      a signed note: what it is of, and the digest of each file beside segments
        segments.json                    {"<start>": {"generation": n, "manifest": "<sha256>"}}, one line of canonical JSON
        storage.json, persons.sqlite, log.key where it was asked for, tokens.json of an earlier release
        segments/<start>/                as in the data folder; what did not change is a hard link to the backup before

    agent-ledger backup v1
    <origin>
    {"checkpoint": "<signed note>", "files": {name: {bytes, sha256}}, "made_at": "…", "root": "<hex>", "size": n}

A segment's manifest names its files and their digests, `segments.json` the manifests, the note that list: it stays small however many
segments there are. Everything is signed by the log's own key.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ledger.audit.fsck import origin_of
from ledger.core import canonical
from ledger.core.checkpoint import Checkpoint
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError, VerificationError
from ledger.core.keyhistory import KeyHistory, format_history
from ledger.core.note import NoteSigner, VerifierKey, open_note, parse_vkey, sign_note
from ledger.log.keyproof import stored_keys
from ledger.storage.layout import segment_folders, segment_path
from ledger.storage.manifest import OWN, Manifest, manifest_name, open_manifest
from ledger.storage.segment import Segment

TITLE: Final = "agent-ledger backup v1"
NOTE: Final = "backup.note"
NAME: Final = re.compile(r"\d{8}T\d{6}Z-\d+")
LIST: Final = "segments.json"
MAX_NOTE_BYTES: Final = 1_000_000
MAX_LIST_BYTES: Final = 256 * 1024 * 1024  # two million segments
MAX_ENTRY_BYTES: Final = 65_536


class FileInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: its length, and its SHA-256 in hex."""

    bytes: int
    sha256: str


class SegmentInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One segment: the generation in force, and the SHA-256 of its manifest in hex."""

    generation: int
    manifest: str


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    checkpoint: str
    files: dict[str, FileInfo]
    made_at: str
    root: str
    size: int


class Backup(NamedTuple):
    """A backup that was opened.

    Attributes:
        folder: where it is.
        keys: the log's.
        proof: of them (`ledger.core.keyhistory`).
        head: the checkpoint it is of,
        note: signed.
        made_at: when it was begun, RFC 3339.
        segments: by their first entry, in order.
        files: what is in it beside segments and their list.
    """

    folder: Path
    keys: KeyHistory
    proof: bytes
    head: Checkpoint
    note: bytes
    made_at: str
    segments: Mapping[int, SegmentInfo]
    files: Mapping[str, FileInfo]

    @property
    def vkey(self) -> VerifierKey:
        """The log's first key."""
        return self.keys.first

    def manifest(self, start: int) -> Manifest:
        """The manifest in force of one of its segments.

        Raises:
            LedgerError: `evidence-altered`: it is not the one that the backup's note names; `storage-failed`.
            OSError: it cannot be read.
        """
        told = self.segments[start]
        path = segment_path(self.folder, start) / manifest_name(told.generation)
        data = path.read_bytes()
        if sha256(data).hexdigest() != told.manifest:
            raise LedgerError(Code.EVIDENCE_ALTERED, f"{path} is not the one that {self.folder / NOTE} names")
        return open_manifest(data, self.keys, self.head.origin)

    def there(self, start: int) -> dict[str, tuple[int, str]]:
        """Length and digest of the files it has of the segment from `start` on; none where it has no such segment."""
        if start not in self.segments:
            return {}
        files = self.manifest(start).files
        return {name: (info.bytes, info.sha256) for name, info in files.items()}


def format_list(segments: Mapping[int, SegmentInfo]) -> bytes:
    """The bytes of `segments.json`."""
    return canonical.dumps(msgspec.to_builtins({str(start): info for start, info in segments.items()}))


def sign_backup(
    signer: NoteSigner, keys: KeyHistory, head: bytes, made_at: str, files: Mapping[str, FileInfo]
) -> bytes:
    """The note of a backup.

    Args:
        signer: the log's key in force.
        keys: all of them.
        head: the signed checkpoint that it is of.
        made_at: when it was begun, RFC 3339.
        files: what is in it beside segments, `segments.json` among them.

    Raises:
        LedgerError: `head` is no checkpoint of this log.
    """
    checkpoint = keys.open(head, own=True)
    said = _Said(head.decode(), dict(files), made_at, checkpoint.root.hex(), checkpoint.size)
    line = canonical.dumps(msgspec.to_builtins(said)).decode()
    return sign_note(f"{TITLE}\n{checkpoint.origin}\n{line}\n", signer)


def open_backup(folder: Path, vkey: VerifierKey | None = None) -> Backup:
    """Read a backup's note, check its signature, and read the list of segments. What else it names is not read yet.

    Args:
        folder: one backup, or a set of them: then the newest whole one.
        vkey: any of the log's keys as you know it; else the word of entry 0 in the backup.

    Raises:
        LedgerError: `not-found`: no backup is there; or it is none, or not signed by the log's key; `evidence-altered`: the list is not
            the one that was signed.
        OSError: it cannot be read.
    """
    if not (folder / NOTE).exists():
        found = whole_backups(folder)
        if not found:
            raise LedgerError(
                Code.NOT_FOUND,
                f"there is no {NOTE} in {folder}: it is no backup, or one that was never finished",
            )
        folder = found[-1]
    with (folder / NOTE).open("rb") as stream:
        data = stream.read(MAX_NOTE_BYTES + 1)
    keys, proof = keys_in(folder, vkey)
    text = open_note(data, [keys.current]).text.split("\n")
    if len(text) != 4 or text[0] != TITLE or text[1] != keys.origin:  # noqa: PLR2004 - title, origin, JSON, newline
        raise LedgerError(
            Code.MALFORMED_NOTE, f"{folder / NOTE} is not a backup's note of the log {keys.origin}"
        )
    try:
        canonical.parse_canonical(text[2].encode())
        said = msgspec.json.decode(text[2], type=_Said)
    except (msgspec.MsgspecError, ValueError) as error:
        raise LedgerError(Code.MALFORMED_NOTE, f"{folder / NOTE} cannot be read: {error}") from None
    head = keys.open(said.checkpoint.encode(), own=True)
    if (head.size, head.root.hex()) != (said.size, said.root):
        raise LedgerError(
            Code.MALFORMED_NOTE, f"{folder / NOTE} says another size or root than its checkpoint"
        )
    for name in said.files:
        if "/" in name or name in {"", ".", ".."}:
            raise LedgerError(
                Code.MALFORMED_NOTE, f"{folder / NOTE} names a file outside the backup: {name!a}"
            )
    segments = _read_list(folder / LIST, said.files.pop(LIST, None))
    return Backup(folder, keys, proof, head, said.checkpoint.encode(), said.made_at, segments, said.files)


def _read_list(path: Path, told: FileInfo | None) -> dict[int, SegmentInfo]:
    if told is None or told.bytes > MAX_LIST_BYTES:
        raise LedgerError(Code.MALFORMED_NOTE, f"{path.with_name(NOTE)} names no list of segments")
    with path.open("rb") as stream:
        data = stream.read(max(told.bytes, 0) + 1)
    if FileInfo(len(data), sha256(data).hexdigest()) != told:
        raise LedgerError(
            Code.EVIDENCE_ALTERED,
            f"{path} is not the one that {path.with_name(NOTE)} names: take another backup",
        )
    try:
        canonical.parse_canonical(data)
        listed = msgspec.json.decode(data, type=dict[str, SegmentInfo])
        return {int(start): listed[start] for start in sorted(listed, key=int)}
    except (msgspec.MsgspecError, ValueError) as error:
        raise LedgerError(Code.MALFORMED_NOTE, f"{path} cannot be read: {error}") from None


def whole_backups(place: Path) -> list[Path]:
    """The finished backups of a set, oldest first: a log only grows, and a clock may step back."""
    if not place.is_dir():
        return []
    found = (path for path in place.iterdir() if NAME.fullmatch(path.name) and (path / NOTE).exists())
    return sorted(found, key=_order)


def _order(path: Path) -> tuple[int, str]:
    made, _, size = path.name.partition("-")
    return int(size), made


def keys_in(folder: Path, vkey: VerifierKey | None = None) -> tuple[KeyHistory, bytes]:
    """The keys of the log whose sealed segments lie in a folder, and the proof of them: see `ledger.log.keyproof`.

    Raises:
        LedgerError: `not-found`: nothing says what key the log began with, and none is given; or the proof of its keys does not hold.
    """
    segments: list[Segment] = []
    try:
        origin = origin_of(folder)
        segments.extend(Segment.open(place, keys=None, origin=origin) for place in segment_folders(folder))
        return stored_keys(segments, vkey)
    except VerificationError:
        raise
    except (OSError, LedgerError):  # what is damaged is told by whoever reads it
        first = vkey or _own_word(folder)
        return KeyHistory.begin(first), format_history(first, [])
    finally:
        for segment in segments:
            segment.close()


def _own_word(folder: Path) -> VerifierKey:
    """The key that entry 0 names."""
    try:
        with (segment_path(folder, 0) / OWN).open("rb") as stream:
            ext: Any = parse_entry(stream.readline(MAX_ENTRY_BYTES).rstrip(b"\n")).members.get("ext")
        return parse_vkey(ext["log.vkey"])
    except (OSError, LedgerError, TypeError, KeyError):
        raise LedgerError(
            Code.NOT_FOUND, f"{folder} does not say what key its log is signed with: give it with --vkey"
        ) from None


def chained(manifests: Sequence[Manifest]) -> None:
    """Segments must follow each other without a gap, from entry 0 on.

    Raises:
        LedgerError: `storage-failed`.
    """
    end = 0
    for manifest in manifests:
        if manifest.start != end:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"no segment holds the entries from {end} to {manifest.start - 1}: run `agent-ledger verify`",
            )
        end = manifest.end
