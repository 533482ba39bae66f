"""TableStream on DynamoDB Streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.aws import raw
from pipeline.aws.errors import translated
from pipeline.aws.sequences import DIGITS_MIN, SequenceText
from pipeline.aws.session import Caller
from pipeline.aws.tables import VIEW_TYPE, TableDescription, Tables
from pipeline.model.errors import Corrupt
from pipeline.model.shard import Shard
from pipeline.ports import SourcePage
from pipeline.wire.source import SourceShard

if TYPE_CHECKING:
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_dynamodbstreams.type_defs import ShardTypeDef

PAGES_MAX = 1_000
"""Pages of one shard listing, 100 shards each: more than a table can have in a day."""


class DynamoDBTableStream:
    """One stream of one table; see `pipeline.ports.TableStream` for what it promises."""

    def __init__(
        self,
        caller: Caller[DynamoDBStreamsClient],
        *,
        table: str,
        arn: str,
        epoch: str,
        hash_attribute: str,
        table_id: str = "",
        tables: Tables | None = None,
    ) -> None:
        """Take `tables` to look for a later stream; without them none is found."""
        raw.receive(caller.client, ["GetRecords"])
        self._caller = caller
        self._table = table
        self._arn = arn
        self._epoch = epoch
        self._hash_attribute = hash_attribute
        self._table_id = table_id
        self._tables = tables
        self._text = SequenceText(DIGITS_MIN)
        self._listed = False

    @classmethod
    def of(
        cls, caller: Caller[DynamoDBStreamsClient], table: TableDescription, tables: Tables | None = None
    ) -> DynamoDBTableStream:
        """Return the stream of a table that was described."""
        return cls(
            caller,
            table=table.name,
            arn=table.stream_arn,
            epoch=table.stream_label,
            hash_attribute=table.keys[0].name,
            table_id=table.id,
            tables=tables,
        )

    @property
    def table(self) -> str:
        """Return the table's name."""
        return self._table

    @property
    def epoch(self) -> str:
        """Return the stream's label."""
        return self._epoch

    @property
    def table_id(self) -> str:
        """Return the table's TableId."""
        return self._table_id

    async def later(self) -> DynamoDBTableStream | None:
        """Return the table's present stream if it is a later one and can be captured."""
        now = await self._tables.describe(self._table) if self._tables else None
        if now is None or not now.stream_enabled or now.view_type != VIEW_TYPE or now.stream_label <= self._epoch:
            return None
        return self.of(self._caller, now, self._tables)

    async def shards(self, parent: str | None = None) -> tuple[Shard, ...]:
        """Return all shards, or the children of one. Raises Gap when the stream is gone."""
        ask: dict[str, Any] = {"StreamArn": self._arn}
        if parent is not None:
            ask["ShardFilter"] = {"Type": "CHILD_SHARDS", "ShardId": parent}
        found: list[Shard] = []
        with translated("dynamodb:DescribeStream", self._resource(), missing_is_gap=True):
            for _ in range(PAGES_MAX):
                answer = await self._caller.run(self._caller.client.describe_stream, **ask)
                page = answer["StreamDescription"]
                found += map(self._shard, page.get("Shards", []))
                last = page.get("LastEvaluatedShardId")
                if not last:
                    self._listed = True
                    # Emulators ignore the filter.
                    return tuple(s for s in found if parent is None or parent in s.parents)
                ask["ExclusiveStartShardId"] = last
        raise Corrupt(f"the shard listing of {self._resource()} does not end")

    async def iterator(self, shard: str, after: int | None) -> str:
        """Return an iterator after a sequence, or at the oldest record. Raises Gap when that is trimmed or gone."""
        start: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if after is not None:
            if not self._listed:
                await self.shards()
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._text.write(after)}
        with translated("dynamodb:GetShardIterator", self._resource(shard), missing_is_gap=True):
            answer = await self._caller.run(
                self._caller.client.get_shard_iterator, StreamArn=self._arn, ShardId=shard, **start
            )
        return answer["ShardIterator"]

    async def read(self, shard: str, iterator: str) -> SourcePage:
        """Read one page."""
        with translated("dynamodb:GetRecords", self._resource(shard), missing_is_gap=True):
            answer = await self._caller.run(self._caller.client.get_records, ShardIterator=iterator)
        return SourceShard(self._table, self._epoch, shard, self._hash_attribute).page(raw.body_of(answer))

    def _shard(self, described: ShardTypeDef) -> Shard:
        spread = described.get("SequenceNumberRange", {})
        self._text.learn(spread.get("StartingSequenceNumber", ""))
        parent = described.get("ParentShardId")
        return Shard(described.get("ShardId", ""), (parent,) if parent else (), "EndingSequenceNumber" in spread)

    def _resource(self, shard: str = "") -> str:
        return f"the stream of table {self._table}" + (f", shard {shard}" if shard else "")
