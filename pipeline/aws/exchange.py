"""Replacing an item only if it is still the one that was seen, in DynamoDB's terms.

A condition can say that attributes have certain values, not that there are no others, and it can name only so many. So
the answer's old item is looked at too: when it had more than was seen, it is put back, on the condition that ours
is still there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import orjson
from botocore.exceptions import ClientError

from pipeline.aws import raw
from pipeline.aws.errors import code_of
from pipeline.model.errors import Rejected, RetryLater
from pipeline.ports import ItemWrite
from pipeline.wire.diff import canonical_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONDITIONS_MAX = 100
"""Attributes named in a condition: its text may have 4 KiB, and 300 operators."""
_FAILED = "ConditionalCheckFailedException"
_REFUSED = "ValidationException"

_attributes = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Answer(msgspec.Struct):
    attributes: msgspec.Raw = msgspec.field(name="Attributes", default=msgspec.Raw())


_answer = msgspec.json.Decoder(_Answer)


def exchange(client: DynamoDBClient, write: ItemWrite, seen: bytes | None) -> bool:
    """Make the write if the stored item is `seen`; return False, with the stored item as it was, when it is not.

    Raises Rejected naming index 0, RetryLater when the item was changed twice within milliseconds.
    """
    old = _write(client, write, seen)
    if old is False:
        return False
    if seen is None or isinstance(old, bool) or _same(old, seen):
        return True
    undone = _write(client, ItemWrite(write.table, write.keys, old), write.item)
    if undone is False:
        raise RetryLater(
            f"an item of table {write.table} was changed by others right before and right after it was written",
            hint="what it was before is in the archive and in the audit log: fanout history shows it",
        )
    return False


def _write(client: DynamoDBClient, write: ItemWrite, seen: bytes | None) -> bytes | bool:
    """Return the item that was replaced, True when there was none, False when the condition failed."""
    body = _body(write, seen)
    call: Any = client.delete_item if write.item is None else client.put_item
    try:
        answer = raw.body_of(call(TableName=write.table, **raw.with_body(body)))
    except ClientError as error:
        if code_of(error) == _FAILED:
            return False
        if code_of(error) == _REFUSED:
            raise Rejected({0: _REFUSED}) from error
        raise
    return bytes(_answer.decode(answer).attributes) or True


def _body(write: ItemWrite, seen: bytes | None) -> bytes:
    condition, names, values = _condition(write.keys, seen)
    what = b'"Key":' + write.keys if write.item is None else b'"Item":' + write.item
    parts = [
        b'"TableName":' + orjson.dumps(write.table),
        what,
        b'"ReturnValues":"ALL_OLD"',
        b'"ConditionExpression":' + orjson.dumps(condition),
        b'"ExpressionAttributeNames":' + orjson.dumps(names),
    ]
    if values:
        parts.append(b'"ExpressionAttributeValues":{' + b",".join(values) + b"}")
    return b"{" + b",".join(parts) + b"}"


def _condition(keys: bytes, seen: bytes | None) -> tuple[str, dict[str, str], list[bytes]]:
    """Return the condition's text, its names and its values as JSON members."""
    if seen is None:
        return "attribute_not_exists(#0)", {"#0": next(iter(_attributes.decode(keys)))}, []
    attributes = sorted(_attributes.decode(seen).items())[:CONDITIONS_MAX]
    text = " AND ".join(f"#{n} = :{n}" for n in range(len(attributes)))
    names = {f"#{n}": name for n, (name, _) in enumerate(attributes)}
    return text, names, [b'":%d":%b' % (n, value) for n, (_, value) in enumerate(attributes)]


def _same(a: bytes, b: bytes) -> bool:
    return bool(a == b or canonical_item(orjson.loads(a)) == canonical_item(orjson.loads(b)))
