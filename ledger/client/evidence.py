"""Verifies an evidence file (docs/evidence.md) without a ledger. The page `verify.html` does the same and shares no code with it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.client.agents import about_agents, check_agents
from ledger.client.crossed import KEPT, about_peers, check_peers
from ledger.client.zipped import read_zip
from ledger.core import evidence as names
from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.entry import Entry, commitment, parse_entry
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.evidence import MAX_BYTES, MAX_FILE_BYTES, Manifest, entry_file, place_of
from ledger.core.keyhistory import KeyHistory, parse_history
from ledger.core.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.core.note import VerifierKey, fingerprint, format_vkey, open_note, parse_note, parse_vkey
from ledger.core.receipt import parse_receipt
from ledger.core.text import parse_base64

_ZIP_BYTES: Final = MAX_BYTES + 32 * 1024 * 1024
_REQUIRED: Final = (names.MANIFEST, names.FILES, names.CHECKPOINT, names.VKEY, names.REQUEST)


class Finding(NamedTuple):
    """Something that does not hold.

    Attributes:
        kind: `unreadable`, `missing`, `added`, `altered`, `key`, `manifest`, `signature`, `checkpoint`, `entry`, `proof`, `chain`, `contents`,
            `commitment`, `peer`, `request` or `result`.
        file: the file it was found in, "" for the whole.
        seq: the entry it is about, None where it is about none.
        detail: a sentence.
    """

    kind: str
    file: str
    seq: int | None
    detail: str


@dataclass(slots=True)
class EvidenceReport:
    """What a verification found.

    Attributes:
        key: the verifier key that signatures were checked under, None where there was none.
        own_key: it is only the file's own word.
        manifest: what the log signed; None where that cannot be read.
        entries: seq → the entry, those whose bytes and place the receipts prove.
        disclosed: how many contents and persons are what their commitments say.
        signatures: how many entries are signed by their agent, under a key that an entry of the file grants.
        signatures_not_checked: how many are signed under a key whose entry is not in the file.
        peers: how many entries keep a peer's receipt that proves what they say of a call.
        peers_not_checked: how many say so, and it could not be checked.
        rows: how many rows the answer to the SQL has; None where nothing was asked.
        findings: what does not hold.
        checkpoint_note: the signed checkpoint that all receipts lead to, once it is known to be the log's; None else.
        keys: the log's keys, as far as the file proves them; None where there was no key.
    """

    key: VerifierKey | None = None
    own_key: bool = False
    manifest: Manifest | None = None
    entries: dict[int, Entry] = field(default_factory=dict)
    disclosed: int = 0
    signatures: int = 0
    signatures_not_checked: int = 0
    peers: int = 0
    peers_not_checked: int = 0
    rows: int | None = None
    findings: list[Finding] = field(default_factory=list)
    checkpoint_note: bytes | None = None
    keys: KeyHistory | None = None
    _told: set[tuple[str, str]] = field(default_factory=set)

    def add(self, kind: str, file: str, detail: str) -> None:
        """Tell of something that does not hold; the same of one file once."""
        if (kind, file) not in self._told:
            self._told.add((kind, file))
            place = place_of(file)
            self.findings.append(Finding(kind, file, place[0] if place else None, detail))

    @property
    def verdict(self) -> str:
        """`holds`, `consistent with itself` (under its own key alone) or `does not hold`."""
        if self.findings:
            return "does not hold"
        return "consistent with itself" if self.own_key else "holds"


def verify_evidence(
    path: Path, key: VerifierKey | None = None, peers: Iterable[VerifierKey] = ()
) -> EvidenceReport:
    """Verify an evidence file.

    Args:
        path: the zip.
        key: the log's verifier key as the caller knows it; else the file's own.
        peers: keys of other organisations' logs whose receipts are in it; else those that entries of the file accept.

    Raises:
        OSError: it cannot be read.
    """
    report = EvidenceReport(key)
    if path.stat().st_size > _ZIP_BYTES:
        report.add("unreadable", "", f"it is more than {_ZIP_BYTES} bytes")
        return report
    try:
        files = read_zip(path.read_bytes(), names.is_file, max_file=MAX_FILE_BYTES, max_all=MAX_BYTES)
    except FormatError as error:
        report.add("unreadable", "", error.detail)
        return report
    _Verifying(files, report, peers).run()
    return report


class _Verifying:
    """One verification of files that were read."""

    def __init__(
        self, files: Mapping[str, bytes], report: EvidenceReport, peers: Iterable[VerifierKey]
    ) -> None:
        self._files, self._report, self._peers = files, report, peers
        self._kept: dict[int, bytes] = {}
        self._checkpoint: Checkpoint | None = None
        self._leaves: dict[int, bytes] = {}
        self._read: list[Entry] = []

    def run(self) -> None:
        for name in _REQUIRED:
            if name not in self._files:
                self._report.add("missing", name, f"{name} is not there")
        keys = self._find_keys()
        if keys is not None:
            self._open_manifest(keys)
            self._open_checkpoint(keys)
        self._compare_files()
        for seq in sorted({place[0] for path in self._files if (place := place_of(path))}):
            self._check_entry(seq)
        manifest, count = self._report.manifest, len(self._leaves)
        if manifest is not None and manifest.entries != count:
            said = f"the log signed {manifest.entries} entries, and {count} are here"
            self._report.add("manifest", names.MANIFEST, said)
        if self._report.key is not None:
            self._check_agents(self._report.key.name)
            self._check_peers(self._report.key.name)
        self._check_request()

    def _find_keys(self) -> KeyHistory | None:
        report, text = self._report, self._files.get(names.VKEY)
        try:
            own = None if text is None else parse_vkey(text.decode().removesuffix("\n"))
        except (LedgerError, UnicodeDecodeError) as error:
            report.add("key", names.VKEY, f"it is no verifier key: {error}")
            own = None
        if report.key is None:
            report.key, report.own_key = own, own is not None
        if report.key is None:
            return None
        keys = KeyHistory.begin(report.key)
        if (proof := self._files.get(names.KEYS)) is not None:
            try:
                keys = parse_history(proof, report.key)
            except LedgerError as error:
                report.add("key", names.KEYS, error.detail)
        if own is not None and own not in keys.keys:
            report.add("key", names.VKEY, f"it is {own}, and not the key that you gave")
        report.keys = keys
        return keys

    def _open_manifest(self, keys: KeyHistory) -> None:
        note = self._files.get(names.MANIFEST)
        if note is None:
            return
        try:
            self._report.manifest = names.parse_manifest(parse_note(note).text)
            if self._report.manifest.origin != keys.origin:
                raise FormatError(
                    Code.MALFORMED_EVIDENCE, f"it is of the log {self._report.manifest.origin!a}"
                )
        except LedgerError as error:
            self._report.add("manifest", names.MANIFEST, error.detail)
        try:
            size = self._report.manifest.size if self._report.manifest else 0
            open_note(note, keys.later(size))
        except LedgerError as error:
            self._report.add("signature", names.MANIFEST, error.detail)

    def _open_checkpoint(self, keys: KeyHistory) -> None:
        note, manifest = self._files.get(names.CHECKPOINT), self._report.manifest
        if note is None:
            return
        try:
            # Also of one that nobody signed it is said whether proofs lead to it.
            self._checkpoint = parse_checkpoint(parse_note(note).text)
            keys.open(note)
            self._report.checkpoint_note = note
            if manifest and (manifest.size, manifest.root) != (self._checkpoint.size, self._checkpoint.root):
                said = f"it is of size {self._checkpoint.size}, and not the one that the manifest names"
                raise FormatError(Code.MALFORMED_CHECKPOINT, said)
        except LedgerError as error:
            self._report.add("checkpoint", names.CHECKPOINT, error.detail)

    def _compare_files(self) -> None:
        text, manifest, report = self._files.get(names.FILES), self._report.manifest, self._report
        if text is None:
            return
        if manifest is not None and names.digest_of(text).sha256 != manifest.files:
            report.add("altered", names.FILES, "it is not the list whose SHA-256 the log signed")
        try:
            listed = names.parse_files(text)
        except LedgerError as error:
            report.add("manifest", names.FILES, error.detail)
            return
        for path, digest in sorted(listed.items()):
            if path not in self._files:
                report.add("missing", path, "it is listed, and not there")
            elif names.digest_of(self._files[path]) != digest:
                report.add("altered", path, "its SHA-256 is not the one that is listed")
        for path in sorted(self._files.keys() - listed.keys() - {names.MANIFEST, names.FILES}):
            report.add("added", path, "it is there, and not listed")

    # ---- entries

    def _check_entry(self, seq: int) -> None:
        path = entry_file(seq, names.ENTRY)
        data = self._files.get(path)
        if data is None:
            self._report.add("missing", path, f"entry {seq} is not there, and something about it is")
            return
        leaf = self._leaves[seq] = leaf_hash(data)
        try:
            entry = parse_entry(data)
            if entry.seq != seq:
                raise FormatError(Code.MALFORMED_ENTRY, f"it says that it is entry {entry.seq}")
        except LedgerError as error:
            self._report.add("entry", path, error.detail)
            return
        self._read.append(entry)
        if self._is_proved(seq, leaf):
            self._report.entries[seq] = entry
        before = self._leaves.get(seq - 1)
        if before is not None and entry.prev != before:
            self._report.add("chain", path, f"it does not follow entry {seq - 1}, which is here too")
        self._check_contents(seq, entry)

    def _is_proved(self, seq: int, leaf: bytes) -> bool:
        path = entry_file(seq, names.RECEIPT)
        text, checkpoint = self._files.get(path), self._checkpoint
        if text is None:
            self._report.add("missing", path, f"entry {seq} has no receipt")
            return False
        if checkpoint is None:
            return False
        try:
            receipt = parse_receipt(text)
            if receipt.index != seq or receipt.checkpoint_note != self._files[names.CHECKPOINT]:
                said = f"it is of entry {receipt.index}, or leads to another checkpoint"
                raise FormatError(Code.MALFORMED_RECEIPT, said)
            verify_inclusion(leaf, seq, checkpoint.size, receipt.proof, checkpoint.root)
        except LedgerError as error:
            self._report.add("proof", path, error.detail)
            return False
        return True

    def _check_contents(self, seq: int, entry: Entry) -> None:
        path = entry_file(seq, names.CONTENTS)
        text = self._files.get(path)
        if text is None:
            return
        try:
            contents = names.parse_contents(text)
        except LedgerError as error:
            self._report.add("contents", path, error.detail)
            return
        for each in contents.disclosed:
            if _member(entry, each.member) == commitment(each.salt, each.value).hex():
                self._report.disclosed += 1
                if each.member == KEPT:
                    self._kept[seq] = each.value
            else:
                said = f"{each.member} is not what entry {seq} commits to: its value or its salt was changed"
                self._report.add("commitment", path, said)

    def _check_agents(self, origin: str) -> None:
        """Agents' own signatures, under keys that entries of the file grant."""
        told = check_agents(self._read, self._report.entries, origin)
        self._report.signatures, self._report.signatures_not_checked = told.held, told.not_checked
        for seq, problem in told.problems:
            self._report.add("signature", entry_file(seq, names.ENTRY), problem)

    def _check_peers(self, origin: str) -> None:
        """Receipts of other organisations' logs that entries keep."""
        told = check_peers(self._read, self._report.entries, self._kept, origin, self._peers)
        self._report.peers, self._report.peers_not_checked = told.held, told.not_checked
        for seq, problem in told.problems:
            self._report.add("peer", entry_file(seq, names.ENTRY), problem)

    # ---- what was asked

    def _check_request(self) -> None:
        text, result = self._files.get(names.REQUEST), self._files.get(names.RESULT)
        if text is None:
            return
        try:
            asked = names.parse_line(text).get("asked")
        except LedgerError as error:
            self._report.add("request", names.REQUEST, error.detail)
            return
        if (asked is None) != (result is None):
            self._report.add(
                "request", names.REQUEST, "it and result.json do not agree on whether SQL was asked"
            )
        elif result is not None:
            self._check_result(asked, result)

    def _check_result(self, asked: Any, result: bytes) -> None:
        try:
            answer = json.loads(result)
            told = answer["size"], answer["root"]
            size, root, proof = asked["size"], bytes.fromhex(asked["root"]), asked["consistency"]
            if told != (size, asked["root"]) or type(size) is not int:
                raise ValueError("it is of another size or root of the log than the request says")  # noqa: TRY301
            if self._checkpoint is not None:
                hashes = [parse_base64(each) for each in proof]
                verify_consistency(size, self._checkpoint.size, hashes, root, self._checkpoint.root)
            self._report.rows = len(answer["rows"])
        except (LedgerError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._report.add(
                "result", names.RESULT, f"it is not the answer at a size that the checkpoint covers: {error}"
            )


def _member(entry: Entry, path: str) -> Any:
    """The value at `tool.arguments`, None where there is none."""
    value: Any = entry.members
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def report_dict(report: EvidenceReport, target: str) -> dict[str, Any]:
    """The report for programs."""
    manifest = report.manifest
    return {
        "target": target,
        "verdict": report.verdict,
        "origin": manifest.origin if manifest else None,
        "verifier_key": format_vkey(report.key) if report.key else None,
        "fingerprint": fingerprint(report.key) if report.key else None,
        "key_from": None if report.key is None else "the file itself" if report.own_key else "you",
        "made_at": manifest.made_at if manifest else None,
        "by": manifest.by if manifest else None,
        "size": manifest.size if manifest else None,
        "root": manifest.root.hex() if manifest else None,
        "entries": len(report.entries),
        "disclosed": report.disclosed,
        "signatures": report.signatures,
        "signatures_not_checked": report.signatures_not_checked,
        "peers": report.peers,
        "peers_not_checked": report.peers_not_checked,
        "rows": report.rows,
        "findings": [finding._asdict() for finding in report.findings],
        "words": words(report),
    }


def words(report: EvidenceReport) -> list[str]:
    """What the verdict rests on, and what it does not show."""
    return [
        *_about_key(report),
        *about_agents(report.signatures, report.signatures_not_checked),
        *about_peers(report.peers, report.peers_not_checked),
        "It does not show that what was recorded is true, nor that everything was recorded, nor that these are all entries that matter.",
    ]


def _about_key(report: EvidenceReport) -> Iterable[str]:
    if report.own_key and report.key is not None:
        yield (
            "The key is the file's own word. Compare its fingerprint with one you have from elsewhere, or give the key with --vkey: "
            f"{fingerprint(report.key)}"
        )
