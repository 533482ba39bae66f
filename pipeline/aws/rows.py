"""TableReader on DynamoDB: items as the bytes they are, read consistently, page by page or by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from pipeline.aws import raw
from pipeline.aws.errors import translated
from pipeline.aws.session import READ, Aws
from pipeline.model.errors import RetryLater
from pipeline.ports import RowPage
from pipeline.wire.json import canonical_keys

ROWS_MAX = 100
"""BatchGetItem takes no more keys (API reference)."""
UNPROCESSED_CALLS_MAX = 8

_attributes = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Capacity(msgspec.Struct, rename="pascal"):
    capacity_units: float = 0.0


class _Scanned(msgspec.Struct, rename="pascal"):
    items: list[msgspec.Raw]
    last_evaluated_key: msgspec.Raw = msgspec.Raw()
    consumed_capacity: _Capacity | None = None


class _Keys(msgspec.Struct, rename="pascal"):
    keys: list[msgspec.Raw] = []


class _Got(msgspec.Struct, rename="pascal"):
    responses: dict[str, list[msgspec.Raw]] = {}
    unprocessed_keys: dict[str, _Keys] = {}
    consumed_capacity: list[_Capacity] = []


_scanned = msgspec.json.Decoder(_Scanned)
_got = msgspec.json.Decoder(_Got)


class DynamoDBTableReader:
    """One table of one region; see `pipeline.ports.TableReader` for what it promises."""

    def __init__(self, aws: Aws, region: str, table: str, key_names: Sequence[str]) -> None:
        self.table = table
        self._key_names = tuple(key_names)
        self._reads = aws.dynamodb(region, READ, raw=True)
        raw.send(self._reads.client, ["Scan", "BatchGetItem"])
        raw.receive(self._reads.client, ["Scan", "BatchGetItem"])

    async def page(self, segment: int, segments: int, start: bytes | None, rows_max: int) -> RowPage:
        """Read one page of a segment: up to 1 MB, or `rows_max` items."""
        ask = {
            "TableName": self.table,
            "ConsistentRead": True,
            "Segment": segment,
            "TotalSegments": segments,
            "Limit": rows_max,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if start is not None:
            ask["ExclusiveStartKey"] = orjson.Fragment(start)
        with translated("dynamodb:Scan", f"table {self.table}"):
            answer = await self._reads.run(_call, self._reads.client.scan, {"TableName": self.table}, orjson.dumps(ask))
        page = _scanned.decode(answer)
        units = page.consumed_capacity.capacity_units if page.consumed_capacity else 0.0
        return RowPage(tuple(map(self._row, page.items)), bytes(page.last_evaluated_key) or None, units)

    async def rows(self, keys: Sequence[bytes]) -> RowPage:
        """Read up to 100 items by their keys; asks again for those DynamoDB left out. Raises RetryLater."""
        assert len(keys) <= ROWS_MAX
        left: list[Any] = [orjson.Fragment(key) for key in keys]
        rows: list[tuple[bytes, bytes]] = []
        units = 0.0
        for _ in range(UNPROCESSED_CALLS_MAX):
            if not left:
                return RowPage(tuple(rows), None, units)
            got = await self._get(left)
            rows += map(self._row, got.responses.get(self.table, []))
            units += sum(each.capacity_units for each in got.consumed_capacity)
            unprocessed = got.unprocessed_keys.get(self.table, _Keys()).keys
            left = [orjson.Fragment(bytes(key)) for key in unprocessed]
        msg = f"table {self.table} leaves {len(left)} of {len(keys)} keys unread again and again"
        raise RetryLater(msg, hint="has it enough read capacity?")

    async def about(self) -> int:
        """Return about how many items there are."""
        with translated("dynamodb:DescribeTable", f"table {self.table}"):
            answer: Any = await self._reads.run(self._reads.client.describe_table, TableName=self.table)
        return int(answer["Table"].get("ItemCount", 0))

    async def _get(self, keys: Sequence[Any]) -> _Got:
        ask = {
            "RequestItems": {self.table: {"Keys": keys, "ConsistentRead": True}},
            "ReturnConsumedCapacity": "TOTAL",
        }
        with translated("dynamodb:BatchGetItem", f"table {self.table}"):
            get = self._reads.client.batch_get_item
            return _got.decode(await self._reads.run(_call, get, {"RequestItems": {}}, orjson.dumps(ask)))

    def _row(self, item: msgspec.Raw) -> tuple[bytes, bytes]:
        image = bytes(item)
        attributes = _attributes.decode(image)
        keys = {name: orjson.Fragment(bytes(attributes[name])) for name in self._key_names}
        return canonical_keys(orjson.dumps(keys), self._key_names[0]), image


def _call(call: Any, named: dict[str, Any], body: bytes) -> bytes:
    """Make a call whose body is given; `named` are the arguments botocore insists on."""
    return raw.body_of(call(**named, **raw.with_body(body)))
