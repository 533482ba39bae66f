"""A bound on how much is read a second."""

from pipeline.ports import Clock


class Pace:
    """Reads no faster than so many units a second, on average since it began; 0 means as fast as it goes."""

    def __init__(self, clock: Clock, units_per_second: float) -> None:
        self._clock = clock
        self._units_per_second = units_per_second
        self._free_at = clock.monotonic()

    async def spend(self, units: float) -> None:
        """Wait until what was spent before is paid for, then spend."""
        if self._units_per_second <= 0:
            return
        now = self._clock.monotonic()
        begins = max(now, self._free_at)
        self._free_at = begins + units / self._units_per_second
        if begins > now:
            await self._clock.sleep(begins - now)
