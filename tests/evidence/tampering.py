"""What somebody may do to an evidence file, and what must be said of it: by `agent-ledger verify` and by the page, each on its own."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import NamedTuple

from ledger.core import canonical, ed25519, evidence
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.entry import format_entry
from ledger.core.evidence import (
    CONTENTS,
    ENTRY,
    RECEIPT,
    digest_of,
    entry_file,
    format_files,
    parse_manifest,
    sign_manifest,
)
from ledger.core.merkle import leaf_hash
from ledger.core.note import NoteSigner, parse_note
from ledger.core.receipt import Receipt, format_receipt
from tests.evidence.conftest import Story

Files = dict[str, bytes]
THIEF = ed25519.SigningKey(bytes(range(32)))
FILES, MANIFEST, CHECKPOINT, VKEY = evidence.FILES, evidence.MANIFEST, evidence.CHECKPOINT, evidence.VKEY
REQUEST, RESULT = evidence.REQUEST, evidence.RESULT


class Case(NamedTuple):
    """One tampering: what it makes of the files, or of the zip's bytes; and all that must be found, (kind, file)."""

    name: str
    tamper: Callable[[Files, Story], bytes]
    found: Callable[[Story], set[tuple[str, str]]]


def unzipped(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return made.getvalue()


def relisted(files: Files) -> Files:
    """With a files.json that fits them; the manifest is as it was."""
    rest = {name: data for name, data in files.items() if name not in {FILES, MANIFEST}}
    listed = format_files({name: digest_of(data) for name, data in rest.items()})
    return {**rest, FILES: listed, MANIFEST: files[MANIFEST]}


def resigned(files: Files, **changes) -> Files:
    """With a list that fits, and a manifest that somebody else signed under the log's name."""
    listed = relisted(files)
    manifest = parse_manifest(parse_note(files[MANIFEST]).text)
    values = (
        {name: getattr(manifest, name) for name in manifest.__slots__}
        | {"files": digest_of(listed[FILES]).sha256}
        | changes
    )
    return {
        **listed,
        MANIFEST: sign_manifest(evidence.Manifest(**values), NoteSigner(manifest.origin, THIEF)),
    }


def of(story: Story, at: int, name: str = ENTRY) -> str:
    return entry_file(story.seqs[at], name)


def _next(story: Story) -> str:
    return entry_file(story.seqs[-1] + 1, ENTRY)


def edited(files: Files, name: str, old: bytes, new: bytes) -> Files:
    assert old in files[name], (name, old)
    return {**files, name: files[name].replace(old, new, 1)}


def simply(change: Callable[[Files, Story], Files]) -> Callable[[Files, Story], bytes]:
    return lambda files, story: zipped(change(files, story))


def listed(change: Callable[[Files, Story], Files]) -> Callable[[Files, Story], bytes]:
    return lambda files, story: zipped(relisted(change(files, story)))


def _wrong_salt(files: Files, story: Story) -> Files:
    name = of(story, 1, CONTENTS)
    value = json.loads(files[name])
    value["disclosed"][0]["salt"] = "00" * 16
    return {**files, name: canonical.dumps(value) + b"\n"}


def _wrong_member(files: Files, story: Story) -> Files:
    name = of(story, 1, CONTENTS)
    value = json.loads(files[name])
    value["disclosed"][0]["member"] = "outcome.result"
    return {**files, name: canonical.dumps(value) + b"\n"}


def _swap(one: str, other: str) -> Callable[[Files, Story], Files]:
    def swap(files: Files, story: Story) -> Files:
        a, b = of(story, 1, one), of(story, 3, other)
        return {**files, a: files[b], b: files[a]}

    return swap


def _without(*which: tuple[int, str]) -> Callable[[Files, Story], Files]:
    return lambda files, story: {
        name: data for name, data in files.items() if name not in {of(story, at, each) for at, each in which}
    }


def _drop(name: str) -> Callable[[Files, Story], Files]:
    return lambda files, _: {each: data for each, data in files.items() if each != name}


def _edit(at: int, name: str, old: bytes, new: bytes) -> Callable[[Files, Story], Files]:
    return lambda files, story: edited(files, of(story, at, name), old, new)


def _edit_file(name: str, old: bytes, new: bytes) -> Callable[[Files, Story], Files]:
    return lambda files, _: edited(files, name, old, new)


def _thief(files: Files, story: Story) -> Files:
    return {**files, VKEY: f"{NoteSigner(story.key.name, THIEF).key}\n".encode()}


def _row_changed(files: Files, _: Story) -> Files:
    return edited(files, RESULT, b"send_money", b"send_honey")


def _result_size(files: Files, _: Story) -> Files:
    answer = json.loads(files[RESULT])
    answer["size"] -= 1
    return {**files, RESULT: json.dumps(answer).encode()}


def _consistency(files: Files, _: Story) -> Files:
    asked = json.loads(files[REQUEST])
    asked["asked"]["root"] = "11" * 32
    answer = json.loads(files[RESULT])
    answer["root"] = "11" * 32
    return {**files, REQUEST: canonical.dumps(asked) + b"\n", RESULT: json.dumps(answer).encode()}


def forged(files: Files, story: Story) -> bytes:
    """A whole log of the same name by another key, of one false entry, and evidence of it."""
    signer = NoteSigner(story.key.name, THIEF)
    record = canonical.dumps({"id": "x", "time": "2026-11-21T09:30:00Z", "type": "action"})
    entry = format_entry(
        prev=bytes(32), record=record, recorded_at="2026-11-21T09:30:00.000000Z", seq=0, submitter="token:gw"
    )
    checkpoint = sign_checkpoint(Checkpoint(story.key.name, 1, leaf_hash(entry)), signer)
    request = canonical.dumps({"about": "", "by": "x", "disclose": None, "ids": [], "seqs": [0]}) + b"\n"
    made = {
        CHECKPOINT: checkpoint,
        VKEY: f"{signer.key}\n".encode(),
        REQUEST: request,
        entry_file(0, ENTRY): entry,
        entry_file(0, RECEIPT): format_receipt(Receipt(0, (), checkpoint)),
        MANIFEST: files[MANIFEST],
    }
    return zipped(resigned(made, size=1, root=leaf_hash(entry), entries=1))


def _duplicate(files: Files, story: Story) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in [*files.items(), (of(story, 1), b"{}")]:
            archive.writestr(zipfile.ZipInfo(name), data)
    return made.getvalue()


def _named(name: str) -> Callable[[Files, Story], bytes]:
    return lambda files, _: zipped({**files, name: b"x"})


def _two_headers(files: Files, story: Story) -> bytes:
    """The directory says another name than the header before the data, of the same length."""
    data = zipped(files)
    one, other = of(story, 1).encode(), of(story, 3).encode()
    first = data.index(one)
    return data[:first] + other + data[first + len(one) :]


def _bit(files: Files, story: Story) -> bytes:
    data = bytearray(zipped(files))
    data[data.index(b'"submitter"')] ^= 1
    return bytes(data)


def _too_long(files: Files, _: Story) -> bytes:
    """A file that says it is 4 GB and is not."""
    data = bytearray(zipped(files, zipfile.ZIP_DEFLATED))
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, 0xFFFFFFF0)
    local = struct.unpack_from("<L", data, at + 42)[0]
    struct.pack_into("<L", data, local + 22, 0xFFFFFFF0)
    return bytes(data)


def _bomb(files: Files, _: Story) -> bytes:
    """Two hundred megabytes of zeros, and a directory that says so."""
    return zipped({**files, evidence.REPORT: bytes(evidence.MAX_FILE_BYTES + 1)}, zipfile.ZIP_DEFLATED)


UNREADABLE = {("unreadable", "")}


def _at(story: Story, *which: tuple[str, int, str]) -> set[tuple[str, str]]:
    return {(kind, of(story, at, name)) for kind, at, name in which}


LIST = {("altered", FILES)}

CASES = [
    Case("nothing", simply(lambda files, _: files), lambda _: set()),
    Case(
        "repacked in another order, deflated",
        lambda files, _: zipped(dict(sorted(files.items(), reverse=True)), zipfile.ZIP_DEFLATED),
        lambda _: set(),
    ),
    Case(
        "an entry changed",
        simply(_edit(1, ENTRY, b"send_money", b"send_honey")),
        lambda s: _at(s, ("altered", 1, ENTRY), ("proof", 1, RECEIPT), ("chain", 2, ENTRY)),
    ),
    Case(
        "an entry changed and listed",
        listed(_edit(1, ENTRY, b"send_money", b"send_honey")),
        lambda s: LIST | _at(s, ("proof", 1, RECEIPT), ("chain", 2, ENTRY)),
    ),
    Case(
        "an entry no longer canonical",
        simply(_edit(1, ENTRY, b'"v":1', b'"v": 1')),
        lambda s: _at(s, ("altered", 1, ENTRY), ("entry", 1, ENTRY), ("chain", 2, ENTRY)),
    ),
    Case(
        "an entry of another place",
        simply(_swap(ENTRY, ENTRY)),
        lambda s: _at(
            s,
            ("altered", 1, ENTRY),
            ("altered", 3, ENTRY),
            ("entry", 1, ENTRY),
            ("entry", 3, ENTRY),
            ("chain", 2, ENTRY),
            ("chain", 4, ENTRY),
        ),
    ),
    Case(
        "an entry gone",
        simply(_without((1, ENTRY))),
        lambda s: {("manifest", MANIFEST)} | _at(s, ("missing", 1, ENTRY)),
    ),
    Case(
        "an entry gone with all that is its",
        simply(_without((1, ENTRY), (1, RECEIPT), (1, CONTENTS))),
        lambda s: (
            {("manifest", MANIFEST)}
            | _at(s, ("missing", 1, ENTRY), ("missing", 1, RECEIPT), ("missing", 1, CONTENTS))
        ),
    ),
    Case(
        "an entry gone, and off the list",
        listed(_without((5, ENTRY), (5, RECEIPT), (5, CONTENTS))),
        lambda _: LIST | {("manifest", MANIFEST)},
    ),
    Case(
        "a receipt of another entry",
        simply(_swap(RECEIPT, RECEIPT)),
        lambda s: _at(
            s, ("altered", 1, RECEIPT), ("altered", 3, RECEIPT), ("proof", 1, RECEIPT), ("proof", 3, RECEIPT)
        ),
    ),
    Case("a receipt gone", simply(_without((2, RECEIPT))), lambda s: _at(s, ("missing", 2, RECEIPT))),
    Case(
        "a receipt that leads elsewhere",
        listed(
            lambda f, s: edited(
                f, of(s, 2, RECEIPT), b"\n\n" + s.key.name.encode(), b"\n\nelsewhere.example/log"
            )
        ),
        lambda s: LIST | _at(s, ("proof", 2, RECEIPT)),
    ),
    Case(
        "a wrong salt",
        simply(_wrong_salt),
        lambda s: _at(s, ("altered", 1, CONTENTS), ("commitment", 1, CONTENTS)),
    ),
    Case("a wrong salt, listed", listed(_wrong_salt), lambda s: LIST | _at(s, ("commitment", 1, CONTENTS))),
    Case(
        "a content changed",
        listed(_edit(1, CONTENTS, b"please do 0", b"please do 9")),
        lambda s: LIST | _at(s, ("commitment", 1, CONTENTS)),
    ),
    Case(
        "a content under another member",
        listed(_wrong_member),
        lambda s: LIST | _at(s, ("commitment", 1, CONTENTS)),
    ),
    Case(
        "contents of another entry",
        simply(_swap(CONTENTS, CONTENTS)),
        lambda s: _at(
            s,
            ("altered", 1, CONTENTS),
            ("altered", 3, CONTENTS),
            ("commitment", 1, CONTENTS),
            ("commitment", 3, CONTENTS),
        ),
    ),
    Case(
        "contents that are none",
        listed(_edit(1, CONTENTS, b'"erased":', b'"arased":')),
        lambda s: LIST | _at(s, ("contents", 1, CONTENTS)),
    ),
    Case("contents gone", simply(_without((1, CONTENTS))), lambda s: _at(s, ("missing", 1, CONTENTS))),
    Case("contents gone, and off the list", listed(_without((1, CONTENTS))), lambda _: LIST),
    Case("a row of the answer changed", simply(_row_changed), lambda _: {("altered", RESULT)}),
    Case("a row of the answer changed and listed", listed(_row_changed), lambda _: LIST),
    Case(
        "an answer at another size", simply(_result_size), lambda _: {("altered", RESULT), ("result", RESULT)}
    ),
    Case("an answer of another log", listed(_consistency), lambda _: LIST | {("result", RESULT)}),
    Case("the answer gone", simply(_drop(RESULT)), lambda _: {("missing", RESULT), ("request", REQUEST)}),
    Case(
        "the question changed",
        simply(_edit_file(REQUEST, b"ORDER BY seq", b"ORDER BY not")),
        lambda _: {("altered", REQUEST)},
    ),
    Case(
        "the question no JSON",
        simply(_edit_file(REQUEST, b"{", b"")),
        lambda _: {("altered", REQUEST), ("request", REQUEST)},
    ),
    Case(
        "the checkpoint changed",
        simply(lambda f, s: edited(f, CHECKPOINT, s.key.name.encode() + b"\n", s.key.name.encode() + b"\n1")),
        lambda s: (
            {("altered", CHECKPOINT), ("checkpoint", CHECKPOINT), ("result", RESULT)}
            | _at(s, *[("proof", at, RECEIPT) for at in range(6)])
        ),
    ),
    Case("the checkpoint gone", simply(_drop(CHECKPOINT)), lambda _: {("missing", CHECKPOINT)}),
    Case(
        "the manifest changed",
        simply(_edit_file(MANIFEST, b'"entries":6', b'"entries":5')),
        lambda _: {("signature", MANIFEST), ("manifest", MANIFEST)},
    ),
    Case("the manifest gone", simply(_drop(MANIFEST)), lambda _: {("missing", MANIFEST)}),
    Case("the list gone", simply(_drop(FILES)), lambda _: {("missing", FILES)}),
    Case(
        "the list changed",
        simply(_edit_file(FILES, b'"bytes":', b'"butes":')),
        lambda _: LIST | {("manifest", FILES)},
    ),
    Case("the key exchanged", simply(_thief), lambda _: {("altered", VKEY), ("key", VKEY)}),
    Case(
        "the key no key", simply(_edit_file(VKEY, b"+", b"-")), lambda _: {("altered", VKEY), ("key", VKEY)}
    ),
    Case(
        "the request and the key gone",
        simply(lambda f, s: _drop(VKEY)(_drop(REQUEST)(f, s), s)),
        lambda _: {("missing", VKEY), ("missing", REQUEST)},
    ),
    Case(
        "the report exchanged",
        simply(lambda f, _: {**f, evidence.REPORT: b"<script>alert(1)</script>"}),
        lambda _: {("altered", evidence.REPORT)},
    ),
    Case(
        "the page exchanged",
        simply(_edit_file(evidence.PAGE, b"use strict", b"use street")),
        lambda _: {("altered", evidence.PAGE)},
    ),
    Case(
        "an entry added",
        simply(lambda f, s: {**f, _next(s): f[of(s, 5)]}),
        lambda s: {("added", _next(s)), ("entry", _next(s)), ("manifest", MANIFEST)},
    ),
    Case("signed by another key", simply(lambda f, _: resigned(f)), lambda _: {("signature", MANIFEST)}),
    Case(
        "all signed by another key that is in it",
        simply(lambda f, s: resigned(_thief(f, s))),
        lambda _: {("signature", MANIFEST), ("key", VKEY)},
    ),
    Case(
        "of another log",
        simply(lambda f, _: resigned(f, origin="elsewhere.example/log")),
        lambda _: {("signature", MANIFEST), ("manifest", MANIFEST)},
    ),
    Case("a bit flipped", _bit, lambda _: UNREADABLE),
    Case("a file twice", _duplicate, lambda _: UNREADABLE),
    Case("a path that climbs", _named("../evil.html"), lambda _: UNREADABLE),
    Case("a path from the root", _named("/etc/passwd"), lambda _: UNREADABLE),
    Case("a file that no evidence has", _named("note.txt"), lambda _: UNREADABLE),
    Case("a name in capitals", _named("MANIFEST.TXT"), lambda _: UNREADABLE),
    Case("a name beyond ASCII", _named("manif\u0435st.txt"), lambda _: UNREADABLE),
    Case("an entry's folder by another spelling", _named("entries/1/entry.json"), lambda _: UNREADABLE),
    Case("two names for one file", _two_headers, lambda _: UNREADABLE),
    Case("a length that is a lie", _too_long, lambda _: UNREADABLE),
    Case("a bomb", _bomb, lambda _: UNREADABLE),
    Case("something before it", lambda f, _: b"MZ" + zipped(f), lambda _: UNREADABLE),
    Case("something after it", lambda f, _: zipped(f) + b"\n", lambda _: UNREADABLE),
    Case("cut", lambda f, _: zipped(f)[:-40], lambda _: UNREADABLE),
    Case("empty", lambda _f, _s: b"", lambda _: UNREADABLE),
]
NAMES = [case.name for case in CASES]
