"""One Kinesis record of either wire, decoded: the form delivery works on."""

from typing import NamedTuple

from pipeline.model.change import Change
from pipeline.model.errors import Misconfigured
from pipeline.ports import LogRecord, ObjectStore
from pipeline.wire import compact
from pipeline.wire import open as open_wire

RECORD_CHANGES_MAX = 2_000
"""Changes in one record: what delivery must hold, and settle, as a whole."""


class Record(NamedTuple):
    """The changes of one Kinesis record, all of one source shard and lane, in order."""

    sequence: int
    arrival_ms: int
    source: str
    """Table, epoch and shard of the changes: shards of two tables may have one name."""
    lane: int
    changes: tuple[Change, ...]
    size_bytes: int


async def decode(record: LogRecord, claims: ObjectStore | None) -> Record:
    """Decode a record, fetching its claimed object if it has one.

    Raises Corrupt when it cannot be decoded, Misconfigured when it claims an object and no claim bucket is configured,
    RetryLater when the object cannot be fetched now.
    """
    if compact.is_compact(record.data):
        header, frame = compact.decode_header(record.data)
        if header.claim is not None:
            frame = await _claimed(header.claim, claims)
        changes = compact.decode_frame(header, frame)
        return Record(
            record.sequence, record.arrival_ms, _source(changes[0]), header.lane, changes, compact.expanded_bytes(frame)
        )
    origin = open_wire.read_partition_key(record.partition_key)
    change, claim = open_wire.decode_change(record.data, origin)
    if claim is not None:
        change = open_wire.with_images(change, await _claimed(claim, claims))
    return Record(record.sequence, record.arrival_ms, _source(change), origin.lane, (change,), len(record.data))


async def _claimed(claim: compact.Claim, claims: ObjectStore | None) -> bytes:
    if claims is None:
        msg = "stream.claim_bucket is not set, but a record points to a claimed object"
        raise Misconfigured(msg, hint="set it to the bucket the capture writes to")
    return compact.check_claim(claim, await claims.read(claim.name))


def _source(change: Change) -> str:
    return f"{change.table}/{change.epoch}/{change.shard}"
