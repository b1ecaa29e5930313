"""A segment that somebody or the disk laid hands on: told with the file, and with what to do; never a library's own words alone."""

import os
import random
import shutil
import time

import pytest

from ledger.core import ed25519
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import NoteSigner
from ledger.storage.manifest import CONTENTS, ENTRIES, HASHES, KEYS, OWN, ROLES, TILES
from ledger.storage.segment import Segment
from tests.storage.sealing import ORIGIN, SIGNER, a_log, opened, whole


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    return a_log(2200).seal(tmp_path_factory.mktemp("segments"), 0, 2151)[0]


@pytest.fixture
def folder(sealed, tmp_path):
    copy = tmp_path / sealed.name
    shutil.copytree(sealed, copy)
    for path in copy.iterdir():
        path.chmod(0o600)
    return copy


def read_everything(segment):
    """Every way of reading."""
    whole(segment)
    segment.row(0), segment.row(2100), segment.known([1, 2000]), segment.entries(0, 2151)
    (
        segment.hashes(0, 2151),
        segment.tile_roots(),
        segment.own_entries(),
        segment.id_keys(),
        list(segment.ids()),
    )


def what_reading_raises(segment):
    try:
        read_everything(segment)
    except LedgerError as error:
        return error
    return None


def refused(folder, **options):
    with pytest.raises(LedgerError) as caught:
        opened(folder, **options)
    assert caught.value.code is Code.STORAGE_FAILED
    return caught.value.detail


@pytest.mark.parametrize("role", ROLES)
def test_a_file_that_is_gone_or_shorter_or_longer_is_told_when_the_segment_is_opened(folder, role):
    path = folder / role
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert f"{path} cannot be read: it has {len(data) - 1} bytes" in refused(folder)
    path.write_bytes(data + b"x")
    assert str(path) in refused(folder)
    path.unlink()
    assert f"{path} cannot be read: it is gone" in refused(folder)


@pytest.mark.parametrize("role", ROLES)
def test_a_link_in_a_files_place_is_not_followed(folder, tmp_path, role):
    path = folder / role
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert "link" in refused(folder)


def test_a_folder_or_pipe_in_a_files_place_is_told(folder):
    (folder / KEYS).unlink()
    os.mkfifo(folder / KEYS)
    assert "link or something else" in refused(folder)


@pytest.mark.parametrize("role", ROLES)
def test_a_byte_that_changed_is_found_by_the_digests_and_named(folder, role):
    path = folder / role
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x20
    path.write_bytes(data)
    segment = opened(folder)
    assert segment.digest_mismatches() == [f"{path}: its bytes are not those that the manifest names"]


@pytest.mark.parametrize("role", [ENTRIES, CONTENTS])
@pytest.mark.parametrize("where", [0.0, 0.2, 0.6, 0.97, 0.995, 0.9999])
@pytest.mark.parametrize("what", [b"\x00" * 64, b"\xff" * 64, random.Random(7).randbytes(400)])
def test_a_garbled_parquet_file_gives_the_rows_it_had_or_says_that_it_cannot_be_read(
    sealed, folder, role, where, what
):
    path = folder / role
    data = bytearray(path.read_bytes())
    at = min(int(len(data) * where), len(data) - len(what))
    data[at : at + len(what)] = what
    path.write_bytes(data)
    segment = opened(folder)
    error = what_reading_raises(segment)
    if error is None:
        assert whole(segment).equals(whole(opened(sealed)))
    else:
        assert error.code is Code.STORAGE_FAILED
        assert f"{path} cannot be read" in error.detail
        assert "agent-ledger verify" in error.detail
    segment.close()


@pytest.mark.parametrize("role", [ENTRIES, CONTENTS])
def test_a_file_that_was_swapped_for_another_of_its_length_is_refused(folder, role):
    path = folder / role
    path.write_bytes(b"PAR1" + bytes(path.stat().st_size - 8) + b"PAR1")
    segment = opened(folder)
    with pytest.raises(LedgerError, match="cannot be read"):
        segment.row(5)


@pytest.mark.parametrize("role", [HASHES, KEYS, TILES, OWN])
def test_a_file_that_shrinks_after_it_was_opened_is_told(folder, role):
    segment = opened(folder)
    os.truncate(folder / role, 7)
    with pytest.raises(LedgerError, match=role):
        segment.hashes(0, 2151), segment.tile_roots(), segment.own_entries(), segment.id_keys()


def test_a_manifest_that_is_not_this_logs_or_not_this_folders_is_refused(folder, tmp_path):
    moved = folder.rename(tmp_path / f"{7:016d}")
    assert "begins at entry 0" in refused(moved)
    folder = moved.rename(folder)
    assert "signed by none of the known keys" in _with_keys(
        folder, NoteSigner(ORIGIN, ed25519.SigningKey(bytes(32)))
    )
    with pytest.raises(LedgerError, match="of the log"):
        Segment.open(folder, keys=None, origin="ledger.example/other")
    (folder / "manifest-2").write_bytes((folder / "manifest-1").read_bytes())
    assert "generation 1" in refused(folder)
    (folder / "manifest-2").write_bytes(b"")
    assert "cannot be believed" in refused(folder)
    (folder / "manifest-2").unlink()
    (folder / "manifest-1").unlink()
    assert "no manifest" in refused(folder)


def _with_keys(folder, signer):
    with pytest.raises(LedgerError) as caught:
        Segment.open(folder, keys=KeyHistory.begin(signer.key), origin=ORIGIN)
    return caught.value.detail


def test_what_is_fetched_is_compared_with_the_manifest_before_it_is_read(sealed, folder):
    (folder / ENTRIES).unlink()
    assert opened(folder, fetch=lambda path: sealed / path.name).row(5) == opened(sealed).row(5)
    with pytest.raises(LedgerError, match="not what the manifest names"):
        opened(folder, fetch=lambda _: sealed / CONTENTS).row(5)


def test_a_closed_segment_says_so(folder):
    segment = opened(folder)
    segment.row(1)
    segment.close()
    with pytest.raises(LedgerError, match="closed"):
        segment.row(1)


def test_fifty_segments_open_in_less_than_a_second(folder, tmp_path):
    started = time.process_time()
    for _ in range(50):
        Segment.open(folder, keys=KeyHistory.begin(SIGNER.key), origin=ORIGIN)
    assert time.process_time() - started < 1
