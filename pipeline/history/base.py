"""The snapshot a reading begins with: which one it is, and what it has, every hash checked."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from pipeline.history.keys import Scope
from pipeline.history.moment import text_of
from pipeline.history.trace import Trace
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.model.point import Order
from pipeline.ports import ObjectStore
from pipeline.wire import manifest, part
from pipeline.wire.manifest import Manifest, Part
from pipeline.wire.packed import Link, sha256

LOST_PART = "restore the object from a version or a copy of the bucket, or delete {manifest}: what is before it is read"


@dataclass(frozen=True, slots=True)
class Base:
    """A snapshot, and a place on this machine where what was read of it once is kept."""

    objects: ObjectStore
    name: str
    seal: str
    manifest: Manifest
    aside: ObjectStore
    _kept: set[str] = field(default_factory=set)

    @property
    def starts(self) -> dict[str, Link]:
        """Return the last segment of each shard that need not be read."""
        return self.manifest.links

    async def traces(self, scope: Scope, moments: int) -> AsyncGenerator[Trace, None]:
        """Yield what the snapshot has of a scope, in the order of a Traces' `each`. Raises Corrupt."""
        async for item in self.items(scope):
            trace = Trace(item.keys, moments)
            trace.points = [item.point] * moments
            if item.point is not None:
                trace.first = _EARLIEST
            if item.row is not None:
                trace.rows = [item.row] * moments
            trace.waits = dict(item.waits) or None
            trace.through = set(item.through) or None
            yield trace

    async def items(self, scope: Scope) -> AsyncGenerator[part.Item, None]:
        """Yield the items of a scope in the order of `place_of`. Raises Corrupt, naming the part."""
        table = self.manifest.table(scope.table)
        ranges = None if scope.keys is None else {part.range_of(keys) for keys in scope.keys}
        wanted = [
            each
            for each in (table.parts if table else ())
            if ranges is None or not ranges.isdisjoint(range(each.first, each.last + 1))
        ]
        async with aclosing(self._read_ahead(wanted)) as parts:
            async for name, data in parts:
                for item in part.decode(name, data):
                    if scope.whole or scope.has(item.keys):
                        yield item

    async def _read_ahead(self, parts: Sequence[Part]) -> AsyncGenerator[tuple[str, bytes], None]:
        """Yield names and bytes of parts, the next one on its way while one is looked at."""
        following: asyncio.Task[bytes] | None = None
        try:
            for number, each in enumerate(parts):
                data = await (following or self._read(each))
                following = asyncio.ensure_future(self._read(parts[number + 1])) if number + 1 < len(parts) else None
                yield each.name, data
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    async def _read(self, each: Part) -> bytes:
        if each.name in self._kept:
            kept = await self.aside.read(each.name)
            if kept is not None:
                return kept
        data = checked(each, await self.objects.read(each.name), self.name)
        await self.aside.replace(each.name, data)
        self._kept.add(each.name)
        return data


def starts_of(base: Base | None) -> dict[str, Link] | None:
    """Return what a walk over the segments behind a snapshot begins with; None for all segments."""
    return None if base is None else base.starts


_EARLIEST: Order = ("", -1)
"""What a snapshot knows of an item is before every change behind it."""


def checked(each: Part, data: bytes | None, name: str) -> bytes:
    """Return the bytes of a part. Raises Corrupt when they are missing or are not those its manifest names."""
    remedy = LOST_PART.format(manifest=name)
    if data is None:
        raise Corrupt(f"object {each.name} is missing: it is a part of snapshot {name}", hint=remedy)
    if sha256(data) != each.sha256:
        raise Corrupt(f"object {each.name} is damaged: it does not fit the hash in snapshot {name}", hint=remedy)
    return data


async def moments(objects: ObjectStore) -> dict[int, str]:
    """Return the snapshots by their moments, oldest first; what else lies there is for `archive check` to name."""
    names = [name async for name in objects.names(manifest.FOLDER)]
    return {manifest.moment_of(name): name for name in names if manifest.moment_of(name)}


async def load(objects: ObjectStore, aside: ObjectStore, name: str) -> Base:
    """Return a snapshot. Raises Corrupt, naming its manifest, when that is not what was written."""
    data = await objects.read(name)
    if data is None:
        raise Corrupt(f"object {name} is missing", hint="restore it from a version or a copy of the bucket")
    found = manifest.decode(name, data)
    return Base(objects, name, found.seal, found.manifest, aside)


async def pruned_at(objects: ObjectStore) -> int:
    """Return the moment before which nothing was kept, 0 when nothing was pruned. Raises Corrupt."""
    names = [name async for name in objects.names(manifest.PRUNED_FOLDER)]
    found = [name for name in names if manifest.moment_of(name)]
    if not found:
        return 0
    data = await objects.read(found[-1])
    return manifest.decode_pruned(found[-1], data or b"").at_ms


async def base_at(objects: ObjectStore, aside: ObjectStore, end_ms: int) -> Base | None:
    """Return the last snapshot at or before a moment, None when the segments are to be read from the first one on.

    Raises Misconfigured for a moment before which the archive was pruned, and Corrupt.
    """
    pruned_ms = await pruned_at(objects)
    if end_ms < pruned_ms:
        raise Misconfigured(
            f"the archive was pruned: it begins at {text_of(pruned_ms - 1000)}", hint="give that time or a later one"
        )
    found = [at_ms for at_ms in await moments(objects) if at_ms <= end_ms]
    if not found and not pruned_ms:
        return None
    return await load(objects, aside, manifest.name_of(max(found, default=pruned_ms)))


async def origin(objects: ObjectStore, aside: ObjectStore) -> Base | None:
    """Return the snapshot with which the archive begins since it was pruned, None when it was not. Raises Corrupt."""
    pruned_ms = await pruned_at(objects)
    return await load(objects, aside, manifest.name_of(pruned_ms)) if pruned_ms else None
