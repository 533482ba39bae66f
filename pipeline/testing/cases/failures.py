"""Cases 31 to 40: what goes wrong at the destination is told as what it is, and delivery can rely on it."""

import asyncio

import pytest

from pipeline.model.errors import Corrupt, Misconfigured, Rejected, RetryLater
from pipeline.plugin import Sink
from pipeline.testing.changes import CHANGES, OVERSIZE, batch, batches, put
from pipeline.testing.context import Stores
from pipeline.testing.faults import Faults, When
from pipeline.testing.rig import Rig, cancel, offer

PAUSE_SECONDS = 7.0
DENIED = Misconfigured("not allowed to write to the destination", hint="allow it, and say so")


class Failures(Rig):
    """Cases 31 to 40: what goes wrong at the destination is told as what it is, and delivery can rely on it."""

    def test_31_rejected_names_exactly_what_cannot_be_written(self) -> None:
        """Of a batch with two changes that can never be written these two are named, at once or one after the other."""

        async def case() -> None:
            stores, sink = await self.start()
            bad = {3, 8}
            changes = [put(f"item-{n}", n, OVERSIZE if n in bad else {}) for n in range(1, 13)]
            named: set[int] = set()
            for _ in range(len(bad) + 1):
                try:
                    await offer(sink, batch(changes, 1, 12, without=named))
                    break
                except Rejected as error:
                    assert error.positions  # noqa: PT017  # both outcomes are right, each is looked at
                    named |= error.positions.keys()
            assert named, "everything was taken: say so in not_applicable"
            assert named == bad
            await self.holds(stores, batch(changes, 1, 12, without=bad))

        asyncio.run(case())

    def test_32_a_throttle_at_any_call_is_tried_again(self) -> None:
        """A destination that is too slow at any call is a RetryLater, never Rejected; the batch is offered again."""
        asyncio.run(self.slow_every_call("before"))

    def test_32_the_pause_that_was_asked_for_reaches_delivery(self) -> None:
        """How long the destination asks to be left alone is what write raises, or what it waited itself."""

        async def slow() -> None:
            raise RetryLater("slow down", after_seconds=PAUSE_SECONDS)

        async def case(at: int) -> int:
            faults, stores = Faults(at, "before", slow), self.make_stores()
            outcome = await self.until_it_ends(stores, faults)
            waited = outcome.after_seconds if isinstance(outcome, RetryLater) else stores.clock.monotonic()
            assert faults.total < at or waited >= PAUSE_SECONDS, f"call {at}: delivery does not learn to wait"
            return faults.total

        self.at_every_call(lambda at: asyncio.run(case(at)))

    @pytest.mark.parametrize("error", [RetryLater("slow"), Corrupt("damaged"), ValueError("unknown")], ids=repr)
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_33_errors_stay_what_they_are(self, when: When, error: Exception) -> None:
        """What may pass, what a person must see, and what nobody foresaw come out of any call as what they are."""
        self.comes_out(when, error)

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_34_a_missing_permission_is_named(self, when: When) -> None:
        """A destination that refuses us for good stops the topology with its own reason and hint."""
        self.comes_out(when, DENIED)

    def test_35_a_destination_that_is_missing_is_named(self) -> None:
        """Without its destination a sink raises Misconfigured with the name of it; once it is there, it goes on."""

        async def case() -> None:
            faults, stores = Faults(), self.make_stores()
            faults.decide = lambda _call, _when: Misconfigured("destination d-1 does not exist", hint="create it")
            sink = self.make_sink(stores.context(faults))
            with pytest.raises(Misconfigured, match="destination d-1"):
                await self._work(sink)
            faults.decide = None
            await self._work(sink)
            await self.holds(stores, batch(CHANGES, 1, 12))

        asyncio.run(case())

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_37_a_cancel_at_any_call(self, when: When) -> None:
        """Cancelled at any call, a sink leaves what its successor can complete."""
        asyncio.run(self.break_every_call(when, cancel, asyncio.CancelledError))

    def comes_out(self, when: When, error: Exception) -> None:
        """Expect an error of any call to come out of the sink unchanged, and a successor to complete its work."""

        async def raise_it() -> None:
            raise error

        async def case(at: int) -> int:
            faults, stores = Faults(at, when, raise_it), self.make_stores()
            outcome = await self.until_it_ends(stores, faults)
            if faults.total >= at and not (outcome is None and isinstance(error, RetryLater)):
                assert type(outcome) is type(error), f"call {at}: {error!r} became {outcome!r}"
                assert str(error) in str(outcome)
            await self.deliver(stores, batches(CHANGES, 2, 7))
            await self.ends(stores, CHANGES)
            return faults.total

        self.at_every_call(lambda at: asyncio.run(case(at)))

    async def until_it_ends(self, stores: Stores, faults: Faults) -> BaseException | None:
        """Let a worker write until something is raised; return it."""
        sink = self.make_sink(stores.context(faults))
        (outcome,) = await asyncio.gather(self._work(sink), return_exceptions=True)
        return outcome

    async def _work(self, sink: Sink) -> None:
        await sink.open()
        for each in batches(CHANGES, 4, 9):
            await sink.write(each)
