"""A look at tables, streams and buckets before the start: every call reads, and is one the pipeline will need."""

from typing import Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code_of, translated
from pipeline.aws.kinesis import KinesisControl, KinesisLog
from pipeline.aws.objects import has_lock
from pipeline.aws.session import CONTROL, READ, WRITE, Aws
from pipeline.aws.streams import DynamoDBTableStream
from pipeline.aws.tables import TableDescription, Tables
from pipeline.model.errors import Misconfigured
from pipeline.model.facts import LogFacts, TableFacts
from pipeline.ports import Clock

ACTIVE = "ACTIVE"
KIB = 1024


class AwsInspector:
    """See `pipeline.ports.Inspector`."""

    def __init__(self, aws: Aws, clock: Clock, home_region: str) -> None:
        self._aws = aws
        self._clock = clock
        self._home_region = home_region

    async def table(self, region: str, name: str) -> TableFacts | None:
        """Return what is known of a table, its stream opened if it has one."""
        table = await Tables(self._aws.dynamodb(region, CONTROL), self._clock).describe(name)
        if table is None:
            return None
        if table.stream_enabled:
            await self._open(table)
        keys = tuple((key.name, key.type) for key in table.keys)
        view = table.view_type if table.stream_enabled else ""
        return TableFacts(ACTIVE if table.active else "not active", keys, view, table.indexes)

    async def log(self, region: str, name: str) -> LogFacts | None:
        """Return what is known of a Kinesis data stream, a shard of it opened."""
        control = KinesisControl(self._aws.kinesis(region, CONTROL), self._clock)
        try:
            described = await control.describe(name)
        except Misconfigured as error:
            if "ignores partition keys" not in error.reason:
                raise
            return LogFacts(ACTIVE, 0, KIB * KIB, obeys_hash_keys=False, kept_hours=0)
        if described is None:
            return None
        log = KinesisLog(self._aws.kinesis(region, READ), self._aws.kinesis(region, WRITE), name)
        shards = await log.shards()
        await log.iterator(shards[-1].id, None)
        return LogFacts(
            ACTIVE if described.active else "not active",
            described.open_shards,
            described.record_kib_max * KIB,
            obeys_hash_keys=True,
            kept_hours=described.retention_hours,
        )

    async def bucket(self, name: str) -> str | None:
        """Return the region of a bucket, None when there is none; its first object is listed."""
        caller = self._aws.s3(self._home_region, CONTROL)
        with translated("s3:ListBucket", f"bucket {name}"):
            region = await caller.run(_region_of, caller.client, name)
            if region is not None:
                await caller.run(caller.client.list_objects_v2, Bucket=name, MaxKeys=1)
        return region

    async def has_lock(self, bucket: str) -> bool:
        """Return True when the bucket has Object Lock."""
        return await has_lock(self._aws, self._home_region, bucket)

    async def _open(self, table: TableDescription) -> None:
        stream = DynamoDBTableStream.of(self._aws.streams(table.region), table)
        shards = await stream.shards()
        if shards:
            await stream.iterator(shards[-1].id, None)


def _region_of(client: Any, name: str) -> str | None:
    try:
        answer = client.head_bucket(Bucket=name)
    except ClientError as error:
        if code_of(error) in {"404", "NoSuchBucket"}:
            return None
        raise
    return str(answer.get("BucketRegion") or client.meta.region_name)
