"""Time and chance that a test holds in its hand."""

import asyncio
import heapq
import itertools
import random  # noqa: TID251  # this is the Chance port's seeded answer
from collections.abc import Generator
from types import coroutine

WALL_MS = 1_763_800_000_000
_TURNS = 50
"""Rounds of the event loop left to other tasks after each step of time."""


class ManualClock:
    """A clock that moves only when told to: `await clock.advance(seconds)` wakes the sleepers on the way, in order."""

    def __init__(self, *, wall_ms: int = WALL_MS) -> None:
        self._wall_ms = wall_ms
        self._now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._now

    def now_ms(self) -> int:
        """Return the wall clock, which moves along."""
        return self._wall_ms + round(self._now * 1000)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by `seconds`."""
        if seconds <= 0:
            await turn()
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._numbers), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move time on, stopping at every moment somebody sleeps until, and let the woken ones run."""
        end = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            if woken.done():  # its sleeper was cancelled
                continue
            self._now = max(self._now, due)
            woken.set_result(None)
            await self._settle()
        self._now = end
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await turn()


class SkippingClock:
    """A clock whose sleeps take no time: each moves it on and returns."""

    def __init__(self, *, wall_ms: int = WALL_MS) -> None:
        self._wall_ms = wall_ms
        self._now = 0.0

    def monotonic(self) -> float:
        """Return the seconds slept so far."""
        return self._now

    def now_ms(self) -> int:
        """Return the wall clock, which moves along."""
        return self._wall_ms + round(self._now * 1000)

    async def sleep(self, seconds: float) -> None:
        """Move the time on."""
        self._now += seconds
        await turn()


class SeededChance:
    """Chance that a seed repeats."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # a repeatable run, not a secret

    def fraction(self) -> float:
        """Return a float in [0, 1)."""
        return self._random.random()


@coroutine
def turn() -> Generator[None, None, None]:
    """Let the other tasks run once, under an event loop or driven by hand."""
    yield
