"""Evidence files, exports and what stands in them: only what the log's key signed holds, whatever is changed, and two programs never see two things."""

import contextlib
import io
import tempfile
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from ledger.client.evidence import verify_evidence
from ledger.client.verify import verify_source
from ledger.client.zipped import read_zip
from ledger.core import evidence
from ledger.core.crossing import Told, format_told, open_said, parse_told
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import parse_note, sign_note
from ledger.core.tiles import encode_bundle, tile_path
from ledger.core.verify import Pin
from ledger.storage.contents import format_contents as format_stored
from ledger.storage.contents import parse_columns
from ledger.storage.contents import parse_contents as parse_stored
from ledger.storage.manifest import open_manifest
from ledger.storage.manifest import sign_manifest as sign_segment
from tests.evidence import crossed, signed
from tests.evidence.tampering import unzipped, zipped
from tests.fuzz.target import Target, holds
from tests.fuzz.texts import LOG, ORIGIN, PIECES, checkpoint

MAX_FILE, MAX_ALL = 4_096, 16_384


def zip_file(data: bytes) -> bool:
    """What this reader takes, Python's own reads as the same files."""
    read = read_zip(data, lambda name: not name.startswith("no/"), max_file=MAX_FILE, max_all=MAX_ALL)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            other = {
                name: archive.read(name)
                for name in archive.namelist()
                if not name.endswith("/") or archive.getinfo(name).file_size
            }
    except NotImplementedError:  # it says of itself that it needs a later program
        return True
    holds(read == other, "two programs see the same files", read, other)
    holds(sum(map(len, read.values())) <= MAX_ALL, "limits hold", len(data))
    return True


@cache
def good_evidence() -> dict[str, bytes]:
    return unzipped(signed.CASES[0].zip())


def edits(data: bytes, files: dict[str, bytes]) -> dict[str, bytes]:
    """An input as changes of files: for each, which file (1 byte), where (2), how many bytes go (1), how many come (1), and these."""
    changed, at = dict(files), 0
    while at + 5 <= len(data):
        name = sorted(files)[data[at] % len(files)]
        content = changed[name]
        place = int.from_bytes(data[at + 1 : at + 3], "big") % (len(content) + 1)
        out, come = data[at + 3], data[at + 4]
        changed[name] = content[:place] + data[at + 5 : at + 5 + come] + content[place + out :]
        at += 5 + come
    return changed


def evidence_edited(data: bytes) -> bool:
    """It holds as it was made, and after no change at all."""
    good = good_evidence()
    files = edits(data, good)
    with tempfile.NamedTemporaryFile(dir=_memory(), suffix=".zip") as file:
        file.write(zipped(files))
        file.flush()
        report = verify_evidence(Path(file.name), signed.LOG.key)
        own = verify_evidence(Path(file.name))
    holds((report.verdict == "holds") == (files == good), "every change is found", report.findings)
    holds(own.verdict != "holds", "under its own key nothing holds", own.verdict)
    return report.verdict == "holds"


@cache
def good_export() -> dict[str, bytes]:
    """The files of a log of two segments' worth of signed entries, as an export has them."""
    files = good_evidence()
    seqs = sorted({place[0] for path in files if (place := evidence.place_of(path))})
    entries = [files[evidence.entry_file(seq, evidence.ENTRY)] for seq in seqs]
    from ledger.core.merkle import leaf_hash  # noqa: PLC0415

    return {
        "checkpoint": files[evidence.CHECKPOINT],
        tile_path("entries", 0, len(entries)): encode_bundle(entries),
        tile_path(0, 0, len(entries)): b"".join(map(leaf_hash, entries)),
    }


class InMemory:
    """An export."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def checkpoint(self) -> bytes:
        return self._files["checkpoint"]

    def tile(self, path: str) -> bytes | None:
        return self._files.get(path)

    def cosigned(self) -> bytes | None:
        return None

    def key_proof(self) -> bytes | None:
        return None

    def verifier_key(self):
        return signed.LOG.key


def export_edited(data: bytes) -> bool:
    """An export is good as it was made; after a change it is not, or the checkpoint is another that the key signed."""
    good = good_export()
    files = edits(data, good)
    pins = [Pin(good["checkpoint"], "kept")]
    report = verify_source(InMemory(files), vkey=signed.LOG.key, pins=pins)
    unchanged = {finding.detail for finding in _untouched()}
    holds(
        ({finding.detail for finding in report.findings} == unchanged) == (files == good),
        "every change is found",
        report.findings,
    )
    return files == good


@cache
def _untouched():
    """This log's first entry is no `log.created`: what is said of that is said of it as it is."""
    return verify_source(
        InMemory(good_export()), vkey=signed.LOG.key, pins=[Pin(good_export()["checkpoint"], "kept")]
    ).findings


def files_list(data: bytes) -> bool:
    holds(evidence.format_files(evidence.parse_files(data)) == data, "a list is written back as it was", data)
    return True


def contents(data: bytes) -> bool:
    holds(
        evidence.format_contents(evidence.parse_contents(data)) == data,
        "contents are written back as they were",
        data,
    )
    return True


def manifest(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    read = evidence.parse_manifest(text)
    if read.origin == ORIGIN:
        again = evidence.sign_manifest(read, LOG)
        holds(parse_note(again).text == text, "a manifest is written back as it was", text)
    return True


def segment_manifest(data: bytes) -> bool:
    """The text of a segment's manifest, signed by the log."""
    note = sign_note(data.decode("utf-8", "replace"), LOG)
    read = open_manifest(note, KeyHistory.begin(LOG.key), ORIGIN)
    holds(sign_segment(read, LOG) == note, "a manifest is written back as it was", data)
    return True


def stored_contents(data: bytes) -> bool:
    """Contents as the database holds them: one text for given contents, in both ways of reading."""
    text = data.decode("utf-8", "replace")
    one = many = None
    with contextlib.suppress(ValueError):
        one = parse_stored(text)
    with contextlib.suppress(ValueError):
        many = parse_columns([text.encode()])
    holds((one is None) == (many is None), "both ways of reading agree", text, one, many)
    if one is None or many is None:
        return False
    holds(format_stored(one).decode() == text, "contents are written back as they were", text)
    holds(
        [(each.member, each.salt, each.value) for each in one]
        == [*zip(many.members, many.salts, many.values, strict=True)],
        "both read the same",
        text,
    )
    return True


@cache
def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - files of a moment, in memory


def zips() -> list[bytes]:
    made = [zipped({"a": b"x" * 50, "b/c": b""}), zipped({"a": b"x" * 500, "d": b"y"}, zipfile.ZIP_DEFLATED)]
    streamed = io.BytesIO()
    with zipfile.ZipFile(_Unseekable(streamed), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"z" * 99)
    return [*made, streamed.getvalue()]


class _Unseekable(io.RawIOBase):
    """A stream into which lengths cannot be written afterwards: they stand behind each file."""

    def __init__(self, into: io.BytesIO) -> None:
        self._into = into

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        return self._into.write(data)


def manifests() -> list[bytes]:
    made = evidence.Manifest(ORIGIN, 5, bytes(32), "2026-11-21T09:30:00.000000Z", "ann", 2, "0" * 64)
    return [parse_note(evidence.sign_manifest(made, LOG)).text.encode()]


def segments() -> list[bytes]:
    from ledger.core.checkpoint import parse_checkpoint  # noqa: PLC0415
    from ledger.storage.manifest import ROLES, FileInfo, Manifest, file_name  # noqa: PLC0415

    note = checkpoint("a", 5)
    root = parse_checkpoint(parse_note(note).text).root
    files = {file_name(role, 1): FileInfo(7, "0" * 64) for role in ROLES}
    first = Manifest(ORIGIN, 0, 5, 1, root, note, files)
    later = Manifest(ORIGIN, 3, 5, 2, root, note, files, previous="1" * 64, replaces="2" * 64)
    return [parse_note(sign_segment(each, LOG)).text.encode() for each in (first, later)]


DISCLOSED = (
    evidence.Disclosed("content", "tool.arguments", bytes(16), b'{"a": 1}'),
    evidence.Disclosed("person", "request.user", b"\x01" * 16, '"\u00e9"'.encode()),
)
STORED = b'[["tool.arguments","%b",{"a": 1}],["request.text","%b","x"]]' % (b"00" * 16, b"ff" * 16)


def call(data: bytes) -> bool:
    """What comes along with a call: whatever is read of it, is read again of what is written."""
    told = parse_told(data.decode("latin-1"))
    holds(parse_told(format_told(told)) == told, "what goes along reads back", told)
    return True


def calls() -> list[bytes]:
    told = Told(crossed.CALL, LOG.key.name, crossed.SALT, crossed.GOOD["receipt"].encode())
    return [
        format_told(each).encode() for each in (told, replace(told, receipt=None), Told(crossed.CALL, "é"))
    ]


def call_receipt(data: bytes) -> bool:
    """Only what the peer's key signed is believed."""
    said = open_said(data, [crossed.BOB.key])
    holds(
        said == open_said(crossed.GOOD["receipt"].encode(), [crossed.BOB.key]), "it is the peer's entry", said
    )
    return True


TARGETS = (
    Target("call", call, calls, pieces=(b"=", b"-", b"_", b"eyJ")),
    Target(
        "call-receipt",
        call_receipt,
        lambda: [crossed.GOOD["receipt"].encode()],
        pieces=(*PIECES, b"extra ", b"index "),
    ),
    Target("zip", zip_file, zips, pieces=(b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x07\x08")),
    Target(
        "evidence",
        evidence_edited,
        lambda: [b"", b"\x00\x00\x05\x01\x01x", b"\x03\x00\x00\x00\x00", b"\x01\x00\x09\x02\x00"],
        256,
    ),
    Target(
        "export",
        export_edited,
        lambda: [b"", b"\x01\x00\x05\x01\x01x", b"\x00\x00\x00\x00\x02\n\n", b"\x02\x00\x09\x20\x00"],
        256,
    ),
    Target("evidence-files", files_list, lambda: [good_evidence()[evidence.FILES]], pieces=PIECES),
    Target(
        "evidence-contents",
        contents,
        lambda: [evidence.format_contents(evidence.Contents(DISCLOSED, ("a",), (), ("b.c",)))],
        pieces=PIECES,
    ),
    Target("evidence-manifest", manifest, manifests, pieces=PIECES),
    Target("segment-manifest", segment_manifest, segments, pieces=PIECES),
    Target("stored-contents", stored_contents, lambda: [b"[]", STORED], pieces=PIECES),
)
