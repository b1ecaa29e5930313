"""The folders of sealed segments as an outsider finds them: which there are, what their manifests say, what stands beside.

A manifest is only read here. That the log's key signed it is checked when the keys are known: a log may have changed its key.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ledger.audit.leftovers import is_building, is_renewing
from ledger.audit.readonly import UnreadableError
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.report import Findings, Kind
from ledger.storage.layout import SEGMENTS
from ledger.storage.manifest import Manifest, generation_of, manifest_digest, manifest_name, open_manifest
from ledger.storage.segment import MOVED, Fetch

BLOCK_BYTES = 1 << 20
MAX_MANIFEST_BYTES = 1_000_000
LARGE = ".parquet"

Pace = Callable[[int], None]


class Found(NamedTuple):
    """A segment's folder.

    Attributes:
        folder: where it stands.
        manifest: the one in force.
        note: that manifest as it is stored.
        first: the digest of its manifest of generation 1; None where that cannot be read.
        fetch: brings a file that is not in the folder; None where nothing does.
    """

    folder: Path
    manifest: Manifest
    note: bytes
    first: str | None
    fetch: Fetch | None = None

    @property
    def name(self) -> str:
        """How to name it in a report."""
        return f"{SEGMENTS}/{self.folder.name}"

    def file(self, name: str) -> Path:
        """Where a file of it can be read; it is fetched where it is not here.

        Raises:
            LedgerError: `objects-unavailable`, `object-differs`.
            UnreadableError: it is not here, and nothing fetches it.
        """
        path = self.folder / name
        if path.exists() or path.is_symlink():
            return path
        if self.fetch is None:
            raise UnreadableError(f"{self.name}/{name} is not there; {MOVED}")
        return self.fetch(path)


@dataclass(slots=True)
class Segments:
    """The segments of a log, in order, none over another; and what the next start tidies among them."""

    found: list[Found] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Where they end."""
        return self.found[-1].manifest.end if self.found else 0

    def check_signatures(self, keys: KeyHistory, findings: Findings, *, rotated: int | None = None) -> None:
        """Report the manifests that no key of the log signed.

        Where entry `rotated` says that there is a key that is not among these, and entries are not read, it cannot be told who signed them.
        """
        for each in self.found:
            try:
                open_manifest(each.note, keys, keys.origin)
            except LedgerError as error:
                where, detail = f"{each.name}/{manifest_name(each.manifest.generation)}", error.detail
                if rotated is not None:
                    detail += f"; entry {rotated} says that the log's key was rotated, which this level does not check: verify at level hashes"
                kind = Kind.ALTERED if rotated is None else Kind.UNVERIFIABLE
                findings.add(kind, where, detail, each.manifest.start)

    def check_files(
        self,
        findings: Findings,
        *,
        base: int = 0,
        progress: Callable[[int, int], None] | None = None,
        pace: Pace | None = None,
        here: bool = False,
    ) -> int:
        """Compare whole files with the digests of their manifests, from entry `base` on; how many bytes were read.

        With `here` the large files of a segment that has none of them in its folder are left out: they are in an object store.
        """
        read = 0
        for each in self.found:
            if each.manifest.end > base:
                away = here and not any(each.folder.glob(f"*{LARGE}"))
                for name in each.manifest.files:
                    if not (away and name.endswith(LARGE)):
                        read += _check_file(each, name, findings, pace)
            if progress is not None:
                progress(each.manifest.end, self.end)
        return read


def find_segments(data: Path, origin: str, findings: Findings, fetch: Fetch | None = None) -> Segments:
    """Read every manifest, and report what none of them names."""
    several: list[Found] = []
    segments = Segments()
    folder = data / SEGMENTS
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_building(path):
            segments.leftovers.append(f"{SEGMENTS}/{path.name}")
        elif not path.is_dir() or path.is_symlink():
            findings.add(
                Kind.ALTERED, f"{SEGMENTS}/{path.name}", "it stands there, and the log does not cover it"
            )
        elif found := _find(path, origin, findings, segments.leftovers):
            several.append(found._replace(fetch=fetch))
    for found in sorted(several, key=lambda each: (each.manifest.start, each.folder.name)):
        if found.manifest.start < segments.end:
            detail = f"its manifest is of entries {found.manifest.start} to {found.manifest.end - 1}, and another segment has them"
            findings.add(Kind.ALTERED, found.name, detail)
            continue
        _check_chain(segments, found, findings)
        segments.found.append(found)
    return segments


def _find(folder: Path, origin: str, findings: Findings, leftovers: list[str]) -> Found | None:
    name, paths = f"{SEGMENTS}/{folder.name}", sorted(folder.iterdir())
    notes = {generation: path for path in paths if (generation := generation_of(path.name))}
    start = int(folder.name) if folder.name.isdecimal() else None
    if not notes:
        findings.add(Kind.MISSING, f"{name}/manifest-1", "the segment has no manifest", start)
        return None
    newest = max(notes)
    note = _read(notes[newest])
    try:
        manifest = open_manifest(note, None, origin)
    except LedgerError as error:
        findings.add(Kind.ALTERED, f"{name}/{manifest_name(newest)}", error.detail, start)
        return None
    if manifest.generation != newest:
        detail = f"it says that it is of generation {manifest.generation}"
        findings.add(Kind.ALTERED, f"{name}/{manifest_name(newest)}", detail, manifest.start)
    if start != manifest.start:
        detail = f"its manifest is of the segment that begins at entry {manifest.start}"
        findings.add(Kind.ALTERED, name, detail, manifest.start)
    first = manifest_digest(_read(notes[1])) if 1 in notes else None
    before = notes.get(newest - 1)
    if newest > 1 and (before is None or manifest_digest(_read(before)) != manifest.replaces):
        detail = "the manifest of the generation before is not there, or another one"
        findings.add(Kind.ALTERED, f"{name}/{manifest_name(newest - 1)}", detail)
    strays = [path for path in paths if path.name not in manifest.files and path not in notes.values()]
    earlier = [*_earlier(notes, newest, origin)] if strays else []
    for path in strays:
        if is_renewing(path, manifest, earlier):
            leftovers.append(f"{name}/{path.name}")
        else:
            findings.add(Kind.ALTERED, f"{name}/{path.name}", "it stands there, and no manifest names it")
    return Found(folder, manifest, note, first)


def _earlier(notes: dict[int, Path], newest: int, origin: str) -> Iterator[Manifest]:
    for generation, path in notes.items():
        with contextlib.suppress(LedgerError):
            if generation < newest:
                yield open_manifest(_read(path), None, origin)


def _check_chain(segments: Segments, found: Found, findings: Findings) -> None:
    """A segment begins where the one before it ends, and its first manifest names that one's."""
    manifest, before = found.manifest, segments.found[-1] if segments.found else None
    if manifest.start != segments.end or (before is None) != (manifest.previous is None):
        return  # what lies between is missing, and is reported as that
    if before is not None and manifest.previous != before.first:
        where = f"{found.name}/{manifest_name(manifest.generation)}"
        detail = f"it follows another manifest than {before.name}/{manifest_name(1)}"
        findings.add(Kind.ALTERED, where, detail, manifest.start)


def _check_file(each: Found, name: str, findings: Findings, pace: Pace | None) -> int:
    where, start = f"{each.name}/{name}", each.manifest.start
    try:
        path = each.file(name)
    except UnreadableError:
        findings.add(Kind.MISSING, where, f"the manifest names it, and it is not there; {MOVED}", start)
        return 0
    except LedgerError as error:
        altered = error.code is Code.OBJECT_DIFFERS
        findings.add(Kind.ALTERED if altered else Kind.UNVERIFIABLE, where, error.detail, start)
        return 0
    if path.is_symlink():
        findings.add(Kind.ALTERED, where, "a link stands in its place", start)
        return 0
    seen, read = sha256(), 0
    try:
        with path.open("rb", buffering=0) as file:
            block = memoryview(bytearray(BLOCK_BYTES))
            while count := file.readinto(block):
                seen.update(block[:count])
                read += count
                if pace is not None:
                    pace(count)
    except OSError as error:
        findings.add(Kind.UNVERIFIABLE, where, f"it cannot be read: {error}", start)
        return read
    if (read, seen.hexdigest()) != each.manifest.files[name]:
        findings.add(Kind.ALTERED, where, "its bytes are not those that the signed manifest names")
    return read


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_MANIFEST_BYTES + 1)
    except OSError:
        return b""
