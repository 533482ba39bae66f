"""How the cases of SinkContract work: what an author says about a sink, and how it is driven, broken and checked."""

import asyncio
import gc
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import orjson
import pytest

from pipeline.model.change import Batch, Change
from pipeline.model.errors import RetryLater
from pipeline.plugin import Sink
from pipeline.testing.changes import batch, batches, history
from pipeline.testing.context import Stores, StoresContext
from pipeline.testing.faults import Faults, Trouble, When, refuse
from pipeline.wire.diff import canonical_item

CALLS_MAX = 200
"""A case that breaks every call of a run gives up here: a run of a dozen changes makes fewer calls."""
OFFERS_MAX = 50
"""How often a batch is offered again before the sink counts as stuck."""
CHANGES = history(("a", "b", "a", "-b", "c", "a", "b", "-c", "-a", "c", "a", "d"))
"""Inserts, modifies and removes of four items, interleaved."""


class Kept(NamedTuple):
    """A change as a sink that keeps changes stored it; `content` is what `content_of` says of the change."""

    shard: str
    position: int
    content: object


Found = Mapping[tuple[str, bytes], bytes] | Sequence[Kept]
"""Images by table and keys, or changes in the order they are stored."""


class Rig(ABC):
    """One sink under test."""

    may_regress: ClassVar[bool] = False
    """True for a sink that promises only to converge: it may show an older image until the end was delivered again."""

    @abstractmethod
    def make_sink(self, context: StoresContext) -> Sink:
        """Return a new sink, as a worker that starts would."""

    @abstractmethod
    async def read_back(self, stores: Stores) -> Found:
        """Return what the destination holds now, read from the destination and not from a sink."""

    def make_stores(self) -> Stores:
        """Return empty stores with what must exist before a sink is opened."""
        return Stores()

    def content_of(self, change: Change) -> object:
        """Return what a sink that keeps changes keeps of one: by default the new image."""
        return change.after

    async def start(self, faults: Faults | None = None) -> tuple[Stores, Sink]:
        """Return empty stores and an open sink."""
        stores = self.make_stores()
        return stores, await self.open(stores, faults)

    async def open(self, stores: Stores, faults: Faults | None = None) -> Sink:
        """Return a new, open sink."""
        sink = self.make_sink(stores.context(faults))
        await sink.open()
        return sink

    async def deliver(self, stores: Stores, given: Iterable[Batch], faults: Faults | None = None) -> None:
        """Deliver as a new worker does: the same batch again after RetryLater."""
        sink = await self.open(stores, faults)
        for each in given:
            await offer(sink, each)

    async def whole(self, changes: Sequence[Change], given: Iterable[Batch] = ()) -> None:
        """Deliver a stream to an empty destination and expect all of it there."""
        stores, _ = await self.start()
        whole = batch(changes, 1, len(changes))
        await self.deliver(stores, given or [whole])
        await self.holds(stores, whole)

    async def holds(self, stores: Stores, *given: Batch) -> None:
        """Expect exactly the effect of these batches at the destination."""
        found = await self.read_back(stores)
        if isinstance(found, Mapping):
            expected = {(c.table, c.keys): c.after for each in given for c in each.changes}
            assert comparable(found) == comparable(expected)
        else:
            kept = [Kept(each.shard, position, self.content_of(c)) for each in given for position, c in each]
            assert sorted(found, key=lambda k: k.shard) == sorted(kept, key=lambda k: k.shard)

    async def ends(self, stores: Stores, changes: Sequence[Change]) -> None:
        """Expect all changes; of a sink that may regress, once the end was delivered again."""
        whole = batch(changes, 1, len(changes))
        if self.may_regress:
            await self.deliver(stores, [whole])
        await self.holds(stores, whole)

    async def break_every_call(self, when: When, trouble: Trouble, expected: type[BaseException]) -> None:
        """Break a worker at each of its calls, then let a successor go on from both ends of what it may start from."""
        for at in range(1, CALLS_MAX):
            for back in (True, False):
                faults, stores = Faults(at, when, trouble), self.make_stores()
                settled = await self._until_broken(stores, faults, expected)
                start = 1 if back else min(settled + 1, len(CHANGES))
                await self.deliver(stores, batches(CHANGES, 2, 7, start=start))
                await self.ends(stores, CHANGES)
            if self._beyond(faults, at):
                return
        pytest.fail(f"a dozen changes took more than {CALLS_MAX} calls")

    async def slow_every_call(self, when: When) -> None:
        """Raise RetryLater at each call of a worker, and offer the same batch again."""
        for at in range(1, CALLS_MAX):
            faults, stores = Faults(at, when, refuse), self.make_stores()
            sink = self.make_sink(stores.context(faults))
            try:
                await sink.open()
            except RetryLater:
                await sink.open()
            for each in batches(CHANGES, 4, 9):
                await offer(sink, each)
            await self.holds(stores, batch(CHANGES, 1, len(CHANGES)))
            if self._beyond(faults, at):
                return
        pytest.fail(f"a dozen changes took more than {CALLS_MAX} calls")

    async def wake_at_every_call(self, when: When) -> None:
        """Hold a worker at each of its calls until its successor has written everything, then let it go on."""
        for at in range(1, CALLS_MAX):
            asleep, awake, stores = asyncio.Event(), asyncio.Event(), self.make_stores()
            old, new = Faults(at, when, _sleeping(asleep, awake)), Faults()
            if not self.may_regress:
                old.watch = new.watch = Watch(self, stores).look
            worker = asyncio.create_task(self.deliver(stores, batches(CHANGES, 4, 9), old))
            sleeping = asyncio.create_task(asleep.wait())
            await asyncio.wait([worker, sleeping], return_when=asyncio.FIRST_COMPLETED)
            sleeping.cancel()
            await self.deliver(stores, batches(CHANGES, 2, 7), new)
            awake.set()
            await worker
            await self.ends(stores, CHANGES)
            if self._beyond(old, at):
                return
        pytest.fail(f"a dozen changes took more than {CALLS_MAX} calls")

    async def _until_broken(self, stores: Stores, faults: Faults, expected: type[BaseException]) -> int:
        """Deliver until the fault; return up to which position write returned."""
        settled = 0

        async def work() -> None:
            nonlocal settled
            sink = await self.open(stores, faults)
            for each in batches(CHANGES, 4, 9):
                await sink.write(each)
                settled = each.last

        (outcome,) = await asyncio.gather(work(), return_exceptions=True)
        assert outcome is None or isinstance(outcome, expected), outcome
        return settled

    @staticmethod
    def _beyond(faults: Faults, at: int) -> bool:
        """Return True when the run had no call number `at`, so that every call had its turn."""
        assert faults.total, "the sink made no call: wrap its destination in context.faults.around"
        return faults.total < at


class Watch:
    """Looks at the destination after every effect: no item may ever show an older image than it did."""

    def __init__(self, rig: Rig, stores: Stores) -> None:
        self._rig = rig
        self._stores = stores
        self._places: dict[bytes, int] = {}
        self._images: dict[bytes, list[object]] = {}
        for change in CHANGES:
            images = self._images.setdefault(change.keys, [None])
            images.append(change.after and canonical_item(orjson.loads(change.after)))

    async def look(self) -> None:
        """Read everything back and compare with what was seen before."""
        found = await self._rig.read_back(self._stores)
        if not isinstance(found, Mapping):
            places = [(kept.shard, kept.position) for kept in found]
            assert places == sorted(set(places)), "changes are out of order or repeated"
            return
        now = comparable(found)
        for keys, images in self._images.items():
            at, shown = self._places.get(keys, 0), now.get(("orders", keys))
            assert shown in images[at:], f"item {keys!r} went back to an older image"
            self._places[keys] = images.index(shown, at)


def comparable(found: Mapping[tuple[str, bytes], bytes | None]) -> dict[tuple[str, bytes], Any]:
    """Return images in their one spelling, without those that are not there."""
    return {item: canonical_item(orjson.loads(data)) for item, data in found.items() if data is not None}


async def offer(sink: Sink, given: Batch) -> None:
    """Offer a batch until it is written, as delivery does."""
    for _ in range(OFFERS_MAX):
        try:
            return await sink.write(given)
        except RetryLater:
            continue
    pytest.fail(f"the sink was still not done when a batch had been offered {OFFERS_MAX} times")


async def cancel() -> None:
    """Cancel the task that makes the call."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.Event().wait()


def live_changes() -> int:
    """Return how many changes are in memory."""
    return sum(type(each) is Change for each in gc.get_objects())


def _sleeping(asleep: asyncio.Event, awake: asyncio.Event) -> Trouble:
    async def sleep() -> None:
        asleep.set()
        await awake.wait()

    return sleep
