"""When a destination fails again and again: ask it seldom, one call at a time, and come back gently."""

from collections.abc import Awaitable, Callable
from enum import StrEnum

from pipeline.model.backoff import EFFECTS, Backoff
from pipeline.model.errors import RetryLater
from pipeline.ports import Chance, Clock

FAILURES_MAX = 5
"""Calls of a topology that fail one after the other, over all its shards, before its breaker opens."""
PROBES = Backoff(1.0, 30.0)
LOOK_SECONDS = 1.0
"""How often those who wait look whether the breaker has closed."""
RETRY_TOKENS_MAX = 10.0
RETRY_TOKENS_A_SUCCESS = 0.1
"""What a call that succeeds adds to the budget of retries: so retries are a tenth of all calls, in the long run."""
OVER_BUDGET_ATTEMPT = 10
"""A retry that the budget does not cover waits as the one of this number does: up to half a minute."""
RECOVERY_SECONDS_MAX = 60.0
RECOVERY_RATE = 1.1
"""How many calls a second a destination gets that has just recovered, as a multiple of what was normal."""
RECOVERY_DOUBLINGS = 5
"""How often that rate is doubled, after as long as it was kept, before there is no limit again."""
RECOVERY_CALLS_PER_SECOND_MIN = 1.0
NORMAL_SECONDS = 60.0
"""The normal rate is that of a span of this length."""


class BreakerState(StrEnum):
    """How a topology's destination is."""

    CLOSED = "closed"
    """It answers: every shard calls when it has something."""
    OPEN = "open"
    """It does not: all shards wait until it is time for a probe."""
    PROBING = "probing"
    """One call of one shard finds out."""


class Breaker:
    """Lets a topology's calls through while they succeed, one at a time while they do not.

    Only what may succeed later counts as a failure, RetryLater and a missed deadline; a refusal is an answer.
    """

    def __init__(self, clock: Clock, chance: Chance) -> None:
        self.state = BreakerState.CLOSED
        self.opened = 0
        """How often it has opened."""
        self.reason = ""
        """Why the last call that failed did."""
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._probes = 0
        self._probe_at = self._opened_at = 0.0
        self._tokens = RETRY_TOKENS_MAX
        self._pace = Pace(clock)

    async def ready(self, sign: Callable[[], None]) -> None:
        """Wait until a call may be let through soon, without making one."""
        while not (self.state is BreakerState.CLOSED or self._is_time()):
            sign()
            await self._clock.sleep(LOOK_SECONDS)

    async def offer(self, call: Callable[[], Awaitable[None]], sign: Callable[[], None]) -> None:
        """Await `call()` when it is its turn; whatever it raises is raised. `sign` is called now and then meanwhile."""
        await self._turn(sign)
        answered = False
        try:
            await call()
            answered = True
        except RetryLater as error:
            self._failed(error)
            raise
        except Exception:
            answered = True
            raise
        finally:
            if answered:
                self._answered()
            elif self.state is BreakerState.PROBING:  # the prober's shard was lost on the way: another one's turn
                self.state = BreakerState.OPEN

    def pause_seconds(self, attempt: int, at_least: float) -> float:
        """Return the wait after a failure: a short one while the breaker is open, for then the turn is waited for.

        When the budget of retries is used up it is drawn as after many attempts.
        """
        if self.state is not BreakerState.CLOSED:
            return LOOK_SECONDS
        if self._tokens >= 1.0:
            self._tokens -= 1.0
        else:
            attempt = max(attempt, OVER_BUDGET_ATTEMPT)
        return EFFECTS.seconds(attempt, self._chance.fraction(), at_least)

    async def _turn(self, sign: Callable[[], None]) -> None:
        while True:
            now = self._clock.monotonic()
            if self.state is BreakerState.CLOSED:
                wait_seconds = self._pace.wait_seconds(now)
                if not wait_seconds:
                    return
            elif self._is_time():
                self.state = BreakerState.PROBING
                return
            else:
                wait_seconds = LOOK_SECONDS
            sign()
            await self._clock.sleep(min(LOOK_SECONDS, wait_seconds))

    def _is_time(self) -> bool:
        """Return True when the next call is the probe."""
        return self.state is BreakerState.OPEN and self._clock.monotonic() >= self._probe_at

    def _answered(self) -> None:
        self._failures = self._probes = 0
        self._tokens = min(RETRY_TOKENS_MAX, self._tokens + RETRY_TOKENS_A_SUCCESS)
        if self.state is not BreakerState.CLOSED:
            self.state = BreakerState.CLOSED
            now = self._clock.monotonic()
            self._pace.recover(now, now - self._opened_at)

    def _failed(self, error: RetryLater) -> None:
        self._failures += 1
        self.reason = error.reason
        if self.state is BreakerState.CLOSED and self._failures >= FAILURES_MAX:
            self.opened += 1
            self._opened_at = self._clock.monotonic()
        elif self.state is not BreakerState.PROBING:
            return
        self.state = BreakerState.OPEN
        self._probes += 1
        wait_seconds = PROBES.seconds(self._probes, self._chance.fraction(), error.after_seconds)
        self._probe_at = self._clock.monotonic() + wait_seconds


class Pace:
    """The rate of a topology's calls: learned while all is well, returned to step by step after an outage."""

    def __init__(self, clock: Clock) -> None:
        self._span_start = clock.monotonic()
        self._calls = 0
        self._normal: float | None = None
        self._until = self._next = float("-inf")
        self._step_seconds = self._kept_seconds = 0.0
        self._doublings = 0

    def wait_seconds(self, now: float) -> float:
        """Count a call and return 0, or return how long it has to wait before it asks again."""
        while self._doublings and now >= self._until:
            self._doublings -= 1
            self._until += self._kept_seconds
            self._step_seconds /= 2
        if now < self._until:
            if now < self._next:
                return self._next - now
            self._next = now + self._step_seconds
            return 0.0
        if now - self._span_start >= NORMAL_SECONDS:
            self._normal = self._rate(now)
            self._span_start, self._calls = now, 0
        self._calls += 1
        return 0.0

    def recover(self, now: float, outage_seconds: float) -> None:
        """Keep to little more than the normal rate for as long as the outage took, at most a minute; then rise."""
        normal = self._rate(now - outage_seconds) if self._normal is None else self._normal
        self._step_seconds = 1 / max(RECOVERY_CALLS_PER_SECOND_MIN, RECOVERY_RATE * normal)
        self._kept_seconds, self._doublings = min(RECOVERY_SECONDS_MAX, outage_seconds), RECOVERY_DOUBLINGS
        self._next, self._until = now, now + self._kept_seconds
        self._span_start, self._calls = now + self._kept_seconds * (1 + RECOVERY_DOUBLINGS), 0

    def _rate(self, now: float) -> float:
        return self._calls / max(1.0, now - self._span_start)
