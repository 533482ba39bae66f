"""Stores in memory that behave as the ports say."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from pipeline.model.errors import Misconfigured, Rejected
from pipeline.ports import ItemWrite

ITEM_BYTES_MAX = 400 * 1024
TRANSACT_ITEMS_MAX = 99
BATCH_ITEMS_MAX = 25


class MemoryObjects:
    """An ObjectStore."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    async def create(self, name: str, data: bytes) -> bool:
        """Store a new object; False when the name is taken."""
        taken = name in self.content
        self.content.setdefault(name, data)
        return not taken

    async def replace(self, name: str, data: bytes) -> None:
        """Store an object."""
        self.content[name] = data

    async def read(self, name: str) -> bytes | None:
        """Return the bytes, None when there are none."""
        return self.content.get(name)

    async def names(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        """Yield names in order."""
        for name in sorted(self.content):
            if name.startswith(prefix) and name > after:
                yield name

    async def delete(self, name: str) -> None:
        """Remove an object."""
        self.content.pop(name, None)


class MemoryItems:
    """An ItemStore."""

    def __init__(self, tables: Mapping[str, tuple[str, ...]]) -> None:
        self.keys = dict(tables)
        self.content: dict[str, dict[bytes, bytes]] = {table: {} for table in tables}
        self.rows: dict[tuple[str, str], int] = {}

    async def key_names(self, table: str) -> tuple[str, ...]:
        """Return the key schema."""
        if table not in self.keys:
            raise Misconfigured(f"there is no table {table}")
        return self.keys[table]

    async def position(self, positions_table: str, row: str) -> int:
        """Return the stored position."""
        return self.rows.get((positions_table, row), 0)

    async def transact(self, writes: Sequence[ItemWrite], positions_table: str, row: str, old: int, new: int) -> bool:
        """Apply all writes and move the row, or nothing."""
        assert len(writes) <= TRANSACT_ITEMS_MAX
        self._check(writes)
        if self.rows.get((positions_table, row), 0) != old:
            return False
        self.rows[positions_table, row] = new
        for write in writes:
            self._apply(write)
        return True

    async def put_newer(self, write: ItemWrite, attribute: str, version: str) -> bool:
        """Put the item unless the stored one is not below the version."""
        self._check([write])
        stored = self.content[write.table].get(write.keys)
        if stored is not None and orjson.loads(stored).get(attribute, {"S": ""})["S"] >= version:
            return False
        self._apply(write)
        return True

    async def write_batch(self, writes: Sequence[ItemWrite]) -> tuple[ItemWrite, ...]:
        """Apply up to 25 writes."""
        assert len(writes) <= BATCH_ITEMS_MAX
        self._check(writes)
        for write in writes:
            self._apply(write)
        return ()

    async def scan(self, table: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield every item."""
        for image in list(self.content[table].values()):
            yield orjson.loads(image)

    def _apply(self, write: ItemWrite) -> None:
        if write.item is None:
            self.content[write.table].pop(write.keys, None)
        else:
            self.content[write.table][write.keys] = write.item

    def _check(self, writes: Sequence[ItemWrite]) -> None:
        assert len({(write.table, write.keys) for write in writes}) == len(writes), "an item occurs twice in one call"
        too_large = {i: "item is too large" for i, w in enumerate(writes) if len(w.item or b"") > ITEM_BYTES_MAX}
        if too_large:
            raise Rejected(too_large)


class MemoryClock:
    """A Clock whose time passes only by sleeping."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def monotonic(self) -> float:
        """Return the time slept so far, and a constant."""
        return self.seconds

    def now_ms(self) -> int:
        """Return the same in milliseconds."""
        return int(self.seconds * 1000)

    async def sleep(self, seconds: float) -> None:
        """Move the time on."""
        self.seconds += seconds
