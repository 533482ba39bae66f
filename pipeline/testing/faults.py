"""Faults to order: the same for every fake, and for one worker's way to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from pipeline.model.errors import PipelineError, RetryLater

When = Literal["before", "after"]
Trouble = Callable[[], Awaitable[None]]
"""What happens to whoever makes a call: it raises, hangs or cancels."""


class Killed(BaseException):
    """The process died here; no `except Exception` sees it."""


@dataclass
class _Planned:
    call: str
    when: When
    error: PipelineError
    skip: int
    times: int


class Faults:
    """What goes wrong on the way to a fake, and when.

    Each fake has its own, which all callers meet; `fake.behind(faults)` is the same fake as one worker reaches it.

    `before` raises instead of doing what was asked, `after` raises although it was done: a lost answer. `decide`, if
    set, is asked at every other call, with the call's name and the moment, and may return an error: a seeded storm.
    `pause`, if set, is awaited before and after every effect, so that tasks interleave; `watch`, if set, right after
    every effect. With `at`, `trouble` happens at that call of all, counted from 1. Who was killed calls no more.
    """

    def __init__(
        self, at: int = 0, when: When = "before", trouble: Trouble | None = None, *, pause: Trouble | None = None
    ) -> None:
        self.decide: Callable[[str, When], PipelineError | None] | None = None
        self.pause = pause
        self.watch: Trouble | None = None
        self.calls: dict[str, int] = {}
        """How often each call was made, failed ones included."""
        self._plan: list[_Planned] = []
        self._at = at
        self._when = when
        self._trouble = trouble
        self._dead = False

    @property
    def total(self) -> int:
        """Return how many calls were made in all, failed ones included."""
        return sum(self.calls.values())

    def at_next_call(self, when: When, trouble: Trouble, *, skip: int = 0) -> None:
        """Let `trouble` happen at the next call, whichever it is, after `skip` good ones."""
        self._at, self._when, self._trouble = self.total + 1 + skip, when, trouble

    def before(self, call: str, error: PipelineError, *, skip: int = 0, times: int = 1) -> None:
        """Raise `error` in place of the effect of the next calls, after `skip` good ones."""
        self._plan.append(_Planned(call, "before", error, skip, times))

    def after(self, call: str, error: PipelineError, *, skip: int = 0, times: int = 1) -> None:
        """Raise `error` after the effect of the next calls, after `skip` good ones."""
        self._plan.append(_Planned(call, "after", error, skip, times))

    def around(self, call: str) -> "Around":
        """Surround the effect of a call with what was ordered for it."""
        self.calls[call] = self.calls.get(call, 0) + 1
        return Around(self, call, self.total)

    async def reach(self, call: str, when: When, number: int) -> None:
        """Do what was ordered for this moment of a call."""
        if self.pause is not None:
            await self.pause()
        if self._dead:
            raise Killed
        if self._trouble is not None and (number, when) == (self._at, self._when):
            await self._meet(self._trouble)
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

    async def _meet(self, trouble: Trouble) -> None:
        try:
            await trouble()
        except Killed:
            self._dead = True
            raise


class Around:
    """The moments before and after the effect of one call."""

    def __init__(self, faults: Faults, call: str, number: int) -> None:
        self._faults = faults
        self._call = call
        self._number = number

    async def __aenter__(self) -> None:
        """Do what was ordered before the effect."""
        await self._faults.reach(self._call, "before", self._number)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Do what was ordered after the effect, if it took place."""
        if kind is None:
            if self._faults.watch is not None:
                await self._faults.watch()
            await self._faults.reach(self._call, "after", self._number)


async def kill() -> None:
    """Die, as by kill -9."""
    raise Killed


async def refuse() -> None:
    """Be too slow or too full: before the effect a refusal, after it a lost answer."""
    raise RetryLater("the destination is slow", after_seconds=0.1)
