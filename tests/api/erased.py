"""What a server erases, and a look at every byte that it leaves: in files, and in the memory of its query workers."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import httpx

from tests.upkeep.holding import found

GROUND = {"ground": "request 4711, GDPR Art. 17"}


def spelled(*texts: str) -> tuple[str, ...]:
    """Texts as they are, and as JSON may spell them."""
    spellings = (lambda text: text, *(_json(ascii_only) for ascii_only in (False, True)))
    return tuple(dict.fromkeys(spell(text) for text in texts for spell in spellings))


def _json(ascii_only: bool) -> Callable[[str], str]:
    return lambda text: json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def traces(folder: Path, texts: Iterable[str]) -> list[str]:
    """In which files of a folder a text stands, in whatever spelling: as UTF-8, escaped as JSON may, as UTF-16."""
    wide = [each.encode(code) for each in texts for code in ("utf-16-le", "utf-16-be")]
    hits = found(folder, *texts)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with contextlib.suppress(FileNotFoundError):
            stored = path.read_bytes()
            hits += [f"{path.name}: UTF-16" for each in wide if each in stored]
    return hits


def workers(server: int) -> set[int]:
    """The processes of a server's queries."""
    mine = set()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == server and b"ledger.forensics" in (folder / "cmdline").read_bytes():
                mine.add(int(folder.name))
    return mine


def remembers(pid: int, texts: Iterable[str]) -> bool | None:
    """Whether a text stands in a process's memory; None where it may not be read."""
    wanted = re.compile(b"|".join(re.escape(each.encode()) for each in texts))
    try:
        return any(wanted.search(piece) for piece in _memory(pid))
    except PermissionError:
        return None


def _memory(pid: int) -> Iterator[bytes]:
    areas = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for area in areas:
            bounds, rights, *_ = area.split()
            low, high = (int(each, 16) for each in bounds.split("-"))
            if rights.startswith("rw") and not area.endswith("[vvar]"):
                memory.seek(low)
                with contextlib.suppress(OSError):  # reserved, and nothing in it
                    yield memory.read(high - low)


def erase(http: httpx.Client, wait: bool = True, **what: object) -> dict:
    """Ask, look, erase what was shown, wait until the log says that it is off the disk."""
    plan = http.post("/v1/erasure", json={**what, "dry_run": True}).json()
    repeated = {"as_of": plan["as_of"], "selection": plan["selection"]}
    answer = http.post("/v1/erasure", json={**what, **repeated, **GROUND})
    assert answer.status_code == 202, answer.text
    return {**answer.json(), **(awaited(http, answer.json()["told_in"][0]) if wait else {})}


def awaited(http: httpx.Client, seq: int) -> dict:
    """Until it is off the disk."""
    deadline = time.monotonic() + 60
    while (state := http.get(f"/v1/erasure/{seq}").json())["done_in"] is None:
        assert time.monotonic() < deadline, state
        assert state["compaction"]["failed"] is None
        time.sleep(0.05)
    return state
