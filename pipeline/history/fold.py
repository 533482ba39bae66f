"""The whole archive added up: what is left when every change is applied."""

from operator import itemgetter
from typing import NamedTuple

from pipeline.history.archive import segments
from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import Gap
from pipeline.model.point import Place
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
    read from the table counts where it stands: it is in the archive only when no change had overtaken it, and a change
    out of quarantine stands where its placeholder does. Memory holds a change or two an item, what is in quarantine,
    and nothing else that grows. What was lost in gaps is in no archive: their marks are passed by. Snapshots are not
    looked at, so that what they say can be compared with this. Raises Corrupt as `segments` does.
    """
    newest: dict[Item, tuple[Place, Change]] = {}
    rows: dict[Item, tuple[Place, Change]] = {}
    parked: dict[Identity, tuple[Place, Item]] = {}
    there: set[Identity] = set()
    async for each in segments(objects):
        shard = f"{each.header.stream}/{each.header.shard}"
        for placeholder in each.batch.parked:
            parked[placeholder.identity] = (shard, placeholder.position), (placeholder.table, placeholder.keys)
        for position, change in each.batch:
            item, placed = (change.table, change.keys), ((shard, position), change)
            if each.batch.asked_by:
                there.add(change.identity)
            if change.kind is ChangeKind.SNAPSHOT:
                rows[item] = max(rows.get(item, placed), placed, key=itemgetter(0))
            elif change.kind is not ChangeKind.GAP and (item not in newest or _order(newest[item]) < _order(placed)):
                newest[item] = placed
    incomplete = frozenset(item for identity, (_, item) in parked.items() if identity not in there)
    for item, (place, change) in newest.items():
        stands = parked[change.identity][0] if change.identity in parked else place
        rows[item] = max(rows.get(item, (stands, change)), (stands, change), key=itemgetter(0))
    images = {item: change.after for item, (_, change) in rows.items() if item not in incomplete}
    return Folded({item: image for item, image in images.items() if image is not None}, incomplete)


def _order(placed: tuple[Place, Change]) -> tuple[str, int]:
    return placed[1].epoch, placed[1].sequence
