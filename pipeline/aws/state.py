"""StateStore on one DynamoDB table, laid out as the Kinesis Client Library lays out its leases."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.aws.errors import translated
from pipeline.aws.session import Caller
from pipeline.model.errors import Corrupt, RetryLater
from pipeline.ports import FieldValue, StateRow

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = "leaseKey"
VERSION = "leaseCounter"
_KEYS_PER_CALL = 100
_ASKS_MAX = 5
"""How often the keys a BatchGetItem left out are asked for again."""


class DynamoDBStateStore:
    """Versioned rows; see `pipeline.ports.StateStore` for what it promises."""

    def __init__(self, caller: Caller[DynamoDBClient], table: str) -> None:
        self._caller = caller
        self._table = table

    async def read(self, keys: Sequence[str]) -> dict[str, StateRow]:
        """Return the rows that exist, read consistently."""
        rows: dict[str, StateRow] = {}
        unique = iter(dict.fromkeys(keys))
        while chunk := list(itertools.islice(unique, _KEYS_PER_CALL)):
            for item in await self._read_chunk(chunk):
                row = self._row(item)
                rows[row.key] = row
        return rows

    async def _read_chunk(self, keys: Sequence[str]) -> list[Any]:
        left: Any = {self._table: {"Keys": [{KEY: {"S": key}} for key in keys], "ConsistentRead": True}}
        items: list[Any] = []
        for _ in range(_ASKS_MAX):
            with translated("dynamodb:BatchGetItem", f"table {self._table}"):
                answer = await self._caller.run(self._caller.client.batch_get_item, RequestItems=left)
            items += answer["Responses"].get(self._table, [])
            left = answer.get("UnprocessedKeys")
            if not left:
                return items
        raise RetryLater(f"table {self._table} is throttled")

    async def write(self, row: StateRow, expected: int | None) -> bool:
        """Store the row if the stored version is `expected` (None: if there is no row)."""
        condition: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(#n)",
            "ExpressionAttributeNames": {"#n": KEY},
        }
        if expected is not None:
            condition = {
                "ConditionExpression": "#n = :expected",
                "ExpressionAttributeNames": {"#n": VERSION},
                "ExpressionAttributeValues": {":expected": {"N": str(expected)}},
            }
        item = {KEY: {"S": row.key}, VERSION: {"N": str(row.version)}, **_attributes(row.fields)}
        with translated("dynamodb:PutItem", f"table {self._table}"):
            return await self._caller.run(_put_if, self._caller.client, TableName=self._table, Item=item, **condition)

    def _row(self, item: Mapping[str, Any]) -> StateRow:
        try:
            fields = {name: _field(value) for name, value in item.items() if name not in {KEY, VERSION}}
            return StateRow(item[KEY]["S"], int(item[VERSION]["N"]), fields)
        except (KeyError, ValueError) as error:
            raise Corrupt(f"a row of table {self._table} is not one of ours") from error


def _put_if(client: DynamoDBClient, **ask: Any) -> bool:
    try:
        client.put_item(**ask)
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _attributes(fields: Mapping[str, FieldValue]) -> dict[str, Any]:
    assert not {KEY, VERSION} & fields.keys()
    return {name: _attribute(value) for name, value in fields.items()}


def _attribute(value: FieldValue) -> dict[str, Any]:
    match value:
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case frozenset():
            assert value, "DynamoDB has no empty sets"
            return {"SS": sorted(value)}


def _field(attribute: Mapping[str, Any]) -> FieldValue:
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "B":
            field: FieldValue = value
            return field
        case "N":
            return int(value)
        case "SS":
            return frozenset(value)
        case _:
            raise ValueError(kind)
