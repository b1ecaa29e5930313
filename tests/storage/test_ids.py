import hashlib
import itertools
import multiprocessing
import random
import shutil
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from benchmarks.ids import memory
from ledger.core.errors import Code, LedgerError
from ledger.storage import ids as module
from ledger.storage import runs
from ledger.storage.ids import IdIndex, keys_of
from ledger.storage.runs import parse_run_name, run_name


class Segment(NamedTuple):
    start: int
    names: list[str]

    @property
    def end(self) -> int:
        return self.start + len(self.names)

    def id_keys(self) -> bytes:
        return module.keys_of(self.names).tobytes()


def names(start: int, end: int) -> list[str]:
    return [f"id-{seq}" for seq in range(start, end)]


def segment(start: int, end: int) -> Segment:
    return Segment(start, names(start, end))


def add(index: IdIndex, one: Segment) -> None:
    index.add(one.start, one.end, one.id_keys())


def filled(folder: Path, edges: list[int]) -> IdIndex:
    index = IdIndex(folder)
    for start, end in itertools.pairwise(edges):
        add(index, segment(start, end))
    return index


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def finds_all(index: IdIndex, size: int) -> bool:
    return index.find(names(0, size)) == {f"id-{seq}": [seq] for seq in range(size)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ids"


def test_a_key_is_the_first_eight_bytes_of_sha_256():
    digest = hashlib.sha256("é-1".encode()).digest()
    assert keys_of(["é-1"]).astype("<u8").tobytes() == digest[:8]


def test_every_id_is_found_and_no_other(folder):
    index = filled(folder, [0, 5, 300, 301])
    assert finds_all(index, 301)
    assert index.find(["id-301", "ID-1", ""]) == {}
    assert index.find([]) == {}


def test_an_id_asked_twice_in_one_batch_is_answered_once(folder):
    index = filled(folder, [0, 10])
    assert set(index.find(["id-1", "id-1"])["id-1"]) == {1}


def test_it_answers_the_same_after_a_restart_and_after_merging(folder):
    edges = [0, 3, 40, 41, 90, 100, 230]
    filled(folder, edges)
    again = IdIndex(folder)
    assert again.covered() == 230
    assert finds_all(again, 230)
    assert again.merge() > 0
    assert finds_all(again, 230)
    assert finds_all(IdIndex(folder), 230)


def test_a_merge_in_many_pieces_is_one_sorted_run(folder, monkeypatch):
    monkeypatch.setattr(runs, "PIECE_ENTRIES", 64)
    index = filled(folder, [0, 500, 1_000, 1_500, 2_000])
    assert index.merge() == 1
    [run] = index._runs
    assert (run.start, run.end) == (0, 2_000)
    assert bool(np.all(run.keys[:-1] <= run.keys[1:]))
    assert finds_all(index, 2_000)


def test_the_runs_stay_few_however_the_log_is_cut(folder):
    rng = random.Random(4)
    index, end = IdIndex(folder), 0
    for _ in range(200):
        add(index, segment(end, end := end + rng.choice([1, 2, 7, 100])))
        index.merge()
        assert len(index.runs()) <= 3 + 1 + int(np.emath.logn(4 / 3, end + 1))
    assert len(index.runs()) < 16
    assert finds_all(index, end)


def test_each_entry_is_merged_few_times(folder, monkeypatch):
    written = []
    true = module.merge_runs
    monkeypatch.setattr(
        module, "merge_runs", lambda at, some: written.append(some[-1].end - some[0].start) or true(at, some)
    )
    index = IdIndex(folder)
    for start in range(0, 640, 10):
        add(index, segment(start, start + 10))
        index.merge()
    assert index.runs() == [(0, 640)]
    assert sum(written) <= 3 * 640  # 64 runs: to 4, to 16, to 64


def test_ids_with_one_key_are_all_candidates_before_and_after_merging(folder, monkeypatch):
    monkeypatch.setattr(module, "keys_of", lambda some: np.zeros(len(list(some)), "<u8"))
    index = filled(folder, [0, 3, 6, 9, 12])
    assert sorted(index.find(["whatever"])["whatever"]) == list(range(12))
    index.merge()
    assert index.find(["a", "b"]) == {"a": list(range(12)), "b": list(range(12))}


@pytest.mark.parametrize("key", [0, 2**64 - 1])
def test_the_lowest_and_the_highest_key_are_found(folder, monkeypatch, key):
    monkeypatch.setattr(module, "keys_of", lambda some: np.full(len(list(some)), key, "<u8"))
    index = IdIndex(folder)
    index.add(0, 2, np.array([key, 2**63], "<u8").tobytes())
    assert index.find(["x"]) == {"x": [0]}


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_directory_finds_what_a_plain_search_finds(data):
    """Also among keys that are no hashes: all alike, all low, all high."""
    spread = data.draw(st.sampled_from([2**64 - 1, 2**60, 40, 0]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    base = data.draw(st.sampled_from([0, 2**64 - 1 - spread]))
    keys = np.sort(
        rng.integers(0, spread, data.draw(st.integers(1, 3_000)), "u8", endpoint=True) + np.uint64(base)
    )
    edges = np.array([0, base, base + spread, 2**64 - 1], "<u8")
    wanted = np.sort(np.concatenate([rng.integers(0, 2**64 - 1, 50, "u8"), rng.choice(keys, 50), edges]))
    assert runs.Directory(keys).lows(keys, wanted).tolist() == np.searchsorted(keys, wanted).tolist()


def test_a_crash_before_the_old_runs_are_unlinked_is_cleared_up_at_start(folder, tmp_path):
    filled(folder, [0, 10, 20, 30, 40])
    before = tmp_path / "before"
    shutil.copytree(folder, before)
    index = IdIndex(folder)
    index.merge()
    for path in before.iterdir():
        shutil.copy(path, folder)
    again = IdIndex(folder)
    assert again.runs() == [(0, 40)]
    assert files(folder) == {run_name(0, 40)}
    assert finds_all(again, 40)


def test_a_crash_while_a_run_is_written_leaves_the_old_ones(folder, monkeypatch):
    index = filled(folder, [0, 10, 20, 30, 40])

    def dies(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.os, "fsync", dies)
    with pytest.raises(KeyboardInterrupt):
        index.merge()
    monkeypatch.undo()
    (folder / f".{run_name(0, 40)}.new").write_bytes(b"half")
    again = IdIndex(folder)
    assert len(again.runs()) == 4
    assert len(files(folder)) == 4
    assert finds_all(again, 40)


@pytest.mark.parametrize("call", ["fsync", "pwrite", "rename"])
def test_a_disk_that_fails_is_told_and_the_index_stays_as_it_was(folder, monkeypatch, call):
    index = filled(folder, [0, 10, 20, 30, 40])

    def fails(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((Path, "rename") if call == "rename" else (runs.os, call)), fails)
    for change in (index.merge, lambda: add(index, segment(40, 50))):
        with pytest.raises(LedgerError, match="No space left") as told:
            change()
        assert told.value.code is Code.STORAGE_FAILED
    monkeypatch.undo()
    assert finds_all(index, 40)
    assert finds_all(IdIndex(folder), 40)


@pytest.mark.parametrize("at", [0, 20, 30, 50, 70, 200, -1])
def test_a_run_with_any_byte_altered_is_thrown_away_and_made_anew(folder, at):
    segments = [segment(0, 50), segment(50, 70)]
    for one in segments:
        add(IdIndex(folder), one)
    path = folder / run_name(0, 50)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    index = IdIndex(folder)
    assert index.covered() == 0
    assert index.runs() == [(50, 70)]
    assert index.rebuild(segments) == 1
    assert index.covered() == 70
    assert finds_all(index, 70)


@pytest.mark.parametrize("cut", [0, 10, 63, 64, 300, 663])
def test_a_run_that_is_cut_short_is_thrown_away(folder, cut):
    add(IdIndex(folder), segment(0, 50))
    path = folder / run_name(0, 50)
    assert path.stat().st_size == 64 + 12 * 50
    path.write_bytes(path.read_bytes()[:cut])
    assert IdIndex(folder).runs() == []


def test_a_run_under_another_name_is_thrown_away(folder):
    add(IdIndex(folder), segment(0, 50))
    (folder / run_name(0, 50)).rename(folder / run_name(50, 100))
    assert IdIndex(folder).runs() == []


def test_a_lost_merged_run_is_made_anew_from_its_segments(folder):
    segments = [segment(start, start + 10) for start in range(0, 100, 10)]
    assert IdIndex(folder).rebuild(segments) == 10
    for path in folder.iterdir():
        path.unlink()
    index = IdIndex(folder)
    assert index.rebuild(segments) == 10
    assert finds_all(index, 100)


def test_runs_of_segments_that_never_came_to_be_are_removed(folder):
    index = filled(folder, [0, 10, 25])
    assert index.rebuild([segment(0, 10), segment(10, 20)]) == 1
    assert index.runs() == [(0, 10), (10, 20)]
    assert files(folder) == {run_name(0, 10), run_name(10, 20)}
    assert index.find(["id-22"]) == {}


def test_adding_again_what_is_there_changes_nothing(folder):
    index = filled(folder, [0, 10, 20, 30, 40])
    index.merge()
    before = files(folder)
    add(index, segment(10, 20))
    assert (files(folder), index.runs()) == (before, [(0, 40)])


def test_a_range_that_overlaps_another_is_refused(folder):
    index = filled(folder, [0, 10])
    with pytest.raises(LedgerError, match="overlaps"):
        add(index, segment(5, 15))
    assert finds_all(index, 10)


@pytest.mark.parametrize("count", [0, 9, 11])
def test_keys_that_are_not_one_for_each_entry_are_refused(folder, count):
    with pytest.raises(LedgerError, match="id keys"):
        IdIndex(folder).add(0, 10, keys_of(names(0, count)).tobytes())


@pytest.mark.parametrize(
    "name",
    [
        "1-2.ids",
        f"{run_name(2, 1)}",
        f"{run_name(1, 1)}",
        "lock",
        f"{run_name(0, 5)}.bak",
        f"x{run_name(0, 5)}",
    ],
)
def test_files_that_are_no_runs_are_left_alone(folder, name):
    folder.mkdir()
    (folder / name).write_bytes(b"mine")
    assert parse_run_name(name) is None
    assert IdIndex(folder).runs() == []
    assert (folder / name).read_bytes() == b"mine"


def test_a_gap_is_never_covered_by_a_merge(folder):
    index = IdIndex(folder)
    for start in (0, 10, 20, 40, 50, 60, 70):
        add(index, segment(start, start + 10))
    index.merge()
    assert index.runs() == [(0, 10), (10, 20), (20, 30), (40, 80)]
    assert index.covered() == 30


def test_a_reader_never_misses_an_id_while_another_thread_merges(folder):
    index, end, missed, stop = IdIndex(folder), 200, [], threading.Event()
    add(index, segment(0, end))

    def read() -> None:
        while not stop.is_set():
            some = random.sample(names(0, 200), 20)
            missed.extend(name for name in some if f"id-{index.find(some).get(name, [''])[0]}" != name)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(60):
            add(index, segment(end, end := end + 50))
            index.merge()
    finally:
        stop.set()
        reader.join()
    assert missed == []


def _fill_and_ask(folder: Path, size: int) -> tuple[int, int]:
    """How many answers were not exactly the one entry, and the most memory of its own that the process had, in bytes."""
    before = memory("RssAnon")
    index, wrong, peak = IdIndex(folder), 0, 0
    for start in range(0, size, 50_000):
        add(index, segment(start, start + 50_000))
        index.merge()
        peak = max(peak, memory("RssAnon"))
    for low in range(0, 2 * size, 500):
        found = index.find(names(low, low + 500))
        expected = {f"id-{seq}": [seq] for seq in range(low, low + 500)} if low < size else {}
        wrong += found != expected
        peak = max(peak, memory("RssAnon"))
    return wrong, peak - before


@pytest.mark.parametrize("size", [200_000, pytest.param(2_000_000, marks=pytest.mark.soak)])
def test_every_id_of_many_is_told_from_every_new_one_in_memory_that_does_not_grow(folder, size):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        wrong, own_bytes = pool.submit(_fill_and_ask, folder, size).result()
    assert wrong == 0
    assert own_bytes < 40 * 1024 * 1024  # as a dict, two million ids take 300 MiB


class Interleaved(RuleBasedStateMachine):
    """Any order of sealing, merging, losing and starting again answers as a plain dict would."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.segments: list[Segment] = []
        self.truth: dict[str, int] = {}
        self.index = IdIndex(self.folder)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(count=st.integers(1, 30))
    def seal(self, count: int) -> None:
        start = len(self.truth)
        self.segments.append(segment(start, start + count))
        self.truth |= {name: start + at for at, name in enumerate(self.segments[-1].names)}
        add(self.index, self.segments[-1])

    @rule()
    def merge(self) -> None:
        self.index.merge()

    @rule()
    def restart(self) -> None:
        self.index = IdIndex(self.folder)
        assert self.index.rebuild(self.segments) == 0

    @precondition(lambda self: self.segments)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.folder.iterdir())))
        if data.draw(st.booleans()):
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-1])
        self.index = IdIndex(self.folder)
        assert self.index.rebuild(self.segments) > 0

    @invariant()
    def answers(self) -> None:
        assert self.index.find([*self.truth, "never"]) == {name: [seq] for name, seq in self.truth.items()}
        assert self.index.covered() == len(self.truth)


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
