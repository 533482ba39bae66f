"""Work that is not a shard's: one worker of all does it, and another when that one is gone."""

import asyncio

from pipeline.coordination.alone import Alone
from pipeline.coordination.leases import Leases
from pipeline.model.errors import RetryLater
from pipeline.testing.clock import ManualClock
from pipeline.testing.fakes import FakeStateStore

LEASE_SECONDS = 9.0


class Job:
    """A job that counts how many are at it."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.at_it = 0
        self.begun = 0

    async def run(self) -> None:
        """Work for ever; fail the first time."""
        self.begun += 1
        if self.begun == 1:
            raise RetryLater("busy")
        self.at_it += 1
        try:
            await self._clock.sleep(10**6)
        finally:
            self.at_it -= 1


def worker(name: str, store: FakeStateStore, clock: ManualClock, job: Job) -> Alone:
    """Return one worker's part."""
    leases = Leases(store, clock, owner=name, group="s/compaction/archive", lease_seconds=LEASE_SECONDS)
    return Alone("a job", leases, clock, LEASE_SECONDS / 3, job.run)


def test_one_worker_does_it_and_another_when_that_one_is_gone() -> None:
    """Of two workers one is at it, also after a failure; when it is gone the other one begins."""

    async def story() -> None:
        clock, store = ManualClock(), FakeStateStore()
        job = Job(clock)
        one, other = (worker(name, store, clock, job) for name in ("one", "other"))
        first = asyncio.ensure_future(one.run())
        await clock.advance(1.0)
        second = asyncio.ensure_future(other.run())
        await clock.advance(5 * LEASE_SECONDS)
        assert (job.at_it, job.begun) == (1, 2)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert job.at_it == 0
        await one.release()
        await clock.advance(3 * LEASE_SECONDS)
        assert (job.at_it, job.begun) == (1, 3)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)

    asyncio.run(story())


def test_who_has_lost_the_lease_stops() -> None:
    """A worker that cannot renew its lease ends the job before another one may begin."""

    async def story() -> None:
        clock, store = ManualClock(), FakeStateStore()
        job = Job(clock)
        job.begun = 1
        running = asyncio.ensure_future(worker("one", store, clock, job).run())
        await clock.advance(LEASE_SECONDS)
        assert job.at_it == 1
        store.faults.decide = lambda *_: RetryLater("away")
        await clock.advance(2 * LEASE_SECONDS)
        assert job.at_it == 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())
