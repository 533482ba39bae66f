"""Two workers write the same positions at once, cut as chance will have it: the log is one exact chain."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.history.archive import segments
from pipeline.history.fold import fold
from pipeline.testing.changes import SHARD, batches, history
from pipeline.testing.clock import turn
from pipeline.testing.fakes import FakeObjectStore
from pipeline.testing.faults import Faults
from pipeline.verification.audit import verify_chain
from pipeline.wire.chain import ChainForm
from pipeline.wire.rangelog import Form, RangeLog
from pipeline.wire.segment import SegmentForm

CHANGES = history(["a", "b", "-a", "c", "a"] * 6)
BORDERS = st.lists(st.integers(1, len(CHANGES) - 1), unique=True, max_size=12).map(sorted)
CHECKPOINTS = st.integers(1, len(CHANGES))


async def worker(objects: FakeObjectStore, form: Form, deliveries: list[tuple[int, list[int]]]) -> None:
    """Deliver the stream several times over, as restarts do, each time cut differently; the first from its start."""
    for start, borders in deliveries:
        log = RangeLog(objects.behind(Faults(pause=turn)), form)
        for each in batches(CHANGES, *borders, start=start):
            await log.append(each)


def interleave(workers: list[Coroutine[Any, Any, None]], turns: list[int]) -> None:
    """Run workers by hand, one call at a time, in the order of `turns`; no loop, no clock, nothing left to chance."""
    left = list(workers)
    number = 0
    while left:
        turn = turns[number % len(turns)] if turns else 0
        number += 1
        current = left[turn % len(left)]
        try:
            current.send(None)
        except StopIteration:
            left.remove(current)


@pytest.mark.fault("A2", "S4")
@pytest.mark.parametrize("form", [SegmentForm(), ChainForm()])
@settings(max_examples=150, deadline=None)
@given(
    mine=BORDERS,
    theirs=BORDERS,
    again=st.lists(st.tuples(CHECKPOINTS, BORDERS), max_size=2),
    turns=st.lists(st.integers(0, 1), max_size=60),
)
def test_two_interleaved_writers_make_one_exact_chain(
    form: Form, mine: list[int], theirs: list[int], again: list[tuple[int, list[int]]], turns: list[int]
) -> None:
    """Whatever the borders, restarts and order of calls: every change is stored once, in order, in one chain."""
    objects = FakeObjectStore()
    interleave([worker(objects, form, [(1, mine), *again]), worker(objects, form, [(1, theirs), *again])], turns)
    asyncio.run(check(objects, form))


async def check(objects: FakeObjectStore, form: Form) -> None:
    """Expect every change once, in one chain."""
    if isinstance(form, ChainForm):
        report = await verify_chain(objects)
        assert report.sound
        assert report.entries == len(CHANGES)
        assert [head.position for head in report.heads.values()] == [len(CHANGES)]
        return
    stored = [pair async for each in segments(objects) for pair in each.batch]
    assert stored == list(enumerate(CHANGES, 1))
    newest = {(c.table, c.keys): c.after for c in CHANGES}
    assert await fold(objects) == {item: image for item, image in newest.items() if image is not None}


def test_a_writer_that_starts_after_the_other_ended_verifies_all_it_is_given() -> None:
    """A whole second delivery stores nothing new."""
    objects = FakeObjectStore()
    asyncio.run(worker(objects, SegmentForm(), [(1, [3, 9])]))
    before = dict(objects.objects)
    asyncio.run(worker(objects, SegmentForm(), [(1, [4, 5, 20]), (7, [])]))
    assert objects.objects == before
    assert all(SHARD in name for name in before)
