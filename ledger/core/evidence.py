r"""Evidence: chosen entries of a log in one file that proves itself (docs/evidence.md).

    manifest.txt                     the log's signed note over who asked, when, and the digest of files.json
    files.json                       every other file, with its length and SHA-256
    checkpoint.txt, log.vkey         the signed checkpoint that all receipts lead to; the log's first verifier key
    keys.json                        where the log has rotated its key: the proof of all of them (ledger.core.keyhistory)
    entries/<seq>/entry.json         the entry's canonical bytes
    entries/<seq>/receipt.txt        its receipt (c2sp.org/tlog-proof), to that checkpoint
    entries/<seq>/contents.json      contents and persons that are disclosed, with their salts; and what is not there, and why
    request.json, result.json        what was asked, at which size of the log; the answer to the SQL, where there was any
    README.txt, report.html, verify.html   for people: what to do, what it says, and a page that checks it

The manifest is a signed note (c2sp.org/signed-note), which no other kind of note can be taken for:

    agent-ledger evidence v1
    <origin>
    <one line of canonical JSON>
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from ledger.core import canonical
from ledger.core.canonical import JsonValue
from ledger.core.entry import parse_time
from ledger.core.errors import Code, FormatError
from ledger.core.note import NoteSigner, sign_note

TITLE: Final = "agent-ledger evidence v1"
MANIFEST: Final = "manifest.txt"
FILES: Final = "files.json"
CHECKPOINT: Final = "checkpoint.txt"
VKEY: Final = "log.vkey"
REQUEST: Final = "request.json"
RESULT: Final = "result.json"
README: Final = "README.txt"
REPORT: Final = "report.html"
PAGE: Final = "verify.html"
KEYS: Final = "keys.json"
ENTRY: Final = "entry.json"
RECEIPT: Final = "receipt.txt"
CONTENTS: Final = "contents.json"

MAX_ENTRIES: Final = 10_000
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_BYTES: Final = 256 * 1024 * 1024  # of all files

_SEQ_DIGITS: Final = 12
_ENTRY_FILE: Final = re.compile(rf"entries/([0-9]{{12,16}})/({ENTRY}|{RECEIPT}|{CONTENTS})", re.ASCII)
_SINGLE: Final = frozenset({MANIFEST, FILES, CHECKPOINT, VKEY, REQUEST, RESULT, README, REPORT, PAGE, KEYS})
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SALT: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_LISTS: Final = ("erased", "kept_back", "withheld")
_LINES: Final = 4  # title, origin, JSON, and nothing after its newline


class Disclosed(NamedTuple):
    """A content or person with what its commitment is made of.

    Attributes:
        kind: "content" or "person".
        member: where the entry has its commitment: `tool.arguments`.
        salt: 16 bytes.
        value: JSON, byte for byte as it was received.
    """

    kind: str
    member: str
    salt: bytes
    value: bytes


class Contents(NamedTuple):
    """What an evidence file says of the contents and persons of one entry: each is in one of four lists.

    Attributes:
        disclosed: those that are there.
        erased: members that the log says were erased.
        withheld: members of which the ledger only ever had the commitment.
        kept_back: members that were left out of this file.
    """

    disclosed: tuple[Disclosed, ...]
    erased: tuple[str, ...]
    withheld: tuple[str, ...]
    kept_back: tuple[str, ...]


class FileDigest(NamedTuple):
    """One file: its length, and the SHA-256 of it in hex."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the log signs of an evidence file.

    Attributes:
        origin: the log.
        size: the size of the checkpoint that its receipts lead to.
        root: the root at that size, 32 bytes.
        made_at: when it was made, by the log's clock: `2026-11-21T09:30:00.123456Z`.
        by: who asked for it: the name of a token.
        entries: how many entries there are.
        files: SHA-256 of files.json, 64 hex digits.
    """

    origin: str
    size: int
    root: bytes
    made_at: str
    by: str
    entries: int
    files: str


def entry_file(seq: int, name: str) -> str:
    """The path of one of an entry's files: `entries/000000000017/entry.json`."""
    return f"entries/{seq:0{_SEQ_DIGITS}d}/{name}"


def place_of(path: str) -> tuple[int, str] | None:
    """The seq and name of an entry's file, None for any other path."""
    found = _ENTRY_FILE.fullmatch(path)
    if found is None or entry_file(int(found[1]), found[2]) != path:
        return None
    return int(found[1]), found[2]


def is_file(path: str) -> bool:
    """Whether an evidence file may hold a file of this name."""
    return path in _SINGLE or place_of(path) is not None


def digest_of(data: bytes) -> FileDigest:
    """What files.json says of these bytes."""
    return FileDigest(len(data), sha256(data).hexdigest())


def format_files(files: Mapping[str, FileDigest]) -> bytes:
    """files.json: canonical JSON, one line."""
    return canonical.dumps({path: {**each._asdict()} for path, each in files.items()}) + b"\n"


def parse_files(data: bytes) -> dict[str, FileDigest]:
    """Read files.json.

    Raises:
        FormatError: it is no such list.
    """
    return {path: _file_digest(path, each) for path, each in parse_line(data).items()}


def _file_digest(path: str, value: JsonValue) -> FileDigest:
    match value:
        case {"bytes": int(length), "sha256": str(digest), **rest} if (
            not rest and not isinstance(length, bool) and 0 <= length <= MAX_FILE_BYTES
        ):
            if _DIGEST.fullmatch(digest) and is_file(path) and path not in (MANIFEST, FILES):
                return FileDigest(length, digest)
    raise _malformed(
        f"{FILES} says of {path[:80]!a} what it cannot: a length and a SHA-256 of a file of an evidence"
    )


def format_contents(contents: Contents) -> bytes:
    """contents.json: canonical JSON, one line."""
    disclosed: list[JsonValue] = [
        {"kind": each.kind, "member": each.member, "salt": each.salt.hex(), "value": each.value.decode()}
        for each in contents.disclosed
    ]
    lists: dict[str, JsonValue] = {name: [*getattr(contents, name)] for name in _LISTS}
    return canonical.dumps({"disclosed": disclosed, **lists}) + b"\n"


def parse_contents(data: bytes) -> Contents:
    """Read contents.json, without comparing it with any entry.

    Raises:
        FormatError: it is none.
    """
    value = parse_line(data)
    if value.keys() != {"disclosed", *_LISTS} or not isinstance(value["disclosed"], list):
        raise _malformed(f"{CONTENTS} has the members disclosed, {', '.join(_LISTS)}")
    lists = {}
    for name in _LISTS:
        members = value[name]
        if not isinstance(members, list) or not all(isinstance(each, str) for each in members):
            raise _malformed(f"{CONTENTS}: {name} is a list of members")
        lists[name] = tuple(str(each) for each in members)
    return Contents(tuple(map(_disclosed, value["disclosed"])), **lists)


def _disclosed(value: JsonValue) -> Disclosed:
    match value:
        case {
            "kind": "content" | "person" as kind,
            "member": str(member),
            "salt": str(salt),
            "value": str(text),
            **rest,
        } if not rest and _SALT.fullmatch(salt):
            return Disclosed(str(kind), member, bytes.fromhex(salt), text.encode())
    raise _malformed(
        f"{CONTENTS}: what is disclosed has a kind, a member, a salt of 16 bytes in hex, and a value"
    )


def parse_line(data: bytes) -> dict[str, JsonValue]:
    """An object in canonical JSON, and a newline.

    Raises:
        FormatError: it is something else.
    """
    value = canonical.parse_canonical(data.removesuffix(b"\n"))
    if not isinstance(value, dict) or not data.endswith(b"\n"):
        raise _malformed("it is one line of canonical JSON, an object")
    return value


def sign_manifest(manifest: Manifest, signer: NoteSigner) -> bytes:
    """The signed note of a manifest."""
    line = canonical.dumps(
        {
            "by": manifest.by,
            "entries": manifest.entries,
            "files": manifest.files,
            "made_at": manifest.made_at,
            "root": manifest.root.hex(),
            "size": manifest.size,
        }
    ).decode()
    return sign_note(f"{TITLE}\n{manifest.origin}\n{line}\n", signer)


def parse_manifest(text: str) -> Manifest:
    """Read the text of a manifest's note.

    Raises:
        FormatError: it is none.
    """
    lines = text.split("\n")
    if len(lines) != _LINES or lines[0] != TITLE or not lines[1] or lines[3]:
        raise _malformed(f"it is three lines: {TITLE}, the origin, one line of JSON")
    value = canonical.parse_canonical(lines[2].encode())
    match value:
        case {
            "by": str(by),
            "entries": int(entries),
            "files": str(files),
            "made_at": str(made_at),
            "root": str(root),
            "size": int(size),
            **rest,
        } if not rest and _DIGEST.fullmatch(files) and _DIGEST.fullmatch(root):
            parse_time(made_at)
            if not isinstance(entries, bool) and not isinstance(size, bool) and 0 <= entries <= size:
                return Manifest(lines[1], size, bytes.fromhex(root), made_at, by, entries, files)
    raise _malformed("its members are by, entries, files, made_at, root and size")


def _malformed(detail: str) -> FormatError:
    return FormatError(Code.MALFORMED_EVIDENCE, f"not what an evidence file holds: {detail}")
