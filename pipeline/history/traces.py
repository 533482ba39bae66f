"""What the archive says of each item at some moments, gathered in bounded memory.

One pass over the segments leaves a trace for each item: its last change before each moment asked for, its first change,
and its last. What does not fit into memory is laid aside in runs, parted by a digest of the key, so that later one
part after the other fits. What a snapshot has is not gathered: it is read beside the traces, in the same order.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from operator import attrgetter

from pipeline.history.keys import Scope
from pipeline.history.trace import FOREVER_MS, TRACE_BYTES, Trace, decode, encode
from pipeline.model.change import Batch, Change, ChangeKind
from pipeline.model.point import Place, Point, Row
from pipeline.ports import ObjectStore
from pipeline.wire.attributes import Image
from pipeline.wire.part import RANGES, place_of, range_of

MEMORY_BYTES_MAX = 256 * 1024 * 1024
"""What the traces in memory may weigh, about, before they are laid aside."""

Beginning = Callable[[Scope, int], AsyncGenerator[Trace, None]]
"""Yields what a snapshot has of a scope, with so many moments each, in the order of `each`."""


class Traces:
    """The traces of the items of a scope, at moments given in ascending order.

    With a `base`, all moments must lie at or after the snapshot's, and only what is behind it must be added. What fits
    is RANGES times what memory holds. The items of what `each` yields went through `shown`.
    """

    def __init__(
        self,
        scope: Scope,
        moments_ms: Sequence[int],
        aside: ObjectStore,
        *,
        base: Beginning | None = None,
        memory_bytes_max: int = MEMORY_BYTES_MAX,
        folder: str = "traces/",
        shown: Image | None = None,
    ) -> None:
        assert list(moments_ms) == sorted(moments_ms)
        self._scope = scope
        self._moments = (*moments_ms, FOREVER_MS)
        self._aside = aside
        self._base = base
        self._folder = folder
        self._shown = shown
        self._memory_bytes_max = memory_bytes_max
        self._found: dict[bytes, Trace] = {}
        self.weight = 0
        """About how many bytes are in memory."""
        self.runs = 0
        """How often something was laid aside."""
        self.changes = 0
        """Changes of the scope that were seen."""
        self.incomplete = 0
        """Items with a change in quarantine, of those that `each` has yielded."""

    async def add(self, batch: Batch) -> None:
        """Take in what a segment has of the scope, in any order; what comes twice counts once."""
        table, everything, scope = self._scope.table, self._scope.whole, self._scope
        shard = f"{batch.stream}/{batch.shard}"
        for position, change in batch:
            if change.table == table and change.kind is not ChangeKind.GAP and (everything or scope.has(change.keys)):
                self._note(change, (shard, position), redriven=bool(batch.asked_by))
        for parked in batch.parked:
            if parked.table == table and scope.has(parked.keys):
                self._trace(parked.keys).park((parked.epoch, parked.sequence), (shard, parked.position))
        if self.weight > self._memory_bytes_max:
            await self.lay_aside()

    async def each(self) -> AsyncGenerator[Trace, None]:
        """Yield every trace once, in an order that depends on nothing but the keys."""
        self.incomplete = 0
        async with aclosing(self._all()) as traces:
            async for trace in traces:
                self.incomplete += trace.incomplete
                if self._shown is not None:
                    trace.turn(self._shown)
                yield trace

    async def lay_aside(self) -> None:
        """Let go of what is in memory, to be read again when its turn comes."""
        parts: dict[int, list[Trace]] = {}
        for trace in self._found.values():
            parts.setdefault(range_of(trace.keys), []).append(trace)
        for part, traces in parts.items():
            await self._aside.replace(f"{self._folder}{part:03d}/{self.runs:08d}", encode(traces))
        self.runs += 1
        self._found, self.weight = {}, 0

    def _note(self, change: Change, place: Place, *, redriven: bool) -> None:
        self.changes += 1
        trace = self._trace(change.keys)
        if change.kind is ChangeKind.SNAPSHOT:
            self.weight += trace.add_row(Row(place, change.time_ms, change.after), self._moments)
            return
        order = (change.epoch, change.sequence)
        point = Point(order, place, change.time_ms, change.after)
        self.weight += trace.add(point, change.before, self._moments)
        if redriven:
            trace.put_through(order)

    def _trace(self, keys: bytes) -> Trace:
        trace = self._found.get(keys)
        if trace is None:
            trace = self._found[keys] = Trace(keys, len(self._moments))
            self.weight += TRACE_BYTES
        return trace

    async def _all(self) -> AsyncGenerator[Trace, None]:
        if self._base is None:
            async for trace in self._gathered():
                yield trace
            return
        async with aclosing(self._gathered()) as gathered, aclosing(self._based(self._base)) as based:
            async for trace in _joined(based, gathered):
                yield trace

    async def _gathered(self) -> AsyncGenerator[Trace, None]:
        if not self.runs:
            for trace in sorted(self._found.values(), key=_place):
                yield trace
            return
        if self._found:
            await self.lay_aside()
        for part in range(RANGES):
            found: dict[bytes, Trace] = {}
            async for name in self._aside.names(f"{self._folder}{part:03d}/"):
                for trace in decode(await self._aside.read(name) or b""):
                    known = found.setdefault(trace.keys, trace)
                    if known is not trace:
                        known.merge(trace)
            for trace in sorted(found.values(), key=attrgetter("keys")):
                yield trace

    def _based(self, base: Beginning) -> AsyncGenerator[Trace, None]:
        return base(self._scope, len(self._moments))


async def _joined(one: AsyncIterator[Trace], other: AsyncIterator[Trace]) -> AsyncIterator[Trace]:
    """Yield the traces of both, which are sorted, in their order; what both have of an item as one."""
    a, b = await _next(one), await _next(other)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            assert a is not None
            yield a[1]
            a = await _next(one)
        elif a is None or b[0] < a[0]:
            yield b[1]
            b = await _next(other)
        else:
            a[1].merge(b[1])
            yield a[1]
            a, b = await _next(one), await _next(other)


async def _next(traces: AsyncIterator[Trace]) -> tuple[tuple[int, bytes], Trace] | None:
    """Return the next trace and its place, None at the end."""
    trace = await anext(traces, None)
    return None if trace is None else (_place(trace), trace)


def _place(trace: Trace) -> tuple[int, bytes]:
    return place_of(trace.keys)
