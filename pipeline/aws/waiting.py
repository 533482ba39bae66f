"""Waiting for a resource to become what was asked for."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipeline.model.errors import RetryLater
from pipeline.ports import Clock

T = TypeVar("T")

WAIT_SECONDS = 300.0
"""How long a table or stream may take: AWS needs seconds, seldom a minute."""
_PAUSE_FIRST_SECONDS = 0.1
_PAUSE_MAX_SECONDS = 5.0


async def until(ask: Callable[[], Awaitable[T | None]], clock: Clock, what: str) -> T:
    """Return the first answer that is not None, asked with growing pauses. Raises RetryLater after WAIT_SECONDS."""
    deadline = clock.monotonic() + WAIT_SECONDS
    pause = _PAUSE_FIRST_SECONDS
    while (answer := await ask()) is None:
        if clock.monotonic() >= deadline:
            raise RetryLater(f"waited {WAIT_SECONDS:.0f} s for {what}", hint="it may still come: try again")
        await clock.sleep(pause)
        pause = min(2 * pause, _PAUSE_MAX_SECONDS)
    return answer
