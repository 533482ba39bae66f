"""The whole archive added up: what is left when every change is applied."""

from typing import NamedTuple

from pipeline.history.archive import segments
from pipeline.model.change import ChangeKind
from pipeline.model.errors import Gap
from pipeline.ports import ObjectStore
from pipeline.wire.packed import Identity

Item = tuple[str, bytes]
"""Table and canonical keys."""
Images = dict[Item, bytes]
"""Item images by table and canonical keys."""


class Folded(NamedTuple):
    """What the changes of an archive add up to."""

    images: Images
    incomplete: frozenset[tuple[str, bytes]]
    """Items with a change in quarantine: what is known of them is older than that, so it is not in `images`."""


async def fold(objects: ObjectStore) -> Images:
    """Return the image of every item that is there when all changes of the archive are applied.

    Raises Corrupt as `segments` does, and Gap when a change of an item is in quarantine and not in the archive.
    """
    folded = await fold_known(objects)
    if folded.incomplete:
        raise Gap(
            f"the archive lacks changes of {len(folded.incomplete)} item(s): they wait in quarantine",
            hint="`fanout quarantine list --topology` with the archive's name shows them; redrive them first",
        )
    return folded.images


async def fold_known(objects: ObjectStore) -> Folded:
    """Return the images of the items all of whose changes are in the archive, and the keys of the others.

    Each item's changes count in the order of (epoch, sequence), so it does not matter that a key's changes lie in
    several Kinesis shards after a split, or twice, in two of them, or were put through from quarantine later. A row
    read from the table counts where it stands: it is in the archive only when no change had overtaken it. Memory
    holds one image an item, what is in quarantine, and nothing else that grows. What was lost in gaps is in no archive:
    their marks are passed by. Raises Corrupt as `segments` does.
    """
    newest: dict[Item, tuple[str, int, bytes | None]] = {}
    parked: dict[Identity, Item] = {}
    there: set[Identity] = set()
    async for each in segments(objects):
        for placeholder in each.batch.parked:
            parked[placeholder.identity] = (placeholder.table, placeholder.keys)
        for change in each.batch.changes:
            if change.kind is ChangeKind.GAP:
                continue
            if each.batch.asked_by:
                there.add(change.identity)
            item = (change.table, change.keys)
            known = newest.get(item)
            if change.kind is ChangeKind.SNAPSHOT:  # it stands where it counts, and comes in the order of the shards
                newest[item] = (*(known[:2] if known else ("", -1)), change.after)
            elif known is None or known[:2] < (change.epoch, change.sequence):
                newest[item] = (change.epoch, change.sequence, change.after)
    incomplete = frozenset(item for identity, item in parked.items() if identity not in there)
    images = {item: after for item, (_, _, after) in newest.items() if after is not None and item not in incomplete}
    return Folded(images, incomplete)
