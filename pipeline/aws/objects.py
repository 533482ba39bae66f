"""ObjectStore on S3."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.clock import SystemClock
from pipeline.aws.errors import code_of, translated
from pipeline.aws.names import checked, checked_prefix
from pipeline.aws.session import CONTROL, READ, WRITE, Aws
from pipeline.model.storing import Storing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TAKEN = frozenset({"PreconditionFailed", "412"})
_ABSENT = frozenset({"NoSuchKey", "404"})
_US_EAST_1 = "us-east-1"
AS_IT_IS = Storing()
"""Objects are stored as the bucket has it."""


class S3ObjectStore:
    """One bucket and prefix; see `pipeline.ports.ObjectStore` for what it promises."""

    def __init__(self, aws: Aws, region: str, bucket: str, prefix: str = "", storing: Storing = AS_IT_IS) -> None:
        self._reads = aws.s3(region, READ)
        self._writes = aws.s3(region, WRITE)
        self._bucket = bucket
        self._storing = storing
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    async def create(self, name: str, data: bytes) -> bool:
        """Store a new object; return False, changing nothing, when the name is taken."""
        with translated("s3:PutObject", self._resource()):
            return await self._writes.run(_create, self._writes.client, self._put(name, data))

    async def replace(self, name: str, data: bytes) -> None:
        """Store an object, over an older one of the name if there is one."""
        with translated("s3:PutObject", self._resource()):
            await self._writes.run(self._writes.client.put_object, **self._put(name, data))

    async def read(self, name: str) -> bytes | None:
        """Return the object's bytes, None when there is none."""
        with translated("s3:GetObject", self._resource()):
            return await self._reads.run(_read, self._reads.client, self._bucket, self._key(name))

    async def names(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        """Yield names that start with `prefix` and sort after `after`, in ascending order."""
        last = self._prefix + after if after else ""
        more = True
        while more:
            ask = {
                "Bucket": self._bucket,
                "Prefix": self._prefix + checked_prefix(prefix),
                **({"StartAfter": last} if last else {}),
            }
            with translated("s3:ListBucket", self._resource()):
                page = await self._reads.run(_list, self._reads.client, ask)
            for entry in page.get("Contents", []):
                last = entry["Key"]
                yield last.removeprefix(self._prefix)
            more = bool(page.get("IsTruncated"))

    async def delete(self, name: str) -> None:
        """Remove an object; removing nothing is no error."""
        with translated("s3:DeleteObject", self._resource()):
            await self._writes.run(self._writes.client.delete_object, Bucket=self._bucket, Key=self._key(name))

    def _put(self, name: str, data: bytes) -> dict[str, Any]:
        """Return what PutObject is asked with."""
        ask: dict[str, Any] = {"Bucket": self._bucket, "Key": self._key(name), "Body": data}
        if self._storing.retention_days:
            until = dt.datetime.fromtimestamp(SystemClock().now_ms() / 1000, dt.UTC)
            until += dt.timedelta(days=self._storing.retention_days)
            ask |= {"ObjectLockMode": self._storing.retention_mode.value, "ObjectLockRetainUntilDate": until}
        if self._storing.kms_key:
            key = self._storing.kms_key
            ask |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key, "BucketKeyEnabled": True}
        return ask

    def _key(self, name: str) -> str:
        return self._prefix + checked(name)

    def _resource(self) -> str:
        return f"bucket {self._bucket}"


async def has_lock(aws: Aws, region: str, bucket: str) -> bool:
    """Return True when objects of the bucket can be kept from being deleted. Raises Misconfigured, RetryLater."""
    caller = aws.s3(region, CONTROL)
    with translated("s3:GetBucketObjectLockConfiguration", f"bucket {bucket}"):
        return await caller.run(_has_lock, caller.client, bucket)


async def bucket_exists(aws: Aws, region: str, bucket: str) -> bool:
    """Return True when the bucket is there and ours to see. Raises Misconfigured when it is somebody else's."""
    caller = aws.s3(region, CONTROL)
    with translated("s3:ListBucket", f"bucket {bucket}"):
        return await caller.run(_exists, caller.client, bucket)


async def create_bucket(aws: Aws, region: str, bucket: str) -> None:
    """Create the bucket in the region, unless it is already ours."""
    caller = aws.s3(region, CONTROL)
    where: dict[str, Any] = {}
    if region != _US_EAST_1:
        where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    with translated("s3:CreateBucket", f"bucket {bucket}"):
        await caller.run(_create_bucket, caller.client, {"Bucket": bucket, **where})


def _create(client: S3Client, ask: dict[str, Any]) -> bool:
    try:
        client.put_object(**ask, IfNoneMatch="*")
    except ClientError as error:
        if code_of(error) in _TAKEN:
            return False
        raise
    return True


def _has_lock(client: S3Client, bucket: str) -> bool:
    try:
        answer = client.get_object_lock_configuration(Bucket=bucket)
    except ClientError as error:
        if code_of(error) == "ObjectLockConfigurationNotFoundError":
            return False
        raise
    return answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"


def _read(client: S3Client, bucket: str, key: str) -> bytes | None:
    try:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if code_of(error) in _ABSENT:
            return None
        raise


def _list(client: S3Client, ask: dict[str, Any]) -> Any:
    return client.list_objects_v2(**ask)


def _exists(client: S3Client, bucket: str) -> bool:
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if code_of(error) in {"404", "NoSuchBucket"}:
            return False
        raise
    return True


def _create_bucket(client: S3Client, ask: dict[str, Any]) -> None:
    try:
        client.create_bucket(**ask)
    except client.exceptions.BucketAlreadyOwnedByYou:
        return
