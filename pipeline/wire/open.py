"""The open wire: one Kinesis record a change, in the JSON of AWS's own "Kinesis Data Streams for DynamoDB".

`SequenceNumber` is added inside `dynamodb`. The partition key says what the JSON has no place for: the lane, the stream
label and the source shard. A change too large for a record keeps its keys; its images lie in a claimed object.
"""

import hashlib
from typing import NamedTuple

import msgspec
import orjson

from pipeline.model.change import Change, ChangeKind
from pipeline.model.errors import Corrupt
from pipeline.wire.compact import Claim
from pipeline.wire.json import UNREADABLE

PARTITION_PREFIX = "fanout1"
_TTL_IDENTITY = b'{"principalId":"dynamodb.amazonaws.com","type":"Service"}'


class Origin(NamedTuple):
    """What a partition key says of its record."""

    lane: int
    epoch: str
    shard: str


def partition_key(lane: int, epoch: str, shard: str) -> str:
    """Return the partition key of every record of a lane: at most 256 characters."""
    return f"{PARTITION_PREFIX}|{lane}|{epoch}|{shard}"


def read_partition_key(key: str) -> Origin:
    """Return what a partition key says. Raises Corrupt when fanout did not write it."""
    parts = key.split("|")
    if len(parts) != len(Origin._fields) + 1 or parts[0] != PARTITION_PREFIX or not parts[1].isdecimal():
        msg = "a record was not written by fanout"
        raise Corrupt(msg, hint="give fanout a Kinesis stream of its own")
    return Origin(int(parts[1]), parts[2], parts[3])


class _Body(msgspec.Struct, rename="pascal", gc=False):
    keys: msgspec.Raw
    sequence_number: str
    approximate_creation_date_time: int = 0
    new_image: msgspec.Raw = msgspec.Raw()
    old_image: msgspec.Raw = msgspec.Raw()
    size_bytes: int = 0


class _Record(msgspec.Struct, rename="camel", gc=False):
    event_name: str
    table_name: str
    dynamodb: _Body
    event_id: str = msgspec.field(default="", name="eventID")
    user_identity: dict[str, str] | None = None
    fanout_claim: Claim | None = None


_decoder = msgspec.json.Decoder(_Record)


def encode_images(change: Change) -> bytes:
    """Return the two images alone, the content of a claimed object."""
    return b'{"NewImage":%s,"OldImage":%s}' % (change.after or b"null", change.before or b"null")


def encode_change(change: Change, region: str, claim_name: str = "") -> bytes:
    """Return the record of one change; with `claim_name`, without images but with the name of the object of them."""
    body = [b'{"ApproximateCreationDateTime":%d,"Keys":' % change.time_ms, change.keys]
    if not claim_name:
        body += (b',"NewImage":', change.after) if change.after is not None else ()
        body += (b',"OldImage":', change.before) if change.before is not None else ()
    body.append(b',"SizeBytes":%d,"SequenceNumber":"%021d"}' % (change.size_bytes, change.sequence))
    claim = b""
    if claim_name:
        digest = hashlib.sha256(encode_images(change)).hexdigest()
        claim = b',"fanoutClaim":' + orjson.dumps({"name": claim_name, "sha256": digest})
    return b"".join(
        (
            b'{"awsRegion":%s,"eventID":%s,"eventName":"%s"'
            % (orjson.dumps(region), orjson.dumps(change.event_id), change.kind.encode()),
            b',"userIdentity":',
            _TTL_IDENTITY if change.by_ttl else b"null",
            b',"recordFormat":"application/json","tableName":%s,"dynamodb":' % orjson.dumps(change.table),
            *body,
            b',"eventSource":"aws:dynamodb"',
            claim,
            b"}",
        )
    )


def decode_change(data: bytes, origin: Origin) -> tuple[Change, Claim | None]:
    """Return the change of a record, and the claim on its images if they lie elsewhere. Raises Corrupt."""
    try:
        record = _decoder.decode(data)
        kind = ChangeKind(record.event_name)
        sequence = int(record.dynamodb.sequence_number)
    except UNREADABLE as error:
        msg = f"an open record of shard {origin.shard} cannot be decoded"
        raise Corrupt(msg, hint="nothing was skipped; the shard waits before this record") from error
    body = record.dynamodb
    change = Change(
        record.table_name,
        origin.epoch,
        origin.shard,
        sequence,
        kind,
        bytes(body.keys),
        bytes(body.old_image) or None,
        bytes(body.new_image) or None,
        body.approximate_creation_date_time,
        record.user_identity is not None and record.user_identity.get("principalId") == "dynamodb.amazonaws.com",
        record.event_id,
        body.size_bytes,
    )
    return change, record.fanout_claim


class _Images(msgspec.Struct, rename="pascal", gc=False):
    new_image: msgspec.Raw
    old_image: msgspec.Raw


def with_images(change: Change, images: bytes) -> Change:
    """Return the change with the images of its claimed object. Raises Corrupt."""
    try:
        both = msgspec.json.decode(images, type=_Images)
    except UNREADABLE as error:
        msg = f"the claimed images of sequence {change.sequence} cannot be decoded"
        raise Corrupt(msg) from error
    after, before = (None if bytes(raw) == b"null" else bytes(raw) for raw in (both.new_image, both.old_image))
    return change._replace(after=after, before=before)
