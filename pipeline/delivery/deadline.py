"""A plugin's call in a task of its own: it has a deadline, and whatever it raises is an answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from pipeline.ports import Clock


class Outcome(NamedTuple):
    """How a call ended: what it returned, or what it raised."""

    value: object
    error: BaseException | None


Call = asyncio.Task[Outcome]


def begin(call: Callable[[], Awaitable[object]]) -> Call:
    """Start a call; the task never fails, also when the plugin raises SystemExit or a cancellation of its own."""
    return asyncio.ensure_future(_outcome(call))


async def ends_within(call: asyncio.Future[Any], clock: Clock, seconds: float) -> bool:
    """Wait for the end of a call, or of several together, at most so long; return whether it has ended."""
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((call, alarm), return_when=asyncio.FIRST_COMPLETED)
    finally:
        alarm.cancel()
    return call.done()


async def _outcome(call: Callable[[], Awaitable[object]]) -> Outcome:
    try:
        return Outcome(await call(), None)
    except (GeneratorExit, KeyboardInterrupt):  # the interpreter's own doing
        raise
    except BaseException as error:  # noqa: BLE001  # a plugin may raise anything
        return Outcome(None, error)
