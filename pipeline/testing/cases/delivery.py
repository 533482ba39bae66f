"""Cases 36, 38 and 39: a destination that does not answer, and the deadline that delivery sets around every call."""

import asyncio
from contextlib import suppress

import pytest

from pipeline.delivery.keeper import GRACE_SECONDS, SinkKeeper
from pipeline.model.change import Batch
from pipeline.model.errors import RetryLater
from pipeline.testing.changes import CHANGES, batch, batches
from pipeline.testing.clock import ManualClock, turn
from pipeline.testing.faults import Faults, When
from pipeline.testing.rig import OFFERS_MAX, Rig

DEADLINE_SECONDS = 60.0
STEP_SECONDS = 30.0
TURNS = 100
"""How often the event loop turns before time is moved: a batch without trouble needs fewer."""


class Delivery(Rig):
    """Cases 36, 38 and 39: a destination that does not answer, and the deadline of every call."""

    def test_36_a_call_that_hangs_ends_at_its_deadline(self) -> None:
        """Cancelled at the deadline, a write that hangs at any call ends; offered again, all is there."""
        self.hangs_at_every_call("before")

    def test_38_a_hang_is_seen_and_holds_up_no_other_shard(self) -> None:
        """While a write of one shard hangs, the sink writes another shard's batches; the hang counts as overdue."""

        async def case() -> None:
            stores, clock = self.make_stores(), ManualClock()
            faults = Faults()
            keeper = SinkKeeper("t", lambda: self.make_sink(stores.context(faults)), clock, DEADLINE_SECONDS)
            await _written(keeper, batch(CHANGES, 1, 2), clock)
            faults.at_next_call("before", _hang)
            hung = asyncio.ensure_future(keeper.write(batch(CHANGES, 3, 6)))
            await _turn(hung)
            other = batch(CHANGES, 1, 12, shard="shardId-000000000001")
            meanwhile = asyncio.ensure_future(_unhindered(keeper, other))
            await _turn(meanwhile)
            assert (meanwhile.done(), hung.done()) == (True, False), "another shard's write waits for it"
            meanwhile.result()
            await clock.advance(DEADLINE_SECONDS + GRACE_SECONDS)
            with pytest.raises(RetryLater, match="did not end"):
                await hung
            assert keeper.overdue_total == 1

        asyncio.run(case())

    def test_39_a_connection_that_is_half_open(self) -> None:
        """What was asked is done and the answer never comes: after the deadline the repeat changes nothing."""
        self.hangs_at_every_call("after")

    def hangs_at_every_call(self, when: When) -> None:
        """Hang once at each call of a worker, and expect everything to arrive with no sink replaced."""
        self.at_every_call(lambda at: asyncio.run(self._hangs_at(at, when)))

    async def _hangs_at(self, at: int, when: When) -> int:
        stores, clock, faults = self.make_stores(), ManualClock(), Faults(at, when, _hang)
        keeper = SinkKeeper("t", lambda: self.make_sink(stores.context(faults)), clock, DEADLINE_SECONDS)
        for each in batches(CHANGES, 4, 9):
            await _written(keeper, each, clock)
        assert keeper.overdue_total == (faults.total >= at), "a call that hangs is cancelled once"
        assert not keeper.replaced_total, f"call {at}: the sink did not end when it was cancelled"
        await self.ends(stores, CHANGES)
        return faults.total


async def _hang() -> None:
    await asyncio.Event().wait()


async def _turn(call: "asyncio.Future[None]") -> None:
    """Let everything run that can without time."""
    for _ in range(TURNS):
        if call.done():
            return
        await turn()


async def _unhindered(keeper: SinkKeeper, given: Batch) -> None:
    """Have a batch written without moving time, however often it must be offered."""
    for _ in range(OFFERS_MAX):
        with suppress(RetryLater):
            await keeper.write(given)
            return


async def _written(keeper: SinkKeeper, given: Batch, clock: ManualClock) -> None:
    """Have a batch written, moving time whenever nothing happens; again after a missed deadline."""
    for _ in range(OFFERS_MAX):
        call = asyncio.ensure_future(keeper.write(given))
        await _turn(call)
        for _ in range(round((DEADLINE_SECONDS + 2 * GRACE_SECONDS) / STEP_SECONDS)):
            if not call.done():
                await clock.advance(STEP_SECONDS)
                await _turn(call)
        assert call.done(), "the call did not end at its deadline"
        if call.exception() is None:
            return
        assert isinstance(call.exception(), RetryLater), call.exception()
    pytest.fail(f"a batch was not written in {OFFERS_MAX} offers")
