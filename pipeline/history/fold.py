"""Reading the archive from its start: every segment of every shard, checked, and what is left when all is applied."""

from collections.abc import AsyncIterator

from pipeline.model.errors import Corrupt
from pipeline.ports import ObjectStore
from pipeline.wire import segment
from pipeline.wire.packed import damaged

Images = dict[tuple[str, bytes], bytes]
"""Item images by table and canonical keys."""


async def segments(objects: ObjectStore) -> AsyncIterator[segment.Segment]:
    """Yield all segments, shard by shard, each shard from position 1 on.

    Raises Corrupt, naming object and positions, where a segment is damaged, missing, or is not the one its successor
    names. A missing last segment of a shard cannot be seen from the archive alone.
    """
    link = None
    async for name in objects.names(f"{segment.KIND.folder}/"):
        data = await objects.read(name)
        if data is None:
            raise damaged(name, "it was deleted")
        found = segment.decode(name, data)
        header = found.header
        if link is None or not link.name.startswith(segment.KIND.prefix(header.stream, header.shard)):
            link = segment.KIND.genesis(header.stream, header.shard)
        if header.first != link.last + 1:
            missing = f"positions {link.last + 1} to {header.first - 1}"
            raise Corrupt(f"the archive has a hole before object {name}: {missing}", hint=_HINT)
        if not header.follows(link):
            raise Corrupt(f"object {link.name or name} is not the one that {name} follows", hint=_HINT)
        link = header.link(name, found.seal)
        yield found


async def fold(objects: ObjectStore) -> Images:
    """Return the image of every item that is there when all changes of the archive are applied.

    Each item's changes count in the order of (epoch, sequence), so it does not matter that a key's changes lie in
    several Kinesis shards after a split, or twice, in two of them. Memory holds one image an item, and nothing else
    that grows. Raises Corrupt as `segments` does.
    """
    newest: dict[tuple[str, bytes], tuple[str, int, bytes | None]] = {}
    async for each in segments(objects):
        for change in each.batch.changes:
            item = (change.table, change.keys)
            known = newest.get(item)
            if known is None or known[:2] < (change.epoch, change.sequence):
                newest[item] = (change.epoch, change.sequence, change.after)
    return {item: image for item, (_, _, image) in newest.items() if image is not None}


_HINT = "restore the object from a version or a copy of the bucket"
