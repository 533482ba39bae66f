"""The real clock and real chance."""

import asyncio
import random
import time


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def now_ms(self) -> int:
        """Return wall-clock epoch milliseconds."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class SystemChance:
    """The machine's randomness: for spreading retries, not for secrets."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def fraction(self) -> float:
        """Return a float in [0, 1)."""
        return self._random.random()
