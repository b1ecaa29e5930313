"""The manifest of a segment: what it says reads back, and nothing else is taken for one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import canonical, ed25519
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import NoteSigner, sign_note
from ledger.storage.manifest import (
    ENTRIES,
    ROLES,
    TITLE,
    FileInfo,
    Manifest,
    Retired,
    file_name,
    generation_of,
    manifest_digest,
    manifest_name,
    open_manifest,
    role_of,
    sign_manifest,
)
from tests.storage.sealing import ORIGIN, SIGNER

OTHER = NoteSigner(ORIGIN, ed25519.SigningKey(bytes(32)))
KEYS = KeyHistory.begin(SIGNER.key)
ROOT = bytes(range(32))
CHECKPOINT = sign_checkpoint(Checkpoint(ORIGIN, 20, ROOT), SIGNER)
DIGEST = "ab" * 32
MANIFEST = Manifest(
    ORIGIN,
    10,
    20,
    1,
    ROOT,
    CHECKPOINT,
    {role: FileInfo(5, DIGEST) for role in ROLES},
    previous=manifest_digest(b"before"),
)


@given(
    st.integers(0, 2**40),
    st.integers(1, 2**30),
    st.integers(1, 99),
    st.lists(st.booleans(), min_size=7, max_size=7),
    st.integers(0, 1),
)
def test_what_is_signed_reads_back(start, entries, generation, renewed, retired):
    files = {
        file_name(role, generation if again else 1): FileInfo(entries, DIGEST)
        for role, again in zip(ROLES, renewed, strict=True)
    }
    end = start + entries
    manifest = Manifest(
        ORIGIN,
        start,
        end,
        generation,
        ROOT,
        sign_checkpoint(Checkpoint(ORIGIN, end, ROOT), SIGNER),
        files,
        DIGEST if start else None,
        DIGEST if generation > 1 else None,
        Retired(retired, retired),
    )
    assert open_manifest(sign_manifest(manifest, SIGNER), KEYS, ORIGIN) == manifest
    assert [role_of(manifest.file(role)) for role in ROLES] == list(ROLES)


def said(**changed):
    """A signed note of a manifest in which something is otherwise; None takes a member away."""
    text = sign_manifest(MANIFEST, SIGNER).decode().split("\n")[2]
    members = {**canonical.parse_canonical(text.encode()), **changed}
    members = {name: value for name, value in members.items() if value is not None}
    return sign_note(f"{TITLE}\n{ORIGIN}\n{canonical.dumps(members).decode()}\n", SIGNER)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"start": -1}, "start"),
        ({"start": 20}, "covers no entry"),
        ({"start": True}, "start"),
        ({"start": 0}, "not chained"),
        ({"end": 21}, "checkpoint"),
        ({"end": "20"}, "end"),
        ({"generation": 0}, "generation"),
        ({"generation": 2}, "not chained"),
        ({"replaces": DIGEST}, "not chained"),
        ({"previous": None}, "not chained"),
        ({"previous": "AB" * 32}, "previous"),
        ({"root": "00" * 32}, "root"),
        ({"root": "00"}, "root"),
        ({"checkpoint": 5}, "checkpoint"),
        ({"checkpoint": "nothing"}, "note"),
        (
            {"checkpoint": sign_checkpoint(Checkpoint(ORIGIN, 20, ROOT), OTHER).decode()},
            "signed by none|signature",
        ),
        ({"files": {}}, "one of each"),
        ({"files": []}, "one of each"),
        (
            {"files": {name: {"bytes": 1, "sha256": DIGEST} for name in (*ROLES, "entries-2.parquet")}},
            "one of each",
        ),
        (
            {"files": {n.replace("keys", "keys-2"): {"bytes": 1, "sha256": DIGEST} for n in ROLES}},
            "later generation",
        ),
        ({"files": {name: {"bytes": -1, "sha256": DIGEST} for name in ROLES}}, "no count"),
        ({"files": {name: {"bytes": 1, "sha256": "x"} for name in ROLES}}, "hex"),
        ({"files": {name: {"bytes": 1} for name in ROLES}}, "no length and digest"),
        ({"retired": {"entries": 11, "contents": 0}}, "more is retired"),
        ({"retired": {"entries": 1}}, "counted"),
        ({"retired": None}, "members"),
        ({"more": 1}, "members"),
    ],
)
def test_a_signed_manifest_that_says_what_cannot_be_is_refused_with_the_reason(changed, why):
    with pytest.raises(LedgerError, match=why) as caught:
        open_manifest(said(**changed), KEYS, ORIGIN)
    assert caught.value.code is Code.STORAGE_FAILED


def test_a_manifest_of_another_key_or_log_or_none_at_all_is_refused():
    note = sign_manifest(MANIFEST, SIGNER)
    for data, keys, origin in [
        (note, KeyHistory.begin(OTHER.key), ORIGIN),
        (note, KEYS, "ledger.example/other"),
        (note.replace(b'"start":10', b'"start":11'), KEYS, ORIGIN),
        (note[:-5], KEYS, ORIGIN),
        (CHECKPOINT, KEYS, ORIGIN),
        (sign_note(f"{TITLE}\n{ORIGIN}\n", SIGNER), KEYS, ORIGIN),
        (sign_note(f"{TITLE}\n{ORIGIN}\n[]\n", SIGNER), KEYS, ORIGIN),
        (sign_note(f"{TITLE}\n{ORIGIN}\n{{\n", SIGNER), KEYS, ORIGIN),
        (b"", KEYS, ORIGIN),
        (b"\xff\x00" * 100, None, ORIGIN),
    ]:
        with pytest.raises(LedgerError, match="cannot be believed") as caught:
            open_manifest(data, keys, origin)
        assert caught.value.code is Code.STORAGE_FAILED


def test_without_keys_the_form_is_checked_and_no_signature():
    assert open_manifest(sign_manifest(MANIFEST, OTHER), None, ORIGIN) == MANIFEST
    with pytest.raises(LedgerError, match="checkpoint"):
        sign_manifest(replace(MANIFEST, root=bytes(32)), SIGNER)


@pytest.mark.parametrize(
    "name",
    [
        "../keys",
        "keys/..",
        "keys-0",
        "keys-01",
        "entries-2",
        "entries.parquet-2",
        "Keys",
        "",
        "log.key",
        "keys-2\n",
    ],
)
def test_a_name_that_no_release_gives_is_no_file_of_a_segment(name):
    assert role_of(name) is None
    assert generation_of(name) is None


def test_names_tell_role_and_generation():
    assert (file_name(ENTRIES, 1), file_name(ENTRIES, 3), file_name("keys", 2)) == (
        "entries.parquet",
        "entries-3.parquet",
        "keys-2",
    )
    assert role_of("entries-3.parquet") == ENTRIES
    assert generation_of(manifest_name(12)) == 12
