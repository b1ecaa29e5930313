"""(h) The id index against the size of the log: what a record costs, and what stands in memory, beside a dict of the same ids.

A batch of 500 new ids is asked, as the sequencer does before each submission. Everything runs in processes of its own, so that memory is the index's.
"""

import multiprocessing
import random
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from uuid import UUID

from benchmarks.options import Options
from ledger.storage.ids import IdIndex, keys_of

SEGMENT, BATCH, ROUNDS = 200_000, 500, 200
MIB = 1024 * 1024


def record_id(seq: int) -> str:
    """Like a UUIDv7: 36 characters, ascending."""
    return str(UUID(int=(seq << 64) | (seq * 0x9E3779B97F4A7C15) % 2**64))


def memory(kind: str) -> int:
    """Bytes of this process that are `RssAnon` (its own) or `RssFile` (the kernel may take them back at any time)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{kind}:"))


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _asked(find: Callable[[list[str]], dict], first: int, last: int) -> float:
    """Microseconds an id, the median of many batches of ids from the range."""
    rng, each = random.Random(1), []
    for _ in range(ROUNDS):
        some = [record_id(seq) for seq in rng.sample(range(first, last), BATCH)]
        each.append(timed(lambda some=some: find(some)))
    return sorted(each)[ROUNDS // 2] / BATCH * 1e6


def _watch(peak: list[int], stop: threading.Event) -> None:
    while not stop.wait(0.002):
        peak[0] = max(peak[0], memory("RssAnon"))


def indexed(folder: Path, size: int) -> dict[str, float]:
    """Fill an index segment by segment, merging as the sealer does, then ask it."""
    before = memory("RssAnon")
    index = IdIndex(folder)
    add = merge = longest = 0.0
    peak, stop = [0], threading.Event()
    watching = threading.Thread(target=_watch, args=(peak, stop), daemon=True)
    watching.start()
    for start in range(0, size, SEGMENT):
        end = min(size, start + SEGMENT)
        keys = keys_of(map(record_id, range(start, end))).tobytes()
        add += timed(lambda start=start, end=end, keys=keys: index.add(start, end, keys))
        took = timed(index.merge)
        merge, longest = merge + took, max(longest, took)
    stop.set()
    watching.join()
    began = time.perf_counter()
    index = IdIndex(folder)
    opened = time.perf_counter() - began
    answers = {
        "new_us": _asked(index.find, size, 2 * size),
        "known_us": _asked(index.find, 0, size),
        "one_us": timed(lambda: [index.find([record_id(size + n)]) for n in range(1_000)]) * 1e3,
    }
    found = index.find([record_id(seq) for seq in range(0, size, max(1, size // 1_000))])
    if any(record_id(seq) != name for name, seqs in found.items() for seq in seqs) or len(found) < 1_000:
        raise SystemExit("the index lost an id")
    return answers | {
        "runs": len(index.runs()),
        "add_us": add / size * 1e6,
        "merge_us": merge / size * 1e6,
        "longest_merge_s": longest,
        "disk_bytes": index.size_bytes() / size,
        "anon_mib": (memory("RssAnon") - before) / MIB,
        "peak_anon_mib": (peak[0] - before) / MIB,
        "file_mib": memory("RssFile") / MIB,
        "open_s": opened,
    }


def in_dict(size: int) -> dict[str, float]:
    """The same with a dict, as it was before."""
    before = memory("RssAnon")
    ids = {record_id(seq): seq for seq in range(size)}
    took = (memory("RssAnon") - before) / MIB
    return {"new_us": _asked(lambda some: [ids.get(i) for i in some], size, 2 * size), "anon_mib": took}


def _alone(function: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def run(options: Options) -> dict:
    sizes = (20_000, 100_000) if options.quick else (100_000, 1_000_000, 10_000_000)
    raw: dict[str, dict[str, dict[str, float]]] = {}
    print("\n### Uniqueness of ids against the size of the log\n")
    print("| ids | runs | new id, µs | known id, µs | asked alone, µs | add + merge, µs/id | longest merge, s | bytes/id on disk"
          " | own memory, MiB (peak) | mapped, MiB | open, s | a dict: MiB |")  # fmt: skip
    print("|---:" * 12 + "|")
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            of = _alone(indexed, Path(folder) / "ids", size)
        plain = _alone(in_dict, size) if size <= 1_000_000 else {}
        raw[str(size)] = {"index": of, "dict": plain}
        held = f"{plain['anon_mib']:.0f}" if plain else ""
        print(f"| {size:,} | {of['runs']} | {of['new_us']:.2f} | {of['known_us']:.2f} | {of['one_us']:.0f} |"
              f" {of['add_us'] + of['merge_us']:.2f} | {of['longest_merge_s']:.2f} | {of['disk_bytes']:.1f} |"
              f" {of['anon_mib']:.0f} ({of['peak_anon_mib']:.0f}) | {of['file_mib']:.0f} | {of['open_s']:.2f} | {held} |")  # fmt: skip
    return raw
