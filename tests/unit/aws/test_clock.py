"""The real clock and chance."""

import asyncio
import time

from pipeline.aws.clock import SystemChance, SystemClock


def test_the_clock_goes_on_while_it_waits() -> None:
    """Waiting takes at least as long as asked, by the clock's own count, and the wall clock is the machine's."""
    clock = SystemClock()
    start = clock.monotonic()
    asyncio.run(clock.sleep(0.02))
    assert clock.monotonic() - start >= 0.019
    assert abs(clock.now_ms() - time.time() * 1000) < 1000


def test_chance_is_a_fraction() -> None:
    """Fractions lie in [0, 1) and differ."""
    chance = SystemChance()
    found = {chance.fraction() for _ in range(100)}
    assert len(found) > 90
    assert all(0 <= fraction < 1 for fraction in found)
