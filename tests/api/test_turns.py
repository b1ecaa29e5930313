"""Turns for heavy work: so many at once, fair between tokens, and nobody who left keeps one."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.api.turns import Turns


async def have(turns, who, cost, served):
    async with turns.of(who, cost):
        served.append(who)
        await asyncio.sleep(0)


def test_who_sends_one_waits_behind_one_of_a_hundred_of_somebody_else():
    async def crowded():
        turns, served = Turns(), []
        flood = [asyncio.create_task(have(turns, "hog", 1_000, served)) for _ in range(100)]
        await asyncio.sleep(0)
        await asyncio.gather(have(turns, "polite", 1_000, served), *flood)
        return served

    served = asyncio.run(crowded())
    assert len(served) == 101
    assert served.index("polite") <= 2


@settings(deadline=None)
@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_never_more_than_so_many_at_once_and_whoever_leaves_leaves_no_turn_behind(at_once, comers):
    async def come_and_go():
        turns, inside, most = Turns(at_once), 0, 0

        async def work(who):
            nonlocal inside, most
            async with turns.of(str(who), 1):
                inside += 1
                most = max(most, inside)
                try:
                    await asyncio.sleep(0)
                finally:
                    inside -= 1

        tasks = [(asyncio.create_task(work(who)), leaves) for who, leaves in comers]
        for task, leaves in tasks:
            await asyncio.sleep(0)
            if leaves:
                task.cancel()
        await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        assert all(leaves or task.exception() is None for task, leaves in tasks)
        assert most <= at_once
        assert turns._free == at_once

    asyncio.run(asyncio.wait_for(come_and_go(), 10))
