"""How long to wait before trying again: full jitter under a doubling ceiling."""

from dataclasses import dataclass

DOUBLINGS_MAX = 16


@dataclass(frozen=True, slots=True)
class Backoff:
    """A ceiling that doubles from `base_seconds` to `cap_seconds` with every attempt."""

    base_seconds: float
    cap_seconds: float

    def seconds(self, attempt: int, fraction: float, at_least: float = 0.0) -> float:
        """Return the wait before attempt number `attempt` (from 1), `fraction` in [0, 1) being chance.

        Full jitter, so that many workers that fail together do not return together.
        """
        ceiling = min(self.cap_seconds, self.base_seconds * (1 << min(attempt - 1, DOUBLINGS_MAX)))
        return at_least + ceiling * fraction


CALLS = Backoff(0.05, 5.0)
"""For one call of an outside service."""
EFFECTS = Backoff(0.1, 30.0)
"""For a batch a sink could not take."""
