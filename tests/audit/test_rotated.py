"""Whole files, compared with manifests that were signed after the log's key was rotated."""

from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.ed25519 import SigningKey
from ledger.core.note import NoteSigner, format_vkey
from ledger.core.report import Kind, Level
from ledger.records.prepare import own_record
from ledger.storage.manifest import open_manifest, sign_manifest
from tests.audit.sealed_log import ORIGIN, SIGNER, asking, filled, write_folder

NEW = NoteSigner(ORIGIN, SigningKey(bytes(range(1, 33))))


@pytest.mark.parametrize(
    ("told", "kind"), [("log.key_rotated", Kind.UNVERIFIABLE), ("log.access_revoked", Kind.ALTERED)]
)
def test_a_manifest_of_another_key_is_unverifiable_where_the_log_says_that_its_key_was_rotated(
    tmp_path: Path, told: str, kind: Kind
):
    """No entry is read at this level, so the log's word for a new key is neither believed nor called a lie: another level decides."""
    log = filled(3, group=3)
    log.commit(own_record(told, {"log.vkey": format_vkey(NEW.key)}), asking(3), asking(4))
    write_folder(tmp_path / "data", log, [3, 6])
    path = tmp_path / "data" / "segments" / f"{3:016d}" / "manifest-1"
    path.parent.chmod(0o700)
    path.chmod(0o600)
    path.write_bytes(sign_manifest(open_manifest(path.read_bytes(), None, ORIGIN), NEW))
    (finding,) = verify_folder(tmp_path / "data", level=Level.FILES, vkey=SIGNER.key).findings
    assert (finding.kind, finding.where) == (kind, f"segments/{3:016d}/manifest-1")
    assert ("verify at level hashes" in finding.detail) == (kind is Kind.UNVERIFIABLE)
