"""What the archive says of each item at some moments, gathered in bounded memory.

One pass over the segments leaves a trace for each item: its last change before each moment asked for, its first change,
and its last. What does not fit into memory is laid aside in runs, parted by a digest of the key, so that later one
part after the other fits.
"""

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from pipeline.history.keys import Scope
from pipeline.model.change import Change
from pipeline.ports import ObjectStore

MEMORY_BYTES_MAX = 256 * 1024 * 1024
"""What the traces in memory may weigh, about, before they are laid aside."""
PARTS = 256
"""Into how many parts items are laid aside: what fits is PARTS times what memory holds."""
_TRACE_BYTES = 700
"""What a trace weighs without its images."""


class Point(NamedTuple):
    """An item right after a change; `image` is None when it was removed."""

    order: tuple[str, int]
    """Epoch and sequence: of two points of an item, the greater is the later."""
    time_ms: int
    image: bytes | None


class Trace:
    """What is known of one item. `points` has, for each moment, the last point before it, or None."""

    __slots__ = ("before", "first", "keys", "last", "points")

    def __init__(self, keys: bytes, first: tuple[str, int], before: bytes | None, last: Point, moments: int) -> None:
        self.keys = keys
        self.first = first
        """Order of the first change."""
        self.before = before
        """The item before its first change."""
        self.last = last
        self.points: list[Point | None] = [None] * moments

    def state(self, moment: int) -> bytes | None:
        """Return the item as it was at moment number `moment`, None when it was not there.

        Before its first change in the archive an item was what that change says was before it.
        """
        point = self.points[moment]
        return self.before if point is None else point.image

    def changed_between(self, earlier: int, later: int) -> bool:
        """Return True when there is a change after the one moment and not after the other."""
        a, b = self.points[earlier], self.points[later]
        return b is not None and (a is None or a.order < b.order)

    def merge(self, other: "Trace") -> None:
        """Take over what another trace of the item knows."""
        if other.first < self.first:
            self.first, self.before = other.first, other.before
        if other.last.order > self.last.order:
            self.last = other.last
        for index, point in enumerate(other.points):
            mine = self.points[index]
            if point is not None and (mine is None or mine.order < point.order):
                self.points[index] = point

    def weight(self) -> int:
        """Return about how many bytes of memory it takes."""
        images = {id(p.image): len(p.image) for p in (self.last, *self.points) if p is not None and p.image}
        return _TRACE_BYTES + len(self.before or b"") + sum(images.values())


class Traces:
    """The traces of the items of a scope, at moments given in ascending order."""

    def __init__(
        self, scope: Scope, moments_ms: Sequence[int], aside: ObjectStore, *, memory_bytes_max: int = MEMORY_BYTES_MAX
    ) -> None:
        assert list(moments_ms) == sorted(moments_ms)
        self._scope = scope
        self._moments = tuple(moments_ms)
        self._aside = aside
        self._memory_bytes_max = memory_bytes_max
        self._found: dict[bytes, Trace] = {}
        self._weight = 0
        self.runs = 0
        """How often something was laid aside."""
        self.changes = 0
        """Changes of the scope that were seen."""

    async def add(self, changes: Iterable[Change]) -> None:
        """Take in changes, in any order; one that comes twice counts once."""
        table, everything = self._scope.table, self._scope.whole
        for change in changes:
            if change.table == table and (everything or self._scope.has(change.keys)):
                self._note(change)
        if self._weight > self._memory_bytes_max:
            await self._lay_aside()

    def base(self, keys: bytes, point: Point) -> None:
        """Take in an item as a snapshot has it; all moments must lie at or after the snapshot's."""
        if self._scope.whole or self._scope.has(keys):
            trace = Trace(keys, point.order, None, point, 0)
            trace.points = [point] * len(self._moments)
            self._put(trace)

    async def settle(self) -> None:
        """Lay aside what is too much, between two additions of `base`."""
        if self._weight > self._memory_bytes_max:
            await self._lay_aside()

    async def each(self) -> AsyncIterator[Trace]:
        """Yield every trace once, in an order that depends on nothing but the keys."""
        if not self.runs:
            for trace in sorted(self._found.values(), key=_place):
                yield trace
            return
        if self._found:
            await self._lay_aside()
        for part in range(PARTS):
            found: dict[bytes, Trace] = {}
            async for name in self._aside.names(f"traces/{part:03d}/"):
                for trace in _decode(await self._aside.read(name) or b""):
                    known = found.setdefault(trace.keys, trace)
                    if known is not trace:
                        known.merge(trace)
            for trace in sorted(found.values(), key=attrgetter("keys")):
                yield trace

    def _note(self, change: Change) -> None:
        self.changes += 1
        order = (change.epoch, change.sequence)
        trace = self._found.get(change.keys)
        point = Point(order, change.time_ms, change.after)
        if trace is None:
            trace = Trace(change.keys, order, change.before, point, len(self._moments))
            self._found[change.keys] = trace
            self._weight += _TRACE_BYTES + len(change.before or b"")
        elif order < trace.first:
            trace.first, trace.before = order, change.before
        if order > trace.last.order:
            self._weight += len(point.image or b"") - len(trace.last.image or b"")
            trace.last = point
        for index, moment_ms in enumerate(self._moments):
            if change.time_ms < moment_ms:
                known = trace.points[index]
                if known is None or known.order < order:
                    self._weight += len(point.image or b"") - len(known.image or b"" if known else b"")
                    trace.points[index] = point

    def _put(self, trace: Trace) -> None:
        known = self._found.setdefault(trace.keys, trace)
        if known is trace:
            self._weight += trace.weight()
        else:
            known.merge(trace)

    async def _lay_aside(self) -> None:
        parts: dict[int, list[Trace]] = {}
        for trace in self._found.values():
            parts.setdefault(_part(trace.keys), []).append(trace)
        for part, traces in parts.items():
            await self._aside.replace(f"traces/{part:03d}/{self.runs:08d}", _encode(traces))
        self.runs += 1
        self._found, self._weight = {}, 0


def _part(keys: bytes) -> int:
    return hashlib.blake2b(keys, digest_size=2).digest()[0] % PARTS


def _place(trace: Trace) -> tuple[int, bytes]:
    return _part(trace.keys), trace.keys


_Stored = tuple[str, str, int, bytes | None]
_StoredTrace = tuple[bytes, str, str, bytes | None, _Stored, list[_Stored | None]]
_stored = msgspec.msgpack.Decoder(list[_StoredTrace])


def _encode(traces: Iterable[Trace]) -> bytes:
    """Return traces as one object; sequences are text, for they are longer than any integer of the format."""
    return msgspec.msgpack.encode(
        [
            (t.keys, t.first[0], str(t.first[1]), t.before, _packed(t.last), [p and _packed(p) for p in t.points])
            for t in traces
        ]
    )


def _decode(data: bytes) -> Iterable[Trace]:
    for keys, epoch, sequence, before, last, points in _stored.decode(data):
        trace = Trace(keys, (epoch, int(sequence)), before, _unpacked(last), 0)
        trace.points = [point and _unpacked(point) for point in points]
        yield trace


def _packed(point: Point) -> _Stored:
    return point.order[0], str(point.order[1]), point.time_ms, point.image


def _unpacked(stored: _Stored) -> Point:
    return Point((stored[0], int(stored[1])), stored[2], stored[3])
