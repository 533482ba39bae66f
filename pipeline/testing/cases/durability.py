"""Cases 11 to 18: what write has returned for is there, whatever ends the worker."""

import asyncio

from pipeline.testing.changes import CHANGES, CUTS, batch, batches
from pipeline.testing.faults import Faults, Killed, When, kill
from pipeline.testing.rig import Rig


class Durability(Rig):
    """Cases 11 to 18: what write has returned for is there, whatever ends the worker."""

    def test_11_a_written_batch_can_be_read_back_at_once(self) -> None:
        """When write returns, every change of the batch is at the destination, not on its way."""

        async def case() -> None:
            stores, sink = await self.start()
            for upto, each in ((5, batch(CHANGES, 1, 5)), (12, batch(CHANGES, 6, 12))):
                await sink.write(each)
                await self.holds(stores, batch(CHANGES, 1, upto))

        asyncio.run(case())

    def test_12_a_kill_after_any_effect(self) -> None:
        """Killed after the effect of any call, before write returned, a sink leaves what its successor can complete."""
        asyncio.run(self.break_every_call("after", kill, Killed))

    def test_13_a_kill_after_a_batch(self) -> None:
        """Of a sink that is killed between two batches everything is there, and its successor needs nothing of it."""

        async def case() -> None:
            for cuts in CUTS:
                stores, _ = await self.start()
                for each in batches(CHANGES, *cuts):
                    sink = await self.open(stores)
                    await sink.write(each)
                    await self.holds(stores, batch(CHANGES, 1, each.last))

        asyncio.run(case())

    def test_14_a_kill_within_a_batch(self) -> None:
        """Killed before any of its calls, part of a batch written, a sink leaves what its successor can complete."""
        asyncio.run(self.break_every_call("before", kill, Killed))

    def test_15_a_kill_while_closing(self) -> None:
        """Killed at the first call that closing makes, before or after its effect, a sink has lost nothing."""

        async def case(when: When) -> None:
            faults, stores = Faults(), self.make_stores()
            sink = await self.open(stores, faults)
            for each in batches(CHANGES, 4, 9):
                await sink.write(each)
            faults.at_next_call(when, kill)
            await asyncio.gather(sink.close(), return_exceptions=True)
            await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case("before"))
        asyncio.run(case("after"))

    def test_16_a_lost_answer_at_any_call(self) -> None:
        """An answer that is lost after any call had its effect is a RetryLater; the batch again changes nothing."""
        asyncio.run(self.slow_every_call("after"))

    def test_17_closing_loses_nothing(self) -> None:
        """What was written is there after close, and a successor goes on from there."""

        async def case() -> None:
            stores, sink = await self.start()
            await sink.write(batch(CHANGES, 1, 7))
            await sink.close()
            await self.holds(stores, batch(CHANGES, 1, 7))
            await self.deliver(stores, [batch(CHANGES, 8, 12)])
            await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    def test_18_closing_twice_is_no_error(self) -> None:
        """A sink can be closed twice, also one that was never opened."""

        async def case() -> None:
            stores, sink = await self.start()
            await sink.write(batch(CHANGES, 1, 12))
            await sink.close()
            await sink.close()
            await self.make_sink(stores.context()).close()
            await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    def test_18_a_write_after_close_is_not_swallowed(self) -> None:
        """A write to a closed sink raises, or is durable; it is never taken and dropped."""

        async def case() -> None:
            stores, sink = await self.start()
            await sink.write(batch(CHANGES, 1, 6))
            await sink.close()
            (outcome,) = await asyncio.gather(sink.write(batch(CHANGES, 7, 12)), return_exceptions=True)
            await self.holds(stores, batch(CHANGES, 1, 12 if outcome is None else 6))

        asyncio.run(case())
