"""Every parser, its kept inputs, and some hundred changed ones: what is refused is a refusal that can be told, what is accepted holds what it must. No atheris needed."""

import time

import pytest

from tests.fuzz.inputs import CORPUS, KEPT, KEPT_BYTES, kept, mutated
from tests.fuzz.target import Broken, Target, judge
from tests.fuzz.targets import NAMES, WHERE, load

CHANGED = 120
LONGEST_S = 0.25  # of CPU, for one input of a few kilobytes, once everything is loaded


@pytest.mark.parametrize("name", NAMES)
def test_no_input_of_a_target_is_a_finding_and_none_takes_long(name):
    target = load(name)
    for data in target.seeds():
        judge(target, data)  # what is made once is made
    verdicts = []
    for data in [*target.seeds(), *kept(name), *mutated(target, CHANGED)]:
        begun = time.process_time()
        verdicts.append(judge(target, data))
        if time.process_time() - begun > LONGEST_S:  # or this process was busy with something else
            begun = time.process_time()
            judge(target, data)
        assert time.process_time() - begun < LONGEST_S, data
    assert set(verdicts) == {True, False}, "a target that takes all, or nothing, shows nothing"


@pytest.mark.parametrize("name", NAMES)
def test_the_kept_inputs_are_few_small_and_each_there_once(name):
    inputs = kept(name)
    assert 0 < len(inputs) == len(set(inputs)) <= KEPT
    assert sum(map(len, inputs)) <= KEPT_BYTES


def test_every_target_has_a_name_and_a_corpus_and_nothing_else_has():
    assert len(set(NAMES)) == len(NAMES)
    assert {path.stem for path in CORPUS.iterdir()} == set(NAMES)
    for module, names in WHERE.items():
        assert [load(name).run.__module__ for name in names] == [f"tests.fuzz.{module}"] * len(names)


def test_what_does_not_hold_is_a_finding():
    def run(data: bytes) -> bool:
        raise Broken(data)

    with pytest.raises(Broken):
        judge(Target("x", run, lambda: [b""]), b"")
