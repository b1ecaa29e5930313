"""Files that somebody handed over are read up to what they can be."""

import errno
from pathlib import Path

import pytest

from ledger.records.bounded import read_bounded


def test_a_file_of_the_limit_is_read_whole_and_one_byte_more_is_refused(tmp_path):
    path = tmp_path / "note"
    path.write_bytes(b"x" * 2_000_000)
    assert read_bounded(path, 2_000_000) == b"x" * 2_000_000
    with pytest.raises(OSError, match=r"it is longer than 1,999,999 bytes") as refused:
        read_bounded(path, 1_999_999)
    assert (refused.value.errno, refused.value.filename) == (errno.EFBIG, str(path))


def test_what_has_no_end_is_not_read_to_it():
    with pytest.raises(OSError, match="longer than 1,000 bytes"):
        read_bounded(Path("/dev/zero"), 1_000)
