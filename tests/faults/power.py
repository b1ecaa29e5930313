"""What a power cut would have left: the injector's journal, played back up to a point, with what was never synced lost.

A kill leaves everything that was written; the power cut leaves what was synced, and of the rest what the disk happened to have. Three of the
states that a file system may come back with (POSIX; ext4 and XFS promise more):

    synced   of each file what it held at its last fsync, of each folder the names it had at its last fsync
    names    all names, as a journalling file system may have them, of each file what it held at its last fsync
    some     names up to some operation after the folder's last fsync; of each file some of what was written since, in pieces of 4 KiB
"""

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

PIECE_BYTES = 4096
STATES = ("synced", "names", "some")


class Done(NamedTuple):
    """One operation of the journal.

    Attributes:
        end: where its record ends in the journal.
        offset: of a write; of a truncation the size.
        sync: written through to the disk (O_DSYNC).
    """

    end: int
    call: str
    path: str
    other: str
    offset: int
    data: bytes
    sync: bool


def read_journal(path: Path) -> list[Done]:
    """All operations, in order."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        line_end = data.index(b"\n", at) + 1
        call, name, other, offset, size, sync = data[at : line_end - 1].decode().split("\t")
        at = line_end + (int(size) if call == "write" else 0)
        found.append(Done(at, call, name, other, int(offset), data[line_end:at], sync == "1"))
    return found


@dataclass
class _File:
    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    since: list[Done] = field(default_factory=list)


class Disk:
    """A folder as it is in memory and as it is on the disk. `play` it up to a point, then ask for a state."""

    def __init__(self) -> None:
        self.names: dict[str, _File | None] = {}  # None: a folder
        self.synced: dict[str, _File | None] = {}
        self.after: dict[
            str, list[dict[str, _File | None]]
        ] = {}  # folder → its names after each change since its last fsync

    def play(self, done: Done) -> None:
        """One operation."""
        match done.call:
            case "create":
                self.names[done.path] = _File()
                self._named(done.path)
            case "mkdir":
                self.names[done.path] = None
                self._named(done.path)
            case "unlink":
                self.names.pop(done.path, None)
                self._named(done.path)
            case "rename":
                self._rename(done.path, done.other)
            case "link":
                self.names[done.path] = self.names.get(done.other)
                self._named(done.path)
            case "write" | "truncate" | "allocate":
                self._change(done)
            case "sync":
                self._sync(done.path)

    def _rename(self, old: str, new: str) -> None:
        moved = {
            name: self.names.pop(name)
            for name in list(self.names)
            if name == old or name.startswith(old + "/")
        }
        self.names |= {new + name[len(old) :]: what for name, what in moved.items()}
        # What the disk knew of a folder's inside it still knows: it is the same folder under another name.
        inside = {name: what for name, what in self.synced.items() if name.startswith(old + "/")}
        self.synced |= {new + name[len(old) :]: what for name, what in inside.items()}
        self._named(old)
        self._named(new)

    def _named(self, path: str) -> None:
        folder = _parent(path)
        self.after.setdefault(folder, []).append(self._children(self.names, folder))

    def _children(self, names: dict[str, _File | None], folder: str) -> dict[str, _File | None]:
        return {name: what for name, what in names.items() if _parent(name) == folder}

    def _change(self, done: Done) -> None:
        file = self.names.get(done.path)
        if file is None:
            return
        _apply(file.now, done)
        file.since.append(done)
        if done.sync:
            file.synced, file.since = bytes(file.now), []

    def _sync(self, path: str) -> None:
        file = self.names.get(path)
        if file is not None:
            file.synced, file.since = bytes(file.now), []
            return
        for name in self._children(self.synced, path):
            del self.synced[name]
        self.synced |= self._children(self.names, path)
        self.after.pop(path, None)

    def state(self, kind: str, chance: random.Random) -> dict[str, bytes | None]:
        """Path → what the file holds, None for a folder, after a power cut at this point."""
        if kind == "synced":
            names = self.synced
        elif kind == "names":
            names = self.names
        else:
            names = self._some_names(chance)
        held: dict[str, bytes | None] = {}
        for name in sorted(names):
            file = names[name]
            if _parent(name) and _parent(name) not in held:
                continue  # its folder has no name yet
            held[name] = None if file is None else _some(file, chance) if kind == "some" else file.synced
        return held

    def _some_names(self, chance: random.Random) -> dict[str, _File | None]:
        names = dict(self.synced)
        for folder, versions in self.after.items():
            choice = chance.randrange(len(versions) + 1)
            if choice:
                for name in self._children(names, folder):
                    del names[name]
                names |= versions[choice - 1]
        return names


def _some(file: _File, chance: random.Random) -> bytes:
    content = bytearray(file.synced)
    for done in file.since[: chance.randrange(len(file.since) + 1)]:
        if done.call != "write":
            _apply(content, done)
            continue
        for low in range(0, len(done.data), PIECE_BYTES):
            if chance.random() < 0.7:
                piece = done.data[low : low + PIECE_BYTES]
                _apply(content, done._replace(offset=done.offset + low, data=piece))
    return bytes(content)


def _apply(content: bytearray, done: Done) -> None:
    if done.call == "write":
        if len(content) < done.offset:
            content.extend(bytes(done.offset - len(content)))
        content[done.offset : done.offset + len(done.data)] = done.data
    elif done.call == "truncate":
        del content[done.offset :]
        content.extend(bytes(done.offset - len(content)))
    elif done.offset > len(content):
        content.extend(bytes(done.offset - len(content)))


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def put(state: dict[str, bytes | None], base: Path) -> None:
    """Write a state into an empty folder."""
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    for name, held in state.items():
        if held is None:
            (base / name).mkdir(mode=0o700)
        else:
            (base / name).write_bytes(held)
            (base / name).chmod(0o600)
