"""Some items of a table as rows, to be sent into the lanes like those of a scan; items that are not there too."""

from collections.abc import Sequence

from pipeline.model.capacity import GET_ITEMS_MAX, units_of_get
from pipeline.ports import ItemStore, RowPage


class ChosenRows:
    """A TableReader of chosen items. It has one segment; a page starts at a number of an item."""

    def __init__(self, items: ItemStore, table: str, keys: Sequence[bytes]) -> None:
        self.table = table
        self._items = items
        self._keys = keys

    async def page(self, segment: int, segments: int, start: bytes | None, rows_max: int) -> RowPage:
        """Read the next items by their keys; the image of one that is not there is None."""
        assert (segment, segments) == (0, 1)
        begin = int(start or b"0")
        some = self._keys[begin : begin + rows_max]
        stored: dict[bytes, bytes] = {}
        for offset in range(0, len(some), GET_ITEMS_MAX):
            stored |= await self._items.get(self.table, some[offset : offset + GET_ITEMS_MAX])
        end = begin + len(some)
        units = units_of_get(len(some), stored.values())
        rows = tuple((keys, stored.get(keys)) for keys in some)
        return RowPage(rows, b"%d" % end if end < len(self._keys) else None, units)

    async def about(self) -> int:
        """Return how many items there are."""
        return len(self._keys)
