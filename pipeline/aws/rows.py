"""TableReader on DynamoDB: items as the bytes they are, read consistently, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from pipeline.aws import raw
from pipeline.aws.errors import translated
from pipeline.aws.session import READ, Aws
from pipeline.ports import RowPage
from pipeline.wire.json import canonical_keys

_attributes = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Capacity(msgspec.Struct, rename="pascal"):
    capacity_units: float = 0.0


class _Scanned(msgspec.Struct, rename="pascal"):
    items: list[msgspec.Raw]
    last_evaluated_key: msgspec.Raw = msgspec.Raw()
    consumed_capacity: _Capacity | None = None


_scanned = msgspec.json.Decoder(_Scanned)


class DynamoDBTableReader:
    """One table of one region; see `pipeline.ports.TableReader` for what it promises."""

    def __init__(self, aws: Aws, region: str, table: str, key_names: Sequence[str]) -> None:
        self.table = table
        self._key_names = tuple(key_names)
        self._reads = aws.dynamodb(region, READ, raw=True)
        raw.send(self._reads.client, ["Scan"])
        raw.receive(self._reads.client, ["Scan"])

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
        rows = tuple(row_of(bytes(item), self._key_names) for item in page.items)
        return RowPage(rows, bytes(page.last_evaluated_key) or None, units)

    async def about(self) -> int:
        """Return about how many items there are."""
        with translated("dynamodb:DescribeTable", f"table {self.table}"):
            answer: Any = await self._reads.run(self._reads.client.describe_table, TableName=self.table)
        return int(answer["Table"].get("ItemCount", 0))


def row_of(image: bytes, key_names: Sequence[str]) -> tuple[bytes, bytes]:
    """Return an item with its canonical keys. Raises KeyError for one without them, DecodeError, and Corrupt."""
    attributes = _attributes.decode(image)
    keys = {name: orjson.Fragment(bytes(attributes[name])) for name in key_names}
    return canonical_keys(orjson.dumps(keys), key_names[0]), image


def _call(call: Any, named: dict[str, Any], body: bytes) -> bytes:
    """Make a call whose body is given; `named` are the arguments botocore insists on."""
    return raw.body_of(call(**named, **raw.with_body(body)))
