"""Reads a zip file that may have been made to mislead: two programs must never see different files in it.

Stricter than the format (PKWARE APPNOTE 6.3.10): nothing before, between or after its parts but what they are; one disk; no zip64, no
encryption, no comment; stored or deflated; each name once, also where case is ignored, and the same in both headers.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from ledger.core.errors import Code, FormatError

_END: Final = struct.Struct("<4s4H2LH")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_DESCRIBED: Final = 0x0008  # the lengths stand again after the data
_KNOWN_FLAGS: Final = 0x0006 | _DESCRIBED | 0x0800  # how hard it was deflated; UTF-8 names
MAX_FILES: Final = 60_000


class _Member(NamedTuple):
    name: str
    method: int
    described: bool
    crc: int
    packed: int
    size: int
    offset: int


def read_zip(data: bytes, is_name: Callable[[str], bool], *, max_file: int, max_all: int) -> dict[str, bytes]:
    """All files of a zip, by name. Folders, which hold nothing, are left out.

    Args:
        data: the whole zip.
        is_name: whether a file may have this name.
        max_file: most bytes of one file, unpacked.
        max_all: most bytes of all.

    Raises:
        FormatError: `malformed-evidence`: it is no such zip.
    """
    members, directory = _members(data)
    if sum(member.size for member in members) > max_all:
        raise _refused(f"its files are more than {max_all} bytes")
    seen: set[str] = set()
    files: dict[str, bytes] = {}
    position = 0
    for member in sorted(members, key=lambda member: member.offset):
        if member.offset != position:
            raise _refused(
                f"there is something at byte {position} that is no file of it, or two files share it"
            )
        start, position = _data(data, member, directory)
        if member.name.endswith("/") and not member.size:
            continue
        if not is_name(member.name):
            raise _refused(f"no evidence holds a file named {member.name[:80]!a}")
        if member.name.lower() in seen:
            raise _refused(f"it holds {member.name!a} twice")
        if member.size > max_file:
            raise _refused(f"{member.name} is more than {max_file} bytes")
        seen.add(member.name.lower())
        files[member.name] = _unpacked(member, data[start : start + member.packed])
    if position != directory:
        raise _refused("there is something between its files and its directory")
    return files


def _members(data: bytes) -> tuple[list[_Member], int]:
    """What the directory says, and where it begins."""
    end = len(data) - _END.size
    if end < 0 or data[end : end + 4] != b"PK\x05\x06":
        raise _refused("it does not end as a zip without a comment does")
    _, disk, first, here, count, size, offset, comment = _END.unpack_from(data, end)
    if disk or first or here != count or comment or offset + size != end or count > MAX_FILES:
        raise _refused("its end does not describe one zip of one part, without zip64")
    members, position = [], offset
    for _ in range(count):
        member, position = _central(data, position, end)
        members.append(member)
    if position != end:
        raise _refused("its directory has more or less than it says")
    return members, offset


def _central(data: bytes, position: int, end: int) -> tuple[_Member, int]:
    if position + _CENTRAL.size > end:
        raise _refused("its directory ends too early")
    fields = _CENTRAL.unpack_from(data, position)
    (
        signature,
        _,
        _,
        flags,
        method,
        _,
        _,
        crc,
        packed,
        size,
        name_length,
        extra,
        comment,
        disk,
        _,
        _,
        offset,
    ) = fields
    after = position + _CENTRAL.size + name_length + extra + comment
    if signature != b"PK\x01\x02" or disk or comment or after > end:
        raise _refused("its directory is damaged")
    name_at = position + _CENTRAL.size
    name = _name(data[name_at : name_at + name_length])
    if flags & ~_KNOWN_FLAGS or method not in (_STORED, _DEFLATED):
        raise _refused(f"{name!a} is encrypted or packed in another way than stored or deflated")
    if method == _STORED and packed != size:
        raise _refused(f"{name!a} is stored, and has two lengths")
    return _Member(name, method, bool(flags & _DESCRIBED), crc, packed, size, offset), after


def _name(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise _refused(f"it holds a file whose name is not ASCII: {raw[:80]!a}") from None


def _data(data: bytes, member: _Member, directory: int) -> tuple[int, int]:
    """Where a file's bytes begin, and where the next file must."""
    if member.offset + _LOCAL.size > directory:
        raise _refused(f"{member.name!a} is outside of it")
    signature, _, _, method, _, _, crc, packed, size, name_length, extra = _LOCAL.unpack_from(
        data, member.offset
    )
    name_at = member.offset + _LOCAL.size
    start = name_at + name_length + extra
    end = start + member.packed
    if (
        signature != b"PK\x03\x04"
        or method != member.method
        or data[name_at : name_at + name_length] != member.name.encode()
        or end > directory
        or (not member.described and (crc, packed, size) != (member.crc, member.packed, member.size))
    ):
        raise _refused(f"what its directory says of {member.name!a} is not what stands before that file")
    return start, _described_end(data, member, end) if member.described else end


def _described_end(data: bytes, member: _Member, end: int) -> int:
    lengths = struct.pack("<3L", member.crc, member.packed, member.size)
    if data[end : end + 16] == b"PK\x07\x08" + lengths:
        return end + 16
    if data[end : end + 12] == lengths:
        return end + 12
    raise _refused(f"what stands after {member.name!a} does not describe it")


def _unpacked(member: _Member, packed: bytes) -> bytes:
    content = packed
    if member.method == _DEFLATED:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = stream.decompress(packed, member.size + 1)
        except zlib.error as error:
            raise _refused(f"{member.name} cannot be unpacked: {error}") from None
        if not stream.eof or stream.unused_data:
            raise _refused(f"{member.name} cannot be unpacked to the length that is said of it")
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise _refused(f"{member.name} is not what its checksum says: the file was damaged on its way")
    return content


def _refused(detail: str) -> FormatError:
    return FormatError(
        Code.MALFORMED_EVIDENCE, f"not a zip that can be trusted to hold one thing only: {detail}"
    )
