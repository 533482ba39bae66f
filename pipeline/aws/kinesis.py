"""Log on a Kinesis data stream, and what is asked of the stream when it is set up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pipeline.aws.clock import SystemClock
from pipeline.aws.errors import translated
from pipeline.aws.sequences import SequenceText
from pipeline.aws.session import Caller
from pipeline.aws.waiting import until
from pipeline.model.errors import Corrupt, Misconfigured, RetryLater
from pipeline.model.shard import Shard
from pipeline.ports import Clock, LogPage, LogRecord, OutRecord

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import GetRecordsOutputTypeDef, RecordTypeDef, ShardTypeDef

PAGES_MAX = 100
"""Pages of one shard listing, 1000 shards each."""
EMPTY_PAGES_MAX = 50
"""Empty pages in a row while records lie behind them: Kinesis searches a stretch of time with every call."""


class KinesisLog:
    """One Kinesis data stream; see `pipeline.ports.Log` for what it promises.

    Kinesis itself does not say that a position was trimmed: an iterator after it starts at the oldest record kept.
    """

    def __init__(self, reads: Caller[KinesisClient], writes: Caller[KinesisClient], name: str) -> None:
        self._reads = reads
        self._writes = writes
        self._name = name
        self._text = SequenceText()
        self._listed = False

    @property
    def name(self) -> str:
        """Return the stream's name."""
        return self._name

    async def shards(self) -> tuple[Shard, ...]:
        """Return all shards still retained. Raises Misconfigured when there is no such stream."""
        ask: dict[str, Any] = {"StreamName": self._name}
        found: list[Shard] = []
        with translated("kinesis:ListShards", self._resource()):
            for _ in range(PAGES_MAX):
                answer = await self._reads.run(self._reads.client.list_shards, **ask)
                found += map(self._shard, answer["Shards"])
                token = answer.get("NextToken")
                if not token:
                    self._listed = True
                    return tuple(found)
                ask = {"NextToken": token}
        raise Corrupt(f"the shard listing of {self._resource()} does not end")

    async def iterator(self, shard: str, after: int | None) -> str:
        """Return an iterator after a sequence, or at TRIM_HORIZON. Raises Gap when the shard or position is gone."""
        return await self._iterator_at(shard, "TRIM_HORIZON" if after is None else "AFTER_SEQUENCE_NUMBER", after)

    async def _iterator_at(self, shard: str, kind: str, sequence: int | None) -> str:
        start: dict[str, Any] = {"ShardIteratorType": kind}
        if sequence is not None:
            if not self._listed:
                await self.shards()
            start["StartingSequenceNumber"] = self._text.write(sequence)
        gone = ("InvalidArgumentException",) if sequence is not None else ()
        with translated("kinesis:GetShardIterator", self._resource(shard), missing_is_gap=True, gap_codes=gone):
            answer = await self._reads.run(
                self._reads.client.get_shard_iterator, StreamName=self._name, ShardId=shard, **start
            )
        return answer["ShardIterator"]

    async def holds(self, shard: str, sequence: int) -> bool:
        """Return True when the record of a sequence can still be read: asked for it, Kinesis gives the next one left.

        Raises RetryLater, or Gap when the shard is gone.
        """
        iterator: str | None = await self._iterator_at(shard, "AT_SEQUENCE_NUMBER", sequence)
        for _ in range(EMPTY_PAGES_MAX):
            assert iterator is not None
            page = await self._page(iterator, Limit=1)
            if page.records:
                return page.records[0].sequence == sequence
            iterator = page.next
            if iterator is None or not page.behind_ms:
                return False
        raise RetryLater(f"kinesis:GetRecords on {self._resource(shard)}: only empty pages, with records behind them")

    async def kept_ms(self) -> int:
        """Return how long a record is kept, as the stream is set now."""
        with translated("kinesis:DescribeStreamSummary", self._resource()):
            answer = await self._reads.run(self._reads.client.describe_stream_summary, StreamName=self._name)
        return answer["StreamDescriptionSummary"]["RetentionPeriodHours"] * 3_600_000

    async def keep(self, kept_ms: int) -> None:
        """Have records kept so long, unless they are already, or the stream is being changed just now."""
        if await self.kept_ms() >= kept_ms:
            return
        hours = kept_ms // 3_600_000
        with translated("kinesis:IncreaseStreamRetentionPeriod", self._resource()):
            await self._writes.run(_lengthen, self._writes.client, self._name, hours)

    async def read(self, iterator: str) -> LogPage:
        """Read one page."""
        return await self._page(iterator)

    async def _page(self, iterator: str, **limits: Any) -> LogPage:
        with translated("kinesis:GetRecords", self._resource(), missing_is_gap=True):
            answer = await self._reads.run(self._reads.client.get_records, ShardIterator=iterator, **limits)
        records = tuple(map(_record, answer["Records"]))
        return LogPage(
            records, answer.get("NextShardIterator"), answer.get("MillisBehindLatest", 0), _answered_ms(answer)
        )

    async def put(self, records: Sequence[OutRecord]) -> tuple[str | None, ...]:
        """Put records in one call, tried once; return one entry for each: None stored, else its error code."""
        with translated("kinesis:PutRecords", self._resource()):
            answer = await self._writes.run(
                self._writes.client.put_records,
                StreamName=self._name,
                Records=[
                    {"Data": r.data, "PartitionKey": r.partition_key, "ExplicitHashKey": str(r.explicit_hash_key)}
                    for r in records
                ],
            )
        results = answer["Records"]
        if len(results) != len(records):
            raise Corrupt(f"kinesis:PutRecords on {self._resource()} did not answer for every record")
        return tuple(result.get("ErrorCode") for result in results)

    def _shard(self, described: ShardTypeDef) -> Shard:
        spread = described["SequenceNumberRange"]
        self._text.learn(spread["StartingSequenceNumber"])
        parents = (described.get("ParentShardId"), described.get("AdjacentParentShardId"))
        hash_keys = described["HashKeyRange"]
        return Shard(
            described["ShardId"],
            tuple(p for p in parents if p),
            bool(spread.get("EndingSequenceNumber")),
            (int(hash_keys["StartingHashKey"]), int(hash_keys["EndingHashKey"])),
        )

    def _resource(self, shard: str = "") -> str:
        return f"stream {self._name}" + (f", shard {shard}" if shard else "")


def _record(record: RecordTypeDef) -> LogRecord:
    arrival_ms = round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)
    return LogRecord(int(record["SequenceNumber"]), record["Data"], record["PartitionKey"], arrival_ms)


def _answered_ms(answer: GetRecordsOutputTypeDef) -> int:
    """Return the service's time from the Date of its answer, in whole seconds; ours where it sends none."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return round(parsedate_to_datetime(date).timestamp() * 1000) if date else SystemClock().now_ms()


@dataclass(frozen=True, slots=True)
class LogDescription:
    """What a set-up or a check must know of a Kinesis data stream."""

    name: str
    active: bool
    on_demand: bool
    open_shards: int
    record_kib_max: int
    retention_hours: int
    created_ms: int = 0
    """When it was made; 0 where the service does not say."""


RECORD_KIB_DEFAULT = 1024


class KinesisControl:
    """Describes and creates Kinesis data streams of one region."""

    def __init__(self, caller: Caller[KinesisClient], clock: Clock) -> None:
        self._caller = caller
        self._clock = clock

    async def describe(self, name: str) -> LogDescription | None:
        """Return what the stream is, None when there is none.

        Raises Misconfigured for a stream that spreads records as it likes: it would break the order of a key.
        """
        with translated("kinesis:DescribeStreamSummary", f"stream {name}"):
            answer = await self._caller.run(_summary, self._caller.client, name)
        if answer is None:
            return None
        if answer.get("RecordDistributionStrategy", "USER_PARTITION_KEY") == "AUTO":
            raise Misconfigured(
                f"stream {name} ignores partition keys", hint="set its RecordDistributionStrategy to USER_PARTITION_KEY"
            )
        return LogDescription(
            name,
            answer["StreamStatus"] in {"ACTIVE", "UPDATING"},
            answer.get("StreamModeDetails", {}).get("StreamMode") == "ON_DEMAND",
            answer["OpenShardCount"],
            answer.get("MaxRecordSizeInKiB") or RECORD_KIB_DEFAULT,
            answer["RetentionPeriodHours"],
            round(answer["StreamCreationTimestamp"].timestamp() * 1000) if "StreamCreationTimestamp" in answer else 0,
        )

    async def create(self, name: str, shards: int | None = None) -> LogDescription:
        """Create the stream if there is none, on demand or with a number of shards, and return it once it is active.

        Raises RetryLater when it is not active in time.
        """
        mode: dict[str, Any] = {"StreamModeDetails": {"StreamMode": "ON_DEMAND" if shards is None else "PROVISIONED"}}
        if shards is not None:
            mode["ShardCount"] = shards
        if await self.describe(name) is None:
            with translated("kinesis:CreateStream", f"stream {name}"):
                await self._caller.run(_create, self._caller.client, {"StreamName": name, **mode})

        async def active() -> LogDescription | None:
            description = await self.describe(name)
            return description if description is not None and description.active else None

        return await until(active, self._clock, f"stream {name} to become active")


def _summary(client: KinesisClient, name: str) -> Any:
    try:
        return client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    except client.exceptions.ResourceNotFoundException:
        return None


def _lengthen(client: KinesisClient, name: str, hours: int) -> None:
    try:
        client.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=hours)
    except (client.exceptions.InvalidArgumentException, client.exceptions.ResourceInUseException):
        return  # somebody else was first: it is no increase, or under way


def _create(client: KinesisClient, ask: dict[str, Any]) -> None:
    try:
        client.create_stream(**ask)
    except client.exceptions.ResourceInUseException:
        return  # somebody else was first
