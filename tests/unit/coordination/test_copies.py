"""How far a copy of a table is: of two processes that copy one segment, one is told so."""

import asyncio

import pytest

from pipeline.coordination.copies import Copies, Run, Segment
from pipeline.model.errors import LeaseLost, RetryLater
from pipeline.testing.fakes import FakeStateStore

RUN = Run("r1", "2026-01-01T00:00:00.000", 1)


def copies(store: FakeStateStore, owner: str) -> Copies:
    """Return what one process knows of the copy."""
    return Copies(store, "changes", "orders", owner=owner)


def test_of_two_that_begin_the_same_chunk_one_is_told_so() -> None:
    """Though both would write the same words: what the other wrote is not our own call, tried again."""

    async def story() -> None:
        store = FakeStateStore()
        one, two = copies(store, "one"), copies(store, "two")
        assert await one.segment(RUN, 0) == await two.segment(RUN, 0) == Segment()
        await one.put_segment(RUN, 0, Segment(chunk=1))
        with pytest.raises(LeaseLost, match="somebody else has changed copy:changes/orders/r1/0"):
            await two.put_segment(RUN, 0, Segment(chunk=1))
        await one.put_segment(RUN, 0, Segment(chunk=2))

    asyncio.run(story())


def test_our_own_write_whose_answer_was_lost_is_ours() -> None:
    """A call that is tried again after it took effect is recognised, and the next one goes on from it."""

    async def story() -> None:
        store = FakeStateStore()
        one = copies(store, "one")
        await one.segment(RUN, 0)
        store.faults.after("write", RetryLater("no answer"))
        with pytest.raises(RetryLater):
            await one.put_segment(RUN, 0, Segment(chunk=1))
        await one.put_segment(RUN, 0, Segment(chunk=1))
        await one.put_segment(RUN, 0, Segment(chunk=2))
        assert (await copies(store, "two").segment(RUN, 0)).chunk == Segment(chunk=2).chunk

    asyncio.run(story())
