"""A destination that is out is asked seldom, and not overrun when it is back: R4 and N5, counted in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pipeline.delivery.breaker import FAILURES_MAX, Breaker, BreakerState
from pipeline.model.errors import PipelineError, Rejected, RetryLater
from tests.simulation.loop import SimChance, SimClock, SimLoop

SHARDS = 20
PERIOD_SECONDS = 2.0
"""How often each shard has a batch while all is well."""
WRITE_SECONDS = 0.02
OUTAGE_SECONDS = 600.0


class Destination:
    """Counts calls by the second; up or not."""

    def __init__(self, clock: SimClock) -> None:
        self.clock = clock
        self.up = True
        self.at: list[float] = []
        self.inside = self.inside_max = 0

    async def call(self) -> None:
        """Take a moment, then answer or refuse."""
        self.at.append(self.clock.monotonic())
        self.inside += 1
        self.inside_max = max(self.inside_max, self.inside)
        try:
            await self.clock.sleep(WRITE_SECONDS)
        finally:
            self.inside -= 1
        if not self.up:
            raise RetryLater("out")

    def calls(self, since: float, until: float) -> int:
        """Return how many calls came in a span of time."""
        return sum(since <= at < until for at in self.at)


class Shards:
    """As many shards as deliver a batch each PERIOD_SECONDS, one after the other, and catch up when they are behind."""

    def __init__(self, loop: SimLoop) -> None:
        self.clock = SimClock(loop)
        self.breaker = Breaker(self.clock, SimChance(loop))
        self.destination = Destination(self.clock)
        self.tasks = [asyncio.ensure_future(self._shard(n)) for n in range(SHARDS)]

    async def _shard(self, n: int) -> None:
        due = n * PERIOD_SECONDS / SHARDS
        while True:
            await self.clock.sleep(max(0.0, due - self.clock.monotonic()))
            attempt = 0
            while True:
                try:
                    await self.breaker.offer(self.destination.call, lambda: None)
                    break
                except RetryLater as error:
                    attempt += 1
                    await self.clock.sleep(self.breaker.pause_seconds(attempt, error.after_seconds))
            due += PERIOD_SECONDS

    async def end(self) -> None:
        """Stop."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def state_of(breaker: Breaker) -> BreakerState:
    """Return the state of a moment."""
    return breaker.state


def play(story: Callable[[Shards], Awaitable[None]]) -> None:
    """Run a story over many shards in virtual time."""
    loop = SimLoop(1)

    async def run() -> None:
        shards = Shards(loop)
        try:
            await story(shards)
        finally:
            await shards.end()

    loop.run_until_complete(run())


@pytest.mark.fault("N5", "R4")
def test_an_outage_is_asked_seldom_and_its_end_is_no_storm() -> None:
    """N5: in ten minutes of outage under 100 probes, one at a time; in the minute after, under 1.2 of normal."""

    async def story(shards: Shards) -> None:
        clock, destination = shards.clock, shards.destination
        await clock.sleep(130)
        normal = destination.calls(70, 130)
        assert normal == pytest.approx(60 * SHARDS / PERIOD_SECONDS, rel=0.02)
        destination.up = False
        await clock.sleep(1)
        destination.inside_max = 0
        await clock.sleep(OUTAGE_SECONDS - 1)
        assert state_of(shards.breaker) == BreakerState.OPEN
        assert destination.calls(131, 730) < 100
        assert destination.inside_max == 1
        destination.up = True
        while state_of(shards.breaker) != BreakerState.CLOSED:
            await clock.sleep(0.1)
        back = clock.monotonic()
        assert back < 730 + 31
        await clock.sleep(60)
        calls = destination.calls(back, back + 60)
        assert normal * 0.9 < calls < normal * 1.2
        assert shards.breaker.opened == 1

    play(story)


@pytest.mark.fault("R4")
def test_retries_are_a_tenth_of_the_calls() -> None:
    """A destination that refuses every third call gets under 1.2 calls for each that succeeds, in the long run."""

    async def story(shards: Shards) -> None:
        destination, refused = shards.destination, 0
        sound = destination.call

        async def third() -> None:
            nonlocal refused
            await sound()
            if len(destination.at) % 3 == 0:
                refused += 1
                raise RetryLater("throttled")

        destination.call = third  # type: ignore[method-assign]  # this destination refuses, for this test alone
        await shards.clock.sleep(600)
        calls = destination.calls(300, 600)
        assert calls < 1.2 * 300 * SHARDS / PERIOD_SECONDS
        assert refused > 100

    play(story)


def test_it_opens_after_failures_in_a_row_over_all_shards_and_closes_on_a_success() -> None:
    """One success between failures keeps it closed; FAILURES_MAX in a row open it, one good probe closes it."""
    loop = SimLoop(1)

    async def story() -> None:
        clock = SimClock(loop)
        breaker = Breaker(clock, SimChance(loop))
        destination = Destination(clock)

        async def offer() -> None:
            task = asyncio.ensure_future(breaker.offer(destination.call, lambda: None))
            await clock.sleep(WRITE_SECONDS * 2)
            if task.done():
                task.exception()

        for _ in range(3):
            destination.up = False
            for _ in range(FAILURES_MAX - 1):
                await offer()
            destination.up = True
            await offer()
        assert state_of(breaker) == BreakerState.CLOSED
        destination.up = False
        for _ in range(FAILURES_MAX):
            await offer()
        assert state_of(breaker) == BreakerState.OPEN
        destination.up = True
        waiting = asyncio.ensure_future(breaker.offer(destination.call, lambda: None))
        await clock.sleep(3)
        assert waiting.done()
        assert state_of(breaker) == BreakerState.CLOSED

    loop.run_until_complete(story())


@pytest.mark.parametrize("answer", [Rejected({1: "no"}), PipelineError("no")])
def test_a_refusal_is_an_answer(answer: PipelineError) -> None:
    """One poisoned shard does not open the breaker for the others."""
    loop = SimLoop(1)

    async def story() -> None:
        breaker = Breaker(SimClock(loop), SimChance(loop))

        async def refuse() -> None:
            raise answer

        for _ in range(2 * FAILURES_MAX):
            with pytest.raises(PipelineError):
                await breaker.offer(refuse, lambda: None)
        assert state_of(breaker) == BreakerState.CLOSED

    loop.run_until_complete(story())


def test_a_probe_that_is_given_up_leaves_its_turn_to_another() -> None:
    """A shard that is lost while it probes does not leave the breaker waiting for its answer."""

    async def story(shards: Shards) -> None:
        shards.destination.up = False
        await shards.clock.sleep(60)
        while state_of(shards.breaker) != BreakerState.PROBING:
            await shards.clock.sleep(0.01)
        for task in shards.tasks[:-1]:
            task.cancel()
        shards.destination.up = True
        await shards.clock.sleep(40)
        assert state_of(shards.breaker) == BreakerState.CLOSED

    play(story)
