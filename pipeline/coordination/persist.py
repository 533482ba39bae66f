"""Repeat a call until its outcome is known."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipeline.model.backoff import CALLS, Backoff
from pipeline.model.errors import RetryLater
from pipeline.ports import Chance, Clock

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
