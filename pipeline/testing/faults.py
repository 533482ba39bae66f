"""Faults to order: the same in every fake."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from pipeline.model.errors import PipelineError

When = Literal["before", "after"]


@dataclass
class _Planned:
    call: str
    when: When
    error: PipelineError
    skip: int
    times: int


class Faults:
    """What goes wrong in a fake, and when.

    `before` raises instead of doing what was asked, `after` raises although it was done: a lost answer. `decide`, if
    set, is asked at every other call, with the call's name and the moment, and may return an error: a seeded storm.
    `pause`, if set, is awaited before and after every effect, so that tasks interleave.
    """

    def __init__(self) -> None:
        self.decide: Callable[[str, When], PipelineError | None] | None = None
        self.pause: Callable[[], Awaitable[None]] | None = None
        self.calls: dict[str, int] = {}
        """How often each call was made, failed ones included."""
        self._plan: list[_Planned] = []

    def before(self, call: str, error: PipelineError, *, skip: int = 0, times: int = 1) -> None:
        """Raise `error` in place of the effect of the next calls, after `skip` good ones."""
        self._plan.append(_Planned(call, "before", error, skip, times))

    def after(self, call: str, error: PipelineError, *, skip: int = 0, times: int = 1) -> None:
        """Raise `error` after the effect of the next calls, after `skip` good ones."""
        self._plan.append(_Planned(call, "after", error, skip, times))

    @asynccontextmanager
    async def around(self, call: str) -> AsyncIterator[None]:
        """Surround the effect of a call with what was ordered for it."""
        self.calls[call] = self.calls.get(call, 0) + 1
        await self._reach(call, "before")
        yield
        await self._reach(call, "after")

    async def _reach(self, call: str, when: When) -> None:
        if self.pause is not None:
            await self.pause()
        for planned in self._plan:
            if (planned.call, planned.when) == (call, when) and planned.times:
                if planned.skip:
                    planned.skip -= 1
                    continue
                planned.times -= 1
                raise planned.error
        error = self.decide(call, when) if self.decide is not None else None
        if error is not None:
            raise error
