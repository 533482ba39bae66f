"""Carrying a restore out: wishes from the archive against what the target holds, planned and then written."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from pipeline.coordination.persist import persist
from pipeline.history.plan import Action, Aim, Tally, Whole, Window, Wish, decide
from pipeline.history.trace import equal
from pipeline.history.traces import Traces
from pipeline.model.backoff import CALLS
from pipeline.model.errors import Misconfigured, Rejected, RetryLater
from pipeline.model.snapshot import digest_of
from pipeline.ports import Chance, Clock, ItemStore, ItemWrite

GROUP_ITEMS_MAX = 25
"""Items looked at in one call, and written side by side: what a kill leaves half done is at most so much."""
BATCH_WRITES_MAX = 25
DIGESTS_NAMED_MAX = 3
ATTEMPTS_MAX = 10
"""How often an item is looked at and written again while answers are lost; a plan is repeated without harm."""

Answer = TypeVar("Answer")


class Step(NamedTuple):
    """What is to be done, or was done, with one item."""

    wish: Wish
    have: bytes | None
    action: Action


class Target:
    """A table that a restore writes to, at no more than so many write units a second."""

    def __init__(
        self, items: ItemStore, table: str, clock: Clock, chance: Chance, *, units_per_second: float, fresh: bool
    ) -> None:
        self._items = items
        self._table = table
        self._clock = clock
        self._chance = chance
        self._units_per_second = units_per_second
        self._paid = 0
        self._began = clock.monotonic()
        self.fresh = fresh
        """True for a table that had nothing when the restore began: it is not read, and written in batches."""

    async def look(self, wishes: Mapping[bytes, Wish]) -> Mapping[bytes, bytes]:
        """Return the items the target has of these keys."""
        if self.fresh:
            return {}
        return await self._persist(lambda: self._items.get(self._table, list(wishes)))

    async def write(self, step: Step) -> bool:
        """Do a put or a delete if the item is still as it was seen; return False when it is not.

        Raises Misconfigured, without content, when the table refuses the item for good.
        """
        write = ItemWrite(self._table, step.wish.keys, step.wish.then)
        try:
            return await self._items.replace(write, step.have)
        except Rejected as error:
            raise refused(self._table, error, [write]) from error

    async def put_all(self, steps: list[Step]) -> None:
        """Put items without condition, in batches, until each is stored."""
        left = tuple(ItemWrite(self._table, step.wish.keys, step.wish.then) for step in steps)
        while left:
            try:
                unprocessed = await self._persist(partial(self._items.write_batch, left[:BATCH_WRITES_MAX]))
            except Rejected as error:
                raise refused(self._table, error, left) from error
            left = (*unprocessed, *left[BATCH_WRITES_MAX:])

    async def pay(self, units: int) -> None:
        """Wait until so many more units are within the rate."""
        self._paid += units
        ahead = self._paid / self._units_per_second - (self._clock.monotonic() - self._began)
        if ahead > 0:
            await self._clock.sleep(ahead)

    async def rest(self, error: RetryLater) -> None:
        """Wait after a call whose outcome is unknown."""
        await self._clock.sleep(CALLS.seconds(1, self._chance.fraction(), error.after_seconds))

    async def _persist(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        return await persist(call, self._clock, self._chance, retried=lambda *_: None)


async def plan(traces: Traces, aim: Aim, target: Target) -> AsyncIterator[Step]:
    """Yield what would be done with each item, in the plan's order; nothing is written.

    Raises Misconfigured when a table that is to hold nothing else holds another item.
    """
    async for wishes in _groups(traces, aim):
        for step in await _steps(wishes, aim, target):
            yield step


async def carry_out(
    traces: Traces, aim: Aim, target: Target, progress: Callable[[Tally], None] = lambda _: None
) -> Tally:
    """Write what the plan says, each item on the condition that it is as it was seen; return what was done.

    Killed at any point and run again, it does what is left: an item that is as it is to be is kept.
    """
    tally = Tally()
    async for wishes in _groups(traces, aim):
        for step in await _write_group(await _steps(wishes, aim, target), aim, target):
            tally.add(step.action, step.wish, step.have)
        progress(tally)
    return tally


async def _groups(traces: Traces, aim: Aim) -> AsyncIterator[dict[bytes, Wish]]:
    group: dict[bytes, Wish] = {}
    async for trace in traces.each():
        wish = aim.wish(trace)
        if wish is None:
            continue
        group[wish.keys] = wish
        if len(group) == GROUP_ITEMS_MAX:
            yield group
            group = {}
    if group:
        yield group


async def _steps(wishes: Mapping[bytes, Wish], aim: Aim, target: Target) -> list[Step]:
    found = await target.look(wishes)
    return [_step(wish, found.get(keys), aim) for keys, wish in wishes.items()]


def _step(wish: Wish, have: bytes | None, aim: Aim) -> Step:
    if isinstance(aim, Whole) and have is not None and not equal(have, wish.then):
        msg = "the table to restore into holds other items than the restore would put there"
        raise Misconfigured(msg, hint="give the name of a table that does not exist yet; nothing was overwritten")
    overwrite = isinstance(aim, Window) and aim.overwrite
    return Step(wish, have, decide(wish, have, overwrite=overwrite))


async def _write_group(steps: list[Step], aim: Aim, target: Target) -> list[Step]:
    """Write one group; return the steps as they came out, in the same order."""
    writes = [step for step in steps if step.action in {Action.PUT, Action.DELETE}]
    tally = Tally()
    for step in writes:
        tally.add(step.action, step.wish, step.have)
    await target.pay(tally.units)
    if target.fresh:
        await target.put_all(writes)
        return steps
    return list(await asyncio.gather(*(_write_one(step, aim, target) for step in steps)))


async def _write_one(step: Step, aim: Aim, target: Target) -> Step:
    """Write one item; look again when it was not what was seen, or when an answer was lost."""
    planned, wrote = step, False
    for _ in range(ATTEMPTS_MAX):
        if step.action not in {Action.PUT, Action.DELETE}:
            # After an answer that was lost, the item is found as it is to be: it was our write.
            return planned if wrote and step.action is Action.KEEP else step
        try:
            if await target.write(step):
                return step
        except RetryLater as error:
            wrote = True
            await target.rest(error)
        (step,) = await _steps({step.wish.keys: step.wish}, aim, target)
    raise RetryLater(f"{ATTEMPTS_MAX} attempts to write one item came to nothing", hint="run the same command again")


def refused(table: str, error: Rejected, writes: Sequence[ItemWrite]) -> Misconfigured:
    """Return what to say of writes that a table refuses; the items are named by the digests of their keys."""
    named = [digest_of(writes[index].keys).hex() for index in sorted(error.positions)]
    some = ", ".join(named[:DIGESTS_NAMED_MAX]) + (", …" if len(named) > DIGESTS_NAMED_MAX else "")
    return Misconfigured(
        f"table {table} refuses {len(named)} item(s) for good, key digest {some}: {error.reason}",
        hint="are they over 400 KB, or the table's key attributes others than the source's? `--plan` tells which key"
        " has which digest. What was written stays; --keys restores the others",
    )
