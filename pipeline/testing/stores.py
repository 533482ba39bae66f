"""State rows, tables and objects in memory."""

from collections.abc import AsyncIterator, Mapping, Sequence
from copy import copy
from typing import Any, Self

import orjson

from pipeline.aws.names import checked, checked_prefix
from pipeline.model.capacity import GET_ITEMS_MAX
from pipeline.model.errors import Misconfigured, Rejected
from pipeline.ports import ItemWrite, StateRow
from pipeline.testing.faults import Faults
from pipeline.testing.table import FakeTable, Refused
from pipeline.wire.diff import canonical_item

TRANSACT_WRITES_MAX = 99
BATCH_WRITES_MAX = 25


class FakeStateStore:
    """A StateStore. Calls known to `faults`: read, write."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.rows: dict[str, StateRow] = {}

    async def read(self, keys: Sequence[str]) -> dict[str, StateRow]:
        """Return the rows that exist."""
        async with self.faults.around("read"):
            return {key: self.rows[key] for key in keys if key in self.rows}

    async def write(self, row: StateRow, expected: int | None) -> bool:
        """Store the row if the stored version is `expected`."""
        async with self.faults.around("write"):
            assert all(value != frozenset() for value in row.fields.values()), "DynamoDB has no empty sets"
            stored = self.rows.get(row.key)
            if (None if stored is None else stored.version) != expected:
                return False
            self.rows[row.key] = row._replace(fields=dict(row.fields))
            return True


class FakeItemStore:
    """An ItemStore of FakeTables; every method is a call known to `faults`.

    `leave_unprocessed` is how many writes, from the end, the next batch leaves undone. `remembers_transactions` is
    True as in DynamoDB's ten minutes: a transaction that comes again is answered True; afterwards it finds its row
    moved.
    """

    def __init__(self, *tables: FakeTable) -> None:
        self.faults = Faults()
        self.tables = {table.name: table for table in tables}
        self.positions: dict[tuple[str, str], int] = {}
        self.leave_unprocessed = 0
        self.remembers_transactions = True
        self._done: set[tuple[Any, ...]] = set()

    def behind(self, faults: Faults) -> Self:
        """Return the same tables as one worker reaches them, through its own faults."""
        view = copy(self)  # shallow: what is stored is shared
        view.faults = faults
        return view

    @property
    def images(self) -> dict[tuple[str, bytes], bytes]:
        """Return every item, by table and canonical keys."""
        return {(t.name, keys): image for t in self.tables.values() for keys, image in t.items.items()}

    async def key_names(self, table: str) -> tuple[str, ...]:
        """Return the names of the key attributes, hash first."""
        async with self.faults.around("key_names"):
            return tuple(self._table(table).keys)

    async def position(self, positions_table: str, row: str) -> int:
        """Return the stored position of a row, 0 when there is none."""
        async with self.faults.around("position"):
            return self.positions.get((positions_table, row), 0)

    async def transact(self, writes: Sequence[ItemWrite], positions_table: str, row: str, old: int, new: int) -> bool:
        """Apply the writes and move the row, all or nothing; the same call again is answered as before."""
        async with self.faults.around("transact"):
            self._check(writes, TRANSACT_WRITES_MAX)
            call = (*writes, positions_table, row, old, new)
            if call in self._done and self.remembers_transactions:
                return True
            if self.positions.get((positions_table, row), 0) != old:
                return False
            self._apply(writes)
            self.positions[positions_table, row] = new
            self._done.add(call)
            return True

    async def put_newer(self, write: ItemWrite, attribute: str, version: str) -> bool:
        """Put the item unless the stored one's attribute is not below `version`."""
        async with self.faults.around("put_newer"):
            assert write.item is not None
            self._check([write], 1)
            stored = self._table(write.table).items.get(write.keys)
            held = orjson.loads(stored).get(attribute) if stored else None
            if held is not None and not held.get("S", version) < version:
                return False
            self._apply([write])
            return True

    async def write_batch(self, writes: Sequence[ItemWrite]) -> tuple[ItemWrite, ...]:
        """Write items without condition; return those left unprocessed."""
        async with self.faults.around("write_batch"):
            self._check(writes, BATCH_WRITES_MAX)
            done = max(0, len(writes) - self.leave_unprocessed)
            self.leave_unprocessed = 0
            self._apply(writes[:done])
            return tuple(writes[done:])

    async def get(self, table: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the items that exist."""
        async with self.faults.around("get"):
            assert len(keys) == len(set(keys)) <= GET_ITEMS_MAX
            items = self._table(table).items
            return {key: items[key] for key in keys if key in items}

    async def replace(self, write: ItemWrite, seen: bytes | None) -> bool:
        """Put or delete one item if what is stored equals `seen`."""
        async with self.faults.around("replace"):
            self._check([write], 1)
            stored = self._table(write.table).items.get(write.keys)
            if _comparable(stored) != _comparable(seen):
                return False
            self._apply([write])
            return True

    async def scan(self, table: str) -> AsyncIterator[Mapping[str, object]]:
        """Yield every item there is when its turn comes."""
        async with self.faults.around("scan"):
            keys = sorted(self._table(table).items)
        for key in keys:
            item = self._table(table).items.get(key)
            if item is not None:
                yield orjson.loads(item)

    def _table(self, name: str) -> FakeTable:
        if name not in self.tables:
            raise Misconfigured(f"there is no table {name}")
        return self.tables[name]

    def _check(self, writes: Sequence[ItemWrite], writes_max: int) -> None:
        assert len(writes) <= writes_max
        assert len({(w.table, w.keys) for w in writes}) == len(writes), "two writes of one item"
        refused: dict[int, str] = {}
        for index, write in enumerate(writes):
            try:
                self._table(write.table).keys_of(write.keys if write.item is None else write.item)
            except Refused as error:
                refused[index] = str(error)
        if refused:
            raise Rejected(refused)

    def _apply(self, writes: Sequence[ItemWrite]) -> None:
        for write in writes:
            if write.item is None:
                self._table(write.table).delete(write.keys)
            else:
                self._table(write.table).put(write.item)


def _comparable(image: bytes | None) -> object:
    return None if image is None else canonical_item(orjson.loads(image))


class FakeObjectStore:
    """An ObjectStore. Calls known to `faults`: create, replace, read, names, delete."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.objects: dict[str, bytes] = {}

    def behind(self, faults: Faults) -> Self:
        """Return the same objects as one worker reaches them, through its own faults."""
        view = copy(self)  # shallow: what is stored is shared
        view.faults = faults
        return view

    async def create(self, name: str, data: bytes) -> bool:
        """Store a new object; return False when the name is taken."""
        async with self.faults.around("create"):
            if checked(name) in self.objects:
                return False
            self.objects[name] = bytes(data)
            return True

    async def replace(self, name: str, data: bytes) -> None:
        """Store an object, over an older one."""
        async with self.faults.around("replace"):
            self.objects[checked(name)] = bytes(data)

    async def read(self, name: str) -> bytes | None:
        """Return the object's bytes, None when there is none."""
        async with self.faults.around("read"):
            return self.objects.get(checked(name))

    async def names(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        """Yield names in ascending order."""
        async with self.faults.around("names"):
            start = checked_prefix(prefix)
            found = sorted(name for name in self.objects if name.startswith(start) and name > after)
        for name in found:
            yield name

    async def delete(self, name: str) -> None:
        """Remove an object; removing nothing is no error."""
        async with self.faults.around("delete"):
            self.objects.pop(checked(name), None)
