"""What may have changed in a gap: the rows of a table that a copy of it has not, or not so.

Right only once the copy has everything from before the gap. Then an item is equal in both, or a change of it that was
captured is still on its way and brings its last state, or it was lost in the gap and is read here.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson

from pipeline.model.capacity import GET_ITEMS_MAX
from pipeline.ports import ItemStore, RowPage, TableReader
from pipeline.verification.compare import GLOBAL_TABLE_MARK
from pipeline.wire.diff import canonical_item

Image = Callable[[bytes], bytes | None]

IN_SOURCE = b"s"
IN_COPY = b"c"
"""What the start of a page begins with: first the table's own pages, then those of each copy."""


def _as_it_is(image: bytes) -> bytes | None:
    return image


class Place(NamedTuple):
    """One table, to be read page by page and item by item; of a copy, what it is to have and what it has."""

    reader: TableReader
    items: ItemStore
    expected: Image = _as_it_is
    held: Image = _as_it_is

    def has(self, source: bytes | None, stored: bytes | None) -> bool:
        """Return True when a stored item is what the source's is to be here."""
        return _same(source and self.expected(source), stored and self.held(stored))

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return those of the items that exist, read consistently. Raises RetryLater."""
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), GET_ITEMS_MAX):
            found |= await self.items.get(self.reader.table, keys[start : start + GET_ITEMS_MAX])
        return found


class ChangedRows:
    """A TableReader of one source table that leaves out what every copy has, and finds what only copies have.

    The image of a row is None where the source has no item. Without copies every row of the source is read.
    """

    def __init__(self, source: Place, copies: Sequence[Place]) -> None:
        self._source = source
        self._copies = copies

    @property
    def table(self) -> str:
        """Return the source table's name."""
        return self._source.reader.table

    async def about(self) -> int:
        """Return about how many items the source has."""
        return await self._source.reader.about()

    async def page(self, segment: int, segments: int, start: bytes | None, rows_max: int) -> RowPage:
        """Read one page of the source, or of a copy; it may be empty in the middle. Raises RetryLater."""
        begins = start or IN_SOURCE
        if begins.startswith(IN_SOURCE):
            return await self._of_source(segment, segments, begins[1:] or None, rows_max)
        number, _, inner = begins[1:].partition(b":")
        return await self._of_copy(int(number), segment, segments, inner or None, rows_max)

    async def _of_source(self, segment: int, segments: int, start: bytes | None, rows_max: int) -> RowPage:
        page = await self._source.reader.page(segment, segments, start, rows_max)
        keys = [key for key, _ in page.rows]
        there = [await copy.get(keys) for copy in self._copies]
        rows = tuple(
            (keys, image)
            for keys, image in page.rows
            if not there or not all(c.has(image, t.get(keys)) for c, t in zip(self._copies, there, strict=True))
        )
        if page.next is not None:
            return RowPage(rows, IN_SOURCE + page.next, page.read_units)
        return RowPage(rows, _first_of(0) if self._copies else None, page.read_units)

    async def _of_copy(self, number: int, segment: int, segments: int, start: bytes | None, rows_max: int) -> RowPage:
        page = await self._copies[number].reader.page(segment, segments, start, rows_max)
        keys = [key for key, _ in page.rows]
        found = await self._source.get(keys)
        rows = tuple((key, None) for key in keys if key not in found)
        if page.next is not None:
            return RowPage(rows, _first_of(number) + page.next, page.read_units)
        return RowPage(rows, _first_of(number + 1) if number + 1 < len(self._copies) else None, page.read_units)


class NoRows:
    """A TableReader that reads nothing: its copy tells when everything before it has arrived."""

    def __init__(self, table: str) -> None:
        self.table = table

    async def about(self) -> int:
        """Return 0."""
        return 0

    async def page(self, segment: int, segments: int, start: bytes | None, rows_max: int) -> RowPage:  # noqa: ARG002  # the port's
        """Return an empty last page."""
        return RowPage((), None, 0.0)


def _first_of(number: int) -> bytes:
    return b"%b%d:" % (IN_COPY, number)


def _same(one: bytes | None, other: bytes | None) -> bool:
    """Return True for items that are equal by value, but for what a global table wrote into them."""
    if one == other:
        return True
    return one is not None and other is not None and _value(one) == _value(other)


def _value(image: bytes) -> object:
    item = orjson.loads(image)
    return canonical_item({name: value for name, value in item.items() if not name.startswith(GLOBAL_TABLE_MARK)})
