"""What a destination holds, as an author's `read_back` tells it, and a look at it after every effect."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from pipeline.testing.changes import CHANGES
from pipeline.testing.context import Stores
from pipeline.wire.diff import canonical_item


class Kept(NamedTuple):
    """A change as a sink that keeps changes stored it; `content` is what `content_of` says of the change."""

    shard: str
    position: int
    content: object


Found = Mapping[tuple[str, bytes], bytes] | Sequence[Kept]
"""Images by table and keys, or changes in the order they are stored."""


class Readable(Protocol):
    """A destination that can be read."""

    async def read_back(self, stores: Stores) -> Found:
        """Return what it holds."""


class Watch:
    """Looks at the destination after every effect: no item may ever show an older image than it did."""

    def __init__(self, destination: Readable, stores: Stores) -> None:
        self._destination = destination
        self._stores = stores
        self._places: dict[bytes, int] = {}
        self._images: dict[bytes, list[object]] = {}
        for change in CHANGES:
            images = self._images.setdefault(change.keys, [None])
            images.append(change.after and canonical_item(orjson.loads(change.after)))

    async def look(self) -> None:
        """Read everything back and compare with what was seen before."""
        found = await self._destination.read_back(self._stores)
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
