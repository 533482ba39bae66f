"""Items by their keys, as the bytes they are: BatchGetItem, asked again for what an answer left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from pipeline.aws import raw
from pipeline.model.errors import RetryLater
from pipeline.wire.json import canonical_keys

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class _Left(msgspec.Struct):
    keys: list[msgspec.Raw] = msgspec.field(name="Keys", default_factory=list)


class _Page(msgspec.Struct):
    responses: dict[str, list[msgspec.Raw]] = msgspec.field(name="Responses", default_factory=dict)
    unprocessed: dict[str, _Left] = msgspec.field(name="UnprocessedKeys", default_factory=dict)


_page = msgspec.json.Decoder(_Page)
_attributes = msgspec.json.Decoder(dict[str, msgspec.Raw])


def get(client: DynamoDBClient, table: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the items that exist, by canonical keys, consistently read.

    Raises RetryLater when an answer leaves everything out.
    """
    found: dict[bytes, bytes] = {}
    left = list(keys)
    call: Any = client.batch_get_item
    while left:
        names = list(_attributes.decode(left[0]))
        body = b'{"RequestItems":{%b:{"ConsistentRead":true,"Keys":[%b]}}}' % (orjson.dumps(table), b",".join(left))
        page = _page.decode(raw.body_of(call(RequestItems={}, **raw.with_body(body))))
        found.update({_keys_of(image, names): bytes(image) for image in page.responses.get(table, [])})
        before, left = len(left), [_keys_of(key, names) for key in page.unprocessed.get(table, _Left()).keys]
        if len(left) == before:
            raise RetryLater(f"dynamodb:BatchGetItem on table {table} answers nothing", hint="is it throttled?")
    return found


def _keys_of(image: msgspec.Raw, names: Sequence[str]) -> bytes:
    attributes = _attributes.decode(image)
    members = b",".join(b"%b:%b" % (orjson.dumps(name), attributes[name]) for name in names)
    return canonical_keys(b"{%b}" % members, names[0])
