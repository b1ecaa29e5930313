"""The manifest of a sealed segment: a signed note (c2sp.org/signed-note) that names its files and chains it to the log.

    agent-ledger segment v1
    <origin>
    <one line of canonical JSON>

The JSON's members are those of `Manifest`; `root`, `previous`, `replaces` and the digests are hex, `checkpoint` is the note's text. A
segment's files are known by what they hold: `contents-2.parquet` of generation 2 takes the place of `contents.parquet`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

from ledger.core import canonical
from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import NoteSigner, open_note, parse_note, sign_note

TITLE: Final = "agent-ledger segment v1"
ENTRIES: Final = "entries.parquet"
FACTS: Final = "facts.parquet"
CONTENTS: Final = "contents.parquet"
HASHES: Final = "hashes"
KEYS: Final = "keys"
TILES: Final = "tiles"
OWN: Final = "own.jsonl"
ROLES: Final = (ENTRIES, FACTS, CONTENTS, HASHES, KEYS, TILES, OWN)

_FILE: Final = re.compile(r"([a-z]+)(?:-([1-9][0-9]{0,8}))?((?:\.[a-z]+)?)")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"manifest-([1-9][0-9]{0,8})")
_LINES: Final = 4  # the title, the origin, the JSON, and nothing after its newline
_MEMBERS: Final = {"start", "end", "generation", "root", "checkpoint", "files", "retired"}
_OPTIONAL: Final = {"previous", "replaces"}


class FileInfo(NamedTuple):
    """One file: its length, and the SHA-256 of it in hex."""

    bytes: int
    sha256: str


class Retired(NamedTuple):
    """What of this segment the log says is gone and this generation does without: entries, and entries whose contents are."""

    entries: int = 0
    contents: int = 0


NOTHING: Final = Retired()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says.

    Attributes:
        origin: the log.
        start: the first entry.
        end: the entry after the last.
        generation: 1, and one more whenever a file was replaced.
        root: the root of the log at size `end`, 32 bytes.
        checkpoint: the log's signed note of that size.
        files: name → what it must be.
        previous: SHA-256, hex, of generation 1 of the manifest of the segment before; None in the first segment.
        replaces: SHA-256, hex, of the manifest of the generation before; None in generation 1.
        retired: what is gone.
    """

    origin: str
    start: int
    end: int
    generation: int
    root: bytes
    checkpoint: bytes
    files: Mapping[str, FileInfo] = field(hash=False)
    previous: str | None = None
    replaces: str | None = None
    retired: Retired = NOTHING

    def file(self, role: str) -> str:
        """The name of the file in the place of `role` (`entries.parquet` …)."""
        return next(name for name in self.files if role_of(name) == role)


def manifest_name(generation: int) -> str:
    """`manifest-<generation>`."""
    return f"manifest-{generation}"


def generation_of(name: str) -> int | None:
    """The generation of a manifest's name; None where it is no manifest's."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def file_name(role: str, generation: int) -> str:
    """The name of a file made for a generation: `contents.parquet` in the first, then `contents-2.parquet`."""
    stem, dot, suffix = role.partition(".")
    return role if generation == 1 else f"{stem}-{generation}{dot}{suffix}"


def role_of(name: str) -> str | None:
    """What the file of this name holds, as one of `ROLES`; None where no such file is made."""
    match = _FILE.fullmatch(name)
    role = match[1] + match[3] if match else None
    return role if role in ROLES else None


def manifest_digest(note: bytes) -> str:
    """What `previous` and `replaces` say of a manifest."""
    return sha256(note).hexdigest()


# ---- writing


def sign_manifest(manifest: Manifest, signer: NoteSigner) -> bytes:
    """The signed note of a manifest.

    Raises:
        LedgerError: `storage-failed`: it does not read back, so nobody could open it.
    """
    note = sign_note(_format(manifest), signer)
    if open_manifest(note, None, manifest.origin) != manifest:
        raise _refused("it does not read back as it was written")
    return note


def _format(manifest: Manifest) -> str:
    said: dict[str, Any] = {
        "start": manifest.start,
        "end": manifest.end,
        "generation": manifest.generation,
        "root": manifest.root.hex(),
        "checkpoint": manifest.checkpoint.decode(),
        "files": {name: info._asdict() for name, info in manifest.files.items()},
        "retired": manifest.retired._asdict(),
    }
    said |= {name: value for name in _OPTIONAL if (value := getattr(manifest, name)) is not None}
    return f"{TITLE}\n{manifest.origin}\n{canonical.dumps(said).decode()}\n"


# ---- reading


def open_manifest(note: bytes, keys: KeyHistory | None, origin: str) -> Manifest:
    """Read a manifest, with the checkpoint in it.

    Args:
        note: the signed note.
        keys: the log's keys: that of its checkpoint must have signed that, and the manifest that one or a later one. None: no signature
            is checked.
        origin: the log it must be of.

    Raises:
        LedgerError: `storage-failed`, with what is wrong.
    """
    try:
        manifest = _parse(parse_note(note).text, origin)
        checkpoint = (
            parse_checkpoint(parse_note(manifest.checkpoint).text)
            if keys is None
            else _signed(note, manifest, keys)
        )
    except LedgerError as error:
        if error.code is Code.STORAGE_FAILED:
            raise
        raise _refused(error.detail) from error
    if (checkpoint.origin, checkpoint.size, checkpoint.root) != (origin, manifest.end, manifest.root):
        raise _refused("its checkpoint is of another log, size or root than it says")
    return manifest


def _signed(note: bytes, manifest: Manifest, keys: KeyHistory) -> Checkpoint:
    """Its checkpoint, once the signatures on both hold."""
    open_note(note, keys.later(manifest.end))
    return keys.open(manifest.checkpoint, own=True)


def _parse(text: str, origin: str) -> Manifest:
    lines = text.split("\n")
    if len(lines) != _LINES or lines[0] != TITLE or lines[-1]:
        raise _refused(f"its text is not {TITLE!r}, an origin and one line of JSON")
    if lines[1] != origin:
        raise _refused(f"it is of the log {lines[1]!r}, not of {origin!r}")
    said: Any = canonical.parse_canonical(lines[2].encode())
    if type(said) is not dict or said.keys() - _OPTIONAL != _MEMBERS:
        raise _refused(f"its members are not {', '.join(sorted(_MEMBERS))} and at most previous, replaces")
    start, end, generation = (_count(said[name], name) for name in ("start", "end", "generation"))
    if not start < end or generation < 1:
        raise _refused("it covers no entry, or has no generation")
    if ("previous" in said) != (start > 0) or ("replaces" in said) != (generation > 1):
        raise _refused("it is not chained to the segment, or to the generation, before it")
    if type(said["checkpoint"]) is not str:
        raise _refused("its checkpoint is no text")
    return Manifest(
        origin,
        start,
        end,
        generation,
        bytes.fromhex(_digest(said["root"], "root")),
        said["checkpoint"].encode(),
        _files(said["files"], generation),
        _digest(said["previous"], "previous") if "previous" in said else None,
        _digest(said["replaces"], "replaces") if "replaces" in said else None,
        _retired(said["retired"], end - start),
    )


def _files(said: Any, generation: int) -> dict[str, FileInfo]:
    files = said.items() if type(said) is dict else ()
    if sorted(role_of(name) or "" for name, _ in files) != sorted(ROLES):
        raise _refused(f"its files are not one of each of {', '.join(ROLES)}")
    named = {}
    for name, info in files:
        match = _FILE.fullmatch(name)
        if match and int(match[2] or 1) > generation:
            raise _refused(f"its file {name} is of a later generation")
        if type(info) is not dict or info.keys() != {"bytes", "sha256"}:
            raise _refused(f"its file {name} has no length and digest")
        named[name] = FileInfo(_count(info["bytes"], name), _digest(info["sha256"], name))
    return named


def _retired(said: Any, entries: int) -> Retired:
    if type(said) is not dict or said.keys() != {"entries", "contents"}:
        raise _refused("what is retired is not counted as entries and contents")
    retired = Retired(_count(said["entries"], "retired"), _count(said["contents"], "retired"))
    # Contents are counted by place: an entry may have several, and one that was erased may be retired later.
    if retired.entries > entries:
        raise _refused("more is retired than the segment has")
    return retired


def _count(value: Any, name: str) -> int:
    if type(value) is not int or value < 0:
        raise _refused(f"{name} is no count")
    return value


def _digest(value: Any, name: str) -> str:
    if type(value) is not str or not _DIGEST.fullmatch(value):
        raise _refused(f"{name} is not 64 lower-case hex digits")
    return value


def _refused(detail: str) -> LedgerError:
    return LedgerError(Code.STORAGE_FAILED, f"the segment's manifest cannot be believed: {detail}")
