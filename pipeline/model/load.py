"""How much there is to do on each shard of a worker: changes a second, smoothed."""

import math
from typing import NamedTuple

SMOOTH_SECONDS = 60.0


class _Known(NamedTuple):
    done: int
    at: float
    load: float


class Loads:
    """The loads of one worker's shards, from how many changes each has dealt with at some moments."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def note(self, shard: str, done: int, now: float, told: float) -> float:
        """Return a shard's load at monotonic time `now`; `told` is what its last owner told, to begin with."""
        known = self._known.get(shard)
        load = told
        if known is not None and known.done <= done and known.at < now:
            weight = 1 - math.exp((known.at - now) / SMOOTH_SECONDS)
            load = known.load + weight * ((done - known.done) / (now - known.at) - known.load)
        self._known[shard] = _Known(done, now, load)
        return load

    def forget(self, shard: str) -> None:
        """Begin anew when the shard is ours again."""
        self._known.pop(shard, None)
