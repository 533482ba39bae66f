"""Position rows: up to where a destination has the changes of each shard, moved by the transaction that writes them.

Beside a row stands what was left out on the way, since it waits in quarantine: a key's first and last such position.
An owner that lost the shard may have moved the row over a change that its successor, which let the key go, must write.
To the successor that change is refused by name, and so waits in its turn: it would pass for done otherwise. What a
stored checkpoint is past is forgotten, as nobody begins before it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import orjson

from pipeline.model.change import Batch
from pipeline.model.errors import Corrupt, Misconfigured, PipelineError, Rejected, RetryLater
from pipeline.ports import ItemStore, ItemWrite
from pipeline.wire.json import UNREADABLE, canonical_keys

KEY = "row"
"""The key attribute of the table."""
LEFT_OUT = "/left-out"
"""What follows the name of a row in the key of the item beside it."""
NAME_BYTES = 12
_HINT = "was the positions table emptied or restored? Put back its rows as they were."

Span = tuple[int, int]


class _Row(NamedTuple):
    at: int
    left_out: Mapping[str, Span]
    """By a digest of table and key."""


_spans = msgspec.json.Decoder(dict[str, Span])


class Positions:
    """The rows of one topology, `<name>/<shard>`, in a table of the destination's region."""

    def __init__(self, items: ItemStore, table: str, name: str) -> None:
        self.table = table
        self._items = items
        self._name = name
        self._rows: dict[str, _Row] = {}
        """As each was last seen; a wrong guess costs one refused transaction."""

    async def open(self) -> None:
        """Look at the table. Raises Misconfigured when there is none."""
        await self._items.key_names(self.table)

    async def at(self, batch: Batch) -> int:
        """Return up to which position the batch is there.

        Raises Corrupt when the row is below the batch, Rejected for changes of it that were passed and left out.
        """
        row = self._rows.get(batch.shard)
        if row is None or row.at < batch.first - 1:
            row = await self._read(batch)
        if not row.left_out:
            return row.at
        passed = {
            position: "an earlier owner of the shard left it out, for quarantine"
            for position, change in batch
            if position <= row.at and _holds(row.left_out.get(name_of(change.table, change.keys)), position)
        }
        if passed:
            raise Rejected(passed)
        return row.at

    async def move(self, part: Batch, writes: Sequence[ItemWrite]) -> None:
        """Write a part of a batch that begins where the row is, and move the row: all of it, or nothing.

        Where somebody else has moved it nothing is done: ask again where it is. Raises RetryLater, Rejected.
        """
        row = self._rows[part.shard]
        left_out = after(row.left_out, part)
        beside = [] if left_out == row.left_out else [self._write_of(part.shard, left_out)]
        try:
            moved = await self._items.transact([*writes, *beside], self.table, self._row(part.shard), row.at, part.last)
        except Rejected as error:
            raise self._ours(error, len(writes)) from error
        if moved:
            self._rows[part.shard] = _Row(part.last, left_out)
        elif (await self._read(part)).at == row.at:
            raise RetryLater(f"position row {self._row(part.shard)} was busy")

    def _ours(self, error: Rejected, writes: int) -> PipelineError:
        """Return the error, or another when it is not the writes that are refused but what stands beside the row."""
        if writes not in error.positions:
            return error
        return Misconfigured(f"table {self.table} refuses what was left out: {error.positions[writes]}")

    async def _read(self, batch: Batch) -> _Row:
        name = self._row(batch.shard)
        at = await self._items.position(self.table, name)
        if at < batch.first - 1:
            raise Corrupt(
                f"position row {name} of table {self.table} is at {at}, the batch starts at {batch.first}", hint=_HINT
            )
        key = self._key_of(batch.shard)
        found = (await self._items.get(self.table, [key])).get(key) if at else None
        row = self._rows[batch.shard] = _Row(at, self._decoded(found, name))
        return row

    def _decoded(self, item: bytes | None, name: str) -> Mapping[str, Span]:
        if item is None:
            return {}
        try:
            return _spans.decode(orjson.loads(item)["spans"]["S"])
        except (*UNREADABLE, KeyError, TypeError) as error:
            reason = f"the item beside position row {name} of table {self.table} is damaged"
            raise Corrupt(reason, hint=_HINT) from error

    def _write_of(self, shard: str, left_out: Mapping[str, Span]) -> ItemWrite:
        spans = orjson.dumps(left_out).decode()
        item = orjson.dumps({KEY: {"S": self._row(shard) + LEFT_OUT}, "spans": {"S": spans}})
        return ItemWrite(self.table, self._key_of(shard), item)

    def _key_of(self, shard: str) -> bytes:
        return canonical_keys(orjson.dumps({KEY: {"S": self._row(shard) + LEFT_OUT}}), KEY)

    def _row(self, shard: str) -> str:
        return f"{self._name}/{shard}"


def name_of(table: str, keys: bytes) -> str:
    """Return what stands for a key: its content is in no position row."""
    return hashlib.blake2b(table.encode() + b"\0" + keys, digest_size=NAME_BYTES).hexdigest()


def after(left_out: Mapping[str, Span], part: Batch) -> dict[str, Span]:
    """Return what is left out once a part was written: a key of which a later change was written is not, any more."""
    if not left_out and not part.parked:
        return {}
    found = {name: span for name, span in left_out.items() if span[1] > part.saved}
    events = [(position, name_of(change.table, change.keys), False) for position, change in part]
    events += [(each.position, name_of(each.table, each.keys), True) for each in part.parked]
    for position, name, parked in sorted(events):
        if parked:
            found[name] = (found.get(name, (position, position))[0], position)
        else:
            found.pop(name, None)
    return found


def _holds(span: Span | None, position: int) -> bool:
    return span is not None and span[0] <= position <= span[1]
