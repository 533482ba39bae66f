"""Patience: repeat a call until its outcome is known, or rest until somebody may have mended the cause."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipeline.model.backoff import CALLS, Backoff
from pipeline.model.errors import RetryLater
from pipeline.model.state import Report
from pipeline.ports import Chance, Clock

HALT_SECONDS = 30.0
"""How long what is halted rests before it looks whether a person has mended what stopped it."""
REST_SIGN_SECONDS = 1.0
"""How often the resting give a sign of life, so that nobody takes them for dead."""

Answer = TypeVar("Answer")


async def persist(
    call: Callable[[], Awaitable[Answer]],
    clock: Clock,
    chance: Chance,
    *,
    retried: Callable[[RetryLater, int], None],
    backoff: Backoff = CALLS,
) -> Answer:
    """Await `call()` again after every RetryLater, with full jitter, until it returns or raises something else.

    There is no last attempt: giving up would mean to skip. `retried` is told each error and attempt number, so that
    the wait is visible; cancellation ends it.
    """
    attempt = 0
    while True:
        try:
            return await call()
        except RetryLater as error:
            attempt += 1
            retried(error, attempt)
            await clock.sleep(backoff.seconds(attempt, chance.fraction(), error.after_seconds))


async def rest(clock: Clock, seconds: float, report: Report) -> None:
    """Wait, giving signs of life in `report`."""
    until = clock.monotonic() + seconds
    while (left := until - clock.monotonic()) > 0:
        report.moved_at = clock.monotonic()
        await clock.sleep(min(REST_SIGN_SECONDS, left))
