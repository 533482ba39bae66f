"""Changes into Kinesis records: one lane's run to a record, as large as a record may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.model.change import Change
from pipeline.model.errors import Misconfigured
from pipeline.model.lane import explicit_hash_key, lane_of
from pipeline.ports import ObjectStore, OutRecord
from pipeline.wire import compact
from pipeline.wire import open as open_wire
from pipeline.wire.json import hash_key_of
from pipeline.wire.record import RECORD_CHANGES_MAX

RUN_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of images before compression that are tried as one record."""


class WireForm(StrEnum):
    """How changes travel in the Kinesis stream."""

    COMPACT = "compact"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Packing:
    """How to pack: fixed when the Kinesis stream is created, because order depends on `lanes`."""

    form: WireForm
    lanes: int
    record_bytes_max: int
    region: str


class Packer:
    """Packs runs of changes; what is too large for a record goes to `claims`, the record then points to it."""

    def __init__(self, packing: Packing, claims: ObjectStore | None) -> None:
        self._packing = packing
        self._claims = claims

    @property
    def lanes(self) -> range:
        """Return all lanes."""
        return range(self._packing.lanes)

    def by_lane(self, changes: Sequence[Change]) -> dict[int, list[Change]]:
        """Return the changes of each lane, in order."""
        lanes: dict[int, list[Change]] = {}
        for change in changes:
            lane = lane_of(change.table, hash_key_of(change.keys), self._packing.lanes)
            lanes.setdefault(lane, []).append(change)
        return lanes

    async def pack(self, lane: int, run: Sequence[Change]) -> list[OutRecord]:
        """Return the records of a lane's run, in order.

        Raises Misconfigured when a change is too large for a record and there is no claim bucket, RetryLater when the
        claim cannot be stored now.
        """
        if self._packing.form is WireForm.OPEN:
            return [await self._open(lane, change) for change in run]
        records: list[OutRecord] = []
        for piece in _pieces(run):
            records += await self._compact(lane, piece)
        return records

    async def _compact(self, lane: int, run: Sequence[Change]) -> list[OutRecord]:
        frame = compact.encode_frame(run)
        record = self._record(lane, run[0], compact.encode_record(run, lane, frame))
        if _size_bytes(record) <= self._packing.record_bytes_max:
            return [record]
        if len(run) > 1:
            half = len(run) // 2
            return [*await self._compact(lane, run[:half]), *await self._compact(lane, run[half:])]
        name = await self._claim(run[0], frame)
        return [self._record(lane, run[0], compact.encode_record(run, lane, frame, name))]

    async def _open(self, lane: int, change: Change) -> OutRecord:
        record = self._record(lane, change, open_wire.encode_change(change, self._packing.region))
        if _size_bytes(record) <= self._packing.record_bytes_max:
            return record
        name = await self._claim(change, open_wire.encode_images(change))
        return self._record(lane, change, open_wire.encode_change(change, self._packing.region, name))

    async def _claim(self, change: Change, data: bytes) -> str:
        if self._claims is None:
            msg = f"a change of table {change.table} needs {len(data)} bytes, more than a Kinesis record may have"
            raise Misconfigured(msg, hint="set stream.claim_bucket; nothing is lost, the shard waits for it")
        name = f"{change.table}/{change.shard}/{change.sequence:040d}"
        await self._claims.create(name, data)  # a taken name is our own earlier try: the bytes are the same
        return name

    def _record(self, lane: int, head: Change, data: bytes) -> OutRecord:
        key = open_wire.partition_key(lane, head.epoch, head.shard)
        return OutRecord(data, key, explicit_hash_key(lane, self._packing.lanes))


def _pieces(run: Sequence[Change]) -> list[Sequence[Change]]:
    """Cut a run where it gets too long or too large to be tried as one record."""
    pieces: list[Sequence[Change]] = []
    start = size_bytes = 0
    for index, change in enumerate(run):
        size_bytes += len(change.before or b"") + len(change.after or b"")
        if index > start and (index - start >= RECORD_CHANGES_MAX or size_bytes > RUN_BYTES_MAX):
            pieces.append(run[start:index])
            start, size_bytes = index, 0
    pieces.append(run[start:])
    return pieces


def _size_bytes(record: OutRecord) -> int:
    """Return what Kinesis counts against its limit: data and partition key."""
    return len(record.data) + len(record.partition_key)
