"""Pruning: what no restore inside a window needs is deleted, after a record that it goes on purpose.

The record is stored first, so that a run that is killed half way leaves an archive that is whole from the snapshot on;
the next run deletes the rest.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from pipeline.history.archive import FOLDER
from pipeline.history.base import Base, base_at, checked, load, moments, pruned_at
from pipeline.history.compact import Compaction
from pipeline.history.moment import text_of
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.ports import ObjectStore
from pipeline.wire import manifest, segment
from pipeline.wire.manifest import Pruned


@dataclass(slots=True)
class Deleted:
    """What was deleted, or would be."""

    segments: int = 0
    snapshots: int = 0
    parts: int = 0
    records: int = 0
    """Records of earlier prunings."""
    refused: int = 0
    """Objects that the store does not let go."""
    why: str = ""
    """What it says of the first of them."""

    def count(self, name: str) -> None:
        """Count an object by its name."""
        folder = name.partition("/")[0] + "/"
        self.segments += folder == FOLDER
        self.snapshots += folder == manifest.FOLDER
        self.parts += folder == manifest.PARTS_FOLDER
        self.records += folder == manifest.PRUNED_FOLDER


Tell = Callable[[Deleted], None]


async def keeping(objects: ObjectStore, aside: ObjectStore, horizon_ms: int) -> Base:
    """Return the snapshot with which the archive is to begin: the last one that is not later than the horizon.

    It is read whole, and made anew from what is about to be deleted, and compared. Raises Misconfigured when there is
    none, and Corrupt when it is not what the segments add up to.
    """
    found = [at_ms for at_ms in await moments(objects) if at_ms <= horizon_ms]
    if not found:
        last = text_of(horizon_ms - 1000)
        raise Misconfigured(
            f"there is no snapshot at or before {last}: every segment is still needed",
            hint=f"keep more, or, where the archive is older than that, `fanout archive compact --at {last}`",
        )
    base = await load(objects, aside, manifest.name_of(found[-1]))
    for table in base.manifest.tables:
        for each in table.parts:
            checked(each, await objects.read(each.name), base.name)
    if await pruned_at(objects) < found[-1]:
        await _verify(objects, aside, base)
    return base


async def _verify(objects: ObjectStore, aside: ObjectStore, base: Base) -> None:
    """Raise Corrupt unless the snapshot is what everything before it adds up to."""
    at_ms = base.manifest.at_ms
    made = await Compaction(objects, aside, at_ms, await base_at(objects, aside, at_ms - 1000)).run(store=False)
    if made is None or (made.ends, made.tables) != (base.manifest.ends, base.manifest.tables):
        raise Corrupt(
            f"snapshot {base.name} is not what the segments before it add up to: nothing was deleted",
            hint=f"delete {base.name} and make it again with `fanout archive compact --at {text_of(at_ms - 1000)}`",
        )


async def prune(objects: ObjectStore, base: Base, tell: Tell) -> Deleted:
    """Store the record, then delete everything before the snapshot; return what was deleted."""
    record = Pruned(
        manifest.PRUNED_FORMAT, manifest.VERSION, base.manifest.at_ms, base.name, base.seal, base.manifest.ends
    )
    await objects.create(manifest.pruned_name(base.manifest.at_ms), manifest.encode(record))
    deleted = Deleted()
    async for name in unneeded(objects, base):
        try:
            await objects.delete(name)
        except Misconfigured as error:
            deleted.refused += 1
            deleted.why = deleted.why or error.reason
        else:
            deleted.count(name)
        tell(deleted)
    return deleted


async def counted(objects: ObjectStore, base: Base) -> Deleted:
    """Return what `prune` would delete."""
    found = Deleted()
    async for name in unneeded(objects, base):
        found.count(name)
    return found


async def unneeded(objects: ObjectStore, base: Base) -> AsyncIterator[str]:
    """Yield the names of everything before a snapshot: what is found first by readers goes first.

    The last segment of each shard stays: who writes the next one has to find it.
    """
    at_ms, links = base.manifest.at_ms, base.starts
    for folder, moment_of in (
        (manifest.FOLDER, manifest.moment_of),
        (manifest.PARTS_FOLDER, manifest.moment_of_part),
    ):
        async for name in objects.names(folder):
            if 0 < moment_of(name) < at_ms:
                yield name
    for shard, link in links.items():
        async for name in objects.names(f"{FOLDER}{shard}/"):
            if segment.KIND.owns(name) and name < link.name:
                yield name
    async for name in objects.names(manifest.PRUNED_FOLDER):
        if 0 < manifest.moment_of(name) < at_ms:
            yield name
