"""One of the two tables of a comparison, read no faster than it may be."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import orjson

from pipeline.coordination.pace import Pace
from pipeline.coordination.persist import persist
from pipeline.model.capacity import GET_ITEMS_MAX, units_of_get
from pipeline.ports import Chance, Clock, ItemStore, RowPage, TableReader
from pipeline.verification.compare import digest_of

PAGE_ROWS_MAX = 1_000
ABSENT = b""
"""Stands for the digest of an item that is not there."""

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Reading:
    """How both sides are read, and what it has cost so far."""

    pace: Pace
    clock: Clock
    chance: Chance
    read_units: float = 0.0

    async def spend(self, units: float) -> None:
        """Wait until so many more units are within the rate."""
        self.read_units += units
        await self.pace.spend(units)

    async def persist(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Make a call until it is answered."""
        return await persist(call, self.clock, self.chance, retried=lambda *_: None)


class Side:
    """A table, and how its items are looked at: a source as its topology would write it, a copy without its marks."""

    def __init__(
        self, reader: TableReader, items: ItemStore, look: Callable[[bytes], bytes | None], reading: Reading
    ) -> None:
        self._reader = reader
        self._items = items
        self._look = look
        self._reading = reading

    async def about(self) -> int:
        """Return about how many items there are."""
        return await self._reading.persist(self._reader.about)

    async def page(self, segment: int, segments: int, start: bytes | None) -> RowPage:
        """Read one page of a segment, as it is stored."""
        read = partial(self._reader.page, segment, segments, start, PAGE_ROWS_MAX)
        page = await self._reading.persist(read)
        await self._reading.spend(page.read_units)
        return page

    async def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return those of the items that are there, consistently read, as they are looked at."""
        found: dict[bytes, bytes] = {}
        wanted = list(keys)
        for start in range(0, len(wanted), GET_ITEMS_MAX):
            some = wanted[start : start + GET_ITEMS_MAX]
            stored = await self._reading.persist(partial(self._items.get, self._reader.table, some))
            await self._reading.spend(units_of_get(len(some), stored.values()))
            found.update(self.seen(stored))
        return found

    def seen(self, stored: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Return stored items as they are looked at; those that count as not there are left out."""
        looked = ((keys, self._look(image)) for keys, image in stored.items())
        return {keys: image for keys, image in looked if image is not None}

    def digest(self, image: bytes | None) -> bytes:
        """Return the digest of a stored image as it is looked at."""
        looked = None if image is None else self._look(image)
        return ABSENT if looked is None else digest(looked)


def digest(image: bytes | None) -> bytes:
    """Return what equal items, and only they, have in common; ABSENT for none."""
    return ABSENT if image is None else digest_of(orjson.loads(image))
