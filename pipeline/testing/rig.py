"""How the cases of SinkContract work: what an author says about a sink, and how it is driven, broken and checked."""

import asyncio
import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.model.change import Batch, Change
from pipeline.model.errors import RetryLater
from pipeline.plugin import Sink, Topology
from pipeline.settings.convert import build
from pipeline.testing.changes import CHANGES, batch, batches
from pipeline.testing.context import PIPELINE, Stores, StoresContext
from pipeline.testing.faults import Faults, Trouble, When, refuse
from pipeline.testing.watch import Found, Kept, Watch, comparable

CASES = range(1, 51)
CALLS_MAX = 200
"""A case that breaks every call of a run gives up here: a run of a dozen changes makes fewer calls."""
OFFERS_MAX = 50
"""How often a batch is offered again before the sink counts as stuck."""


class Rig(ABC):
    """One sink under test: what its author says of it."""

    topology: ClassVar[Topology | None] = None
    """The topology; None when `make_sink` makes the sink in another way."""
    settings: ClassVar[Mapping[str, object]] = {}
    """The topology's own keys, as in its section of `fanout.toml`."""
    may_regress: ClassVar[bool] = False
    """True for a sink that promises only to converge: it may show an older image until the end was delivered again."""
    not_applicable: ClassVar[Mapping[int, str]] = {}
    """Numbers of cases that cannot apply to the sink, each with the reason, which is printed."""
    kept_state: ClassVar[Path | None] = None
    """What the version before stored of the first six changes of CHANGES, in a file that `keep` wrote."""

    def make_sink(self, context: StoresContext) -> Sink:
        """Return a new sink, as a worker that starts would."""
        assert self.topology is not None, "set `topology` and `settings`, or define make_sink"
        section = f"topologies.{self.topology.name}"
        return self.topology.sink(build(self.topology.settings, self.settings, section), context)

    @abstractmethod
    async def read_back(self, stores: Stores) -> Found:
        """Return what the destination holds now, read from the destination and not from a sink."""

    def make_stores(self) -> Stores:
        """Return empty stores with what must exist before a sink is opened."""
        return Stores()

    def content_of(self, change: Change) -> object:
        """Return what a sink that keeps changes keeps of one: by default the new image."""
        return change.after

    def why_not(self, case: str) -> str:
        """Return why a case, by the name of its test, does not apply; empty when it does."""
        number = int(case.removeprefix("test_").partition("_")[0])
        by_itself = {27: "it says that it may show an older image on the way"} if self.may_regress else {}
        return {**by_itself, **self.not_applicable}.get(number, "")

    async def start(self, faults: Faults | None = None) -> tuple[Stores, Sink]:
        """Return empty stores and an open sink."""
        stores = self.make_stores()
        return stores, await self.open(stores, faults)

    async def open(self, stores: Stores, faults: Faults | None = None, *, pipeline: str = PIPELINE) -> Sink:
        """Return a new sink, open: as delivery does it, again after RetryLater."""
        sink = self.make_sink(stores.context(faults, pipeline=pipeline))
        try:
            await sink.open()
        except RetryLater:
            await sink.open()
        return sink

    def takes(self, given: Batch) -> bool:
        """Return True for a batch that delivery hands over: one without changes only to a topology with `ranges`."""
        return bool(given.changes) or (self.topology is not None and self.topology.ranges)

    async def deliver(self, stores: Stores, given: Iterable[Batch], faults: Faults | None = None) -> None:
        """Deliver as a new worker does: the same batch again after RetryLater."""
        sink = await self.open(stores, faults)
        for each in filter(self.takes, given):
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
            if _beyond(faults.total, at):
                return
        pytest.fail(f"a dozen changes took more than {CALLS_MAX} calls")

    async def slow_every_call(self, when: When) -> None:
        """Raise RetryLater at each call of a worker, and offer the same batch again."""
        for at in range(1, CALLS_MAX):
            faults, stores = Faults(at, when, refuse), self.make_stores()
            await self.deliver(stores, batches(CHANGES, 4, 9), faults)
            await self.holds(stores, batch(CHANGES, 1, len(CHANGES)))
            if _beyond(faults.total, at):
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
            if _beyond(old.total, at):
                return
        pytest.fail(f"a dozen changes took more than {CALLS_MAX} calls")

    @staticmethod
    def at_every_call(case: Callable[[int], int]) -> None:
        """Run a case for each call of a worker, by its number; it returns how many there were."""
        for at in range(1, CALLS_MAX):
            if _beyond(case(at), at):
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


def _beyond(calls: int, at: int) -> bool:
    """Return True when the run had no call number `at`, so that every call had its turn."""
    assert calls, "the sink made no call: wrap its destination in context.faults.around"
    return calls < at


def _sleeping(asleep: asyncio.Event, awake: asyncio.Event) -> Trouble:
    async def sleep() -> None:
        asleep.set()
        await awake.wait()

    return sleep
