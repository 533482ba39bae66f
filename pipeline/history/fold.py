"""The whole archive added up: what is left when every change is applied."""

from pipeline.history.archive import segments
from pipeline.ports import ObjectStore

Images = dict[tuple[str, bytes], bytes]
"""Item images by table and canonical keys."""


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
