"""ItemStore on DynamoDB: items travel as the bytes they are, into requests and out of answers."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
from botocore.exceptions import ClientError

from pipeline.aws import raw
from pipeline.aws.errors import code_of, translated, with_reason
from pipeline.aws.exchange import exchange
from pipeline.aws.getting import get
from pipeline.aws.session import READ, WRITE, Aws
from pipeline.aws.tables import POSITIONS_KEY, Tables
from pipeline.model.capacity import GET_ITEMS_MAX
from pipeline.model.errors import Corrupt, Misconfigured, Rejected, RetryLater
from pipeline.ports import Clock, ItemWrite
from pipeline.wire.json import canonical_keys

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TRANSACT_WRITES_MAX = 99
BATCH_WRITES_MAX = 25
_POSITION = "position"
_REFUSED = "ValidationException"
_IMPOSSIBLE = b',"ConditionExpression":"attribute_exists(#k) AND attribute_not_exists(#k)"'


class DynamoDBItemStore:
    """The tables of one region; see `pipeline.ports.ItemStore` for what it promises."""

    def __init__(self, aws: Aws, region: str, clock: Clock) -> None:
        self._tables = Tables(aws.dynamodb(region, READ), clock)
        self._reads = aws.dynamodb(region, READ, raw=True)
        self._writes = aws.dynamodb(region, WRITE, raw=True)
        raw.send(self._reads.client, ["Scan", "BatchGetItem"])
        raw.receive(self._reads.client, ["Scan", "BatchGetItem"])
        raw.send(self._writes.client, ["PutItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"])
        raw.receive(self._writes.client, ["BatchWriteItem", "PutItem", "DeleteItem"])

    async def key_names(self, table: str) -> tuple[str, ...]:
        """Return the names of the key attributes, hash first. Raises Misconfigured when there is no such table."""
        described = await self._tables.describe(table)
        if described is None:
            raise Misconfigured(f"there is no table {table} in {self._reads.region}")
        return tuple(key.name for key in described.keys)

    async def position(self, positions_table: str, row: str) -> int:
        """Return the stored position of a row, 0 when there is none; read consistently."""
        with translated("dynamodb:GetItem", f"table {positions_table}"):
            answer = await self._reads.run(
                self._reads.client.get_item,
                TableName=positions_table,
                Key={POSITIONS_KEY.name: {"S": row}},
                ConsistentRead=True,
            )
        item = answer.get("Item")
        return 0 if item is None else int(item[_POSITION]["N"])

    async def transact(self, writes: Sequence[ItemWrite], positions_table: str, row: str, old: int, new: int) -> bool:
        """Apply up to 99 writes and move the row from `old` to `new`, all or nothing.

        The request's token is a digest of the request, so that the same call, repeated within DynamoDB's ten minutes,
        is answered as the first was; later it finds the row moved.
        """
        assert len(writes) <= TRANSACT_WRITES_MAX
        actions = [_action(write) for write in writes] + [_move(positions_table, row, old, new)]
        tables = ", ".join(sorted({positions_table, *(write.table for write in writes)}))
        with translated("dynamodb:PutItem and dynamodb:DeleteItem (TransactWriteItems)", f"tables {tables}"):
            cancelled = await self._writes.run(_transact, self._writes.client, b",".join(actions))
        if cancelled is None:
            return True
        if cancelled == [_REFUSED]:
            raise await self._refusal(writes)
        return _judge(cancelled, len(writes))

    async def put_newer(self, write: ItemWrite, attribute: str, version: str) -> bool:
        """Put `write.item` unless the stored item's `attribute` is not below `version`; False means it was newer."""
        assert write.item is not None
        names = orjson.dumps({"#a": attribute})
        values = orjson.dumps({":v": {"S": version}})
        body = b'{"TableName":%b,"Item":%b,"ConditionExpression":"attribute_not_exists(#a) OR #a < :v",' % (
            orjson.dumps(write.table),
            write.item,
        )
        body += b'"ExpressionAttributeNames":%b,"ExpressionAttributeValues":%b}' % (names, values)
        with translated("dynamodb:PutItem", f"table {write.table}"):
            refused = await self._writes.run(_refused, self._writes.client.put_item, write.table, body)
        if refused.startswith(_REFUSED):
            raise Rejected({0: refused})
        return not refused

    async def write_batch(self, writes: Sequence[ItemWrite]) -> tuple[ItemWrite, ...]:
        """Write up to 25 distinct items without condition; return those left unprocessed, in order."""
        assert len(writes) <= BATCH_WRITES_MAX
        tables: dict[str, list[bytes]] = {}
        for write in writes:
            tables.setdefault(write.table, []).append(_request(write))
        parts = [b"%b:[%b]" % (orjson.dumps(table), b",".join(requests)) for table, requests in tables.items()]
        with translated("dynamodb:BatchWriteItem", f"tables {', '.join(tables)}"):
            body = await self._writes.run(_batch, self._writes.client, b'{"RequestItems":{%b}}' % b",".join(parts))
        if body is None:
            raise await self._refusal(writes)
        return _unprocessed(writes, body)

    async def get(self, table: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return those of up to GET_ITEMS_MAX items that exist; what an answer leaves out is asked again."""
        assert len(keys) <= GET_ITEMS_MAX
        with translated("dynamodb:BatchGetItem", f"table {table}"):
            return await self._reads.run(get, self._reads.client, table, keys)

    async def replace(self, write: ItemWrite, seen: bytes | None) -> bool:
        """Put or delete one item if what is stored equals `seen`; return False when it does not."""
        with translated("dynamodb:PutItem and dynamodb:DeleteItem", f"table {write.table}"):
            return await self._writes.run(exchange, self._writes.client, write, seen)

    async def scan(self, table: str) -> AsyncIterator[Mapping[str, object]]:
        """Yield every item, consistently read, as a DynamoDB JSON object."""
        start = b""
        while True:
            body = b'{"TableName":%b,"ConsistentRead":true%b}' % (orjson.dumps(table), start)
            with translated("dynamodb:Scan", f"table {table}"):
                answer = await self._reads.run(_scan, self._reads.client, table, body)
            page = _scan_decoder.decode(answer)
            for item in page.items:
                yield item
            if not bytes(page.last):
                return
            start = b',"ExclusiveStartKey":' + bytes(page.last)

    async def _refusal(self, writes: Sequence[ItemWrite]) -> Rejected | Misconfigured:
        """Find out which writes made DynamoDB refuse a whole request, without changing anything.

        Each is tried alone under a condition that never holds: a good one fails by the condition, a bad one before it.
        """
        found: dict[int, str] = {}
        for index, write in enumerate(writes):
            with translated("dynamodb:PutItem", f"table {write.table}"):
                refused = await self._writes.run(_probe, self._writes.client, write)
            if refused.startswith(_REFUSED):
                found[index] = refused
        if found:
            return Rejected(found)
        return Misconfigured("DynamoDB refuses a request though none of its items", hint="are two of one key, or 4 MB?")


def _action(write: ItemWrite) -> bytes:
    table = orjson.dumps(write.table)
    if write.item is None:
        return b'{"Delete":{"TableName":%b,"Key":%b}}' % (table, write.keys)
    return b'{"Put":{"TableName":%b,"Item":%b}}' % (table, write.item)


def _request(write: ItemWrite) -> bytes:
    if write.item is None:
        return b'{"DeleteRequest":{"Key":%b}}' % write.keys
    return b'{"PutRequest":{"Item":%b}}' % write.item


def _move(table: str, row: str, old: int, new: int) -> bytes:
    put = {
        "TableName": table,
        "Item": {POSITIONS_KEY.name: {"S": row}, _POSITION: {"N": str(new)}},
        "ConditionExpression": "#p = :old" if old else "attribute_not_exists(#p) OR #p = :old",
        "ExpressionAttributeNames": {"#p": _POSITION},
        "ExpressionAttributeValues": {":old": {"N": str(old)}},
    }
    return orjson.dumps({"Put": put})


def _judge(reasons: Sequence[str], writes: int) -> bool:
    """Return False for a row that was elsewhere, or raise what the other reasons of a cancelled transaction mean."""
    if reasons[writes:] == ["ConditionalCheckFailed"]:
        return False
    final = {
        index: code
        for index, code in enumerate(reasons[:writes])
        if code.partition(":")[0] in {"ValidationError", "ItemCollectionSizeLimitExceeded"}
    }
    if final:
        raise Rejected(final)
    raise RetryLater(f"a transaction was cancelled: {', '.join(sorted(set(reasons) - {'None'}))}")


def _transact(client: DynamoDBClient, actions: bytes) -> list[str] | None:
    """Return None when done, the reason of each action when cancelled, or [_REFUSED] when refused as a whole."""
    body = b'{"TransactItems":[%b]' % actions
    token = hashlib.blake2b(body, digest_size=16).hexdigest()
    body += b',"ClientRequestToken":"%b"}' % token.encode()
    call: Any = client.transact_write_items
    try:
        call(TransactItems=[], **raw.with_body(body))
    except client.exceptions.TransactionCanceledException as error:
        reasons: Any = error.response["CancellationReasons"]
        return [with_reason(str(reason.get("Code", "None")), str(reason.get("Message", ""))) for reason in reasons]
    except ClientError as error:
        if code_of(error) == _REFUSED:
            return [_REFUSED]
        raise
    return None


def _batch(client: DynamoDBClient, body: bytes) -> bytes | None:
    """Return the body of the answer, or None when the request was refused as a whole."""
    call: Any = client.batch_write_item
    try:
        return raw.body_of(call(RequestItems={}, **raw.with_body(body)))
    except ClientError as error:
        if code_of(error) == _REFUSED:
            return None
        raise


def _refused(call: Any, table: str, body: bytes) -> str:
    """Make a conditional call; return why it was refused, empty when it was not."""
    try:
        call(TableName=table, **raw.with_body(body))
    except ClientError as error:
        code = code_of(error)
        if code in {"ConditionalCheckFailedException", _REFUSED}:
            return with_reason(code, str(error))
        raise
    return ""


def _probe(client: DynamoDBClient, write: ItemWrite) -> str:
    names = orjson.dumps({"#k": next(iter(orjson.loads(write.keys)))})
    tail = _IMPOSSIBLE + b',"ExpressionAttributeNames":' + names + b"}"
    table = orjson.dumps(write.table)
    if write.item is None:
        return _refused(client.delete_item, write.table, b'{"TableName":%b,"Key":%b' % (table, write.keys) + tail)
    return _refused(client.put_item, write.table, b'{"TableName":%b,"Item":%b' % (table, write.item) + tail)


class _ScanPage(msgspec.Struct):
    items: list[dict[str, Any]] = msgspec.field(name="Items")
    last: msgspec.Raw = msgspec.field(name="LastEvaluatedKey", default=msgspec.Raw())


_scan_decoder = msgspec.json.Decoder(_ScanPage)


def _scan(client: DynamoDBClient, table: str, body: bytes) -> bytes:
    call: Any = client.scan
    return raw.body_of(call(TableName=table, **raw.with_body(body)))


def _unprocessed(writes: Sequence[ItemWrite], body: bytes) -> tuple[ItemWrite, ...]:
    """Return the writes an answer hands back, matched by key, in the order they were given."""
    handed_back = orjson.loads(body).get("UnprocessedItems") or {}
    if not handed_back:
        return ()
    by_key = {(write.table, write.keys): index for index, write in enumerate(writes)}
    names = {write.table: list(orjson.loads(write.keys)) for write in writes}
    left: list[int] = []
    for table, requests in handed_back.items():
        for request in requests:
            attributes = request["PutRequest"]["Item"] if "PutRequest" in request else request["DeleteRequest"]["Key"]
            key = {name: attributes[name] for name in names[table]}
            left.append(by_key[table, canonical_keys(orjson.dumps(key), names[table][0])])
    if len(left) != len(set(left)):
        raise Corrupt("dynamodb:BatchWriteItem handed back one item twice")
    return tuple(writes[index] for index in sorted(left))
