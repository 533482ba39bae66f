"""What the pipeline lends to a sink, made of the AWS adapters."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.aws.folder import FolderObjectStore
from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.objects import AS_IT_IS, S3ObjectStore
from pipeline.aws.session import WRITE, Aws
from pipeline.model.storing import Storing
from pipeline.ports import Clock, ItemStore, ObjectStore


class SinkContext:
    """See `pipeline.plugin.Context`."""

    def __init__(
        self, name: str, pipeline: str, tables: Mapping[str, str], region: str, aws: Aws, clock: Clock
    ) -> None:
        self.name = name
        self.pipeline = pipeline
        self.tables = tables
        self.clock = clock
        self._region = region
        self._aws = aws

    def objects(
        self, bucket: str, prefix: str = "", *, region: str = "", storing: Storing | None = None
    ) -> ObjectStore:
        """Return a store for S3 objects under `prefix`; the stream's region when none is given."""
        return S3ObjectStore(self._aws, region or self._region, bucket, prefix, storing or AS_IT_IS)

    def folder(self, path: str) -> ObjectStore:
        """Return a store for files under a local folder."""
        return FolderObjectStore(Path(path), self._aws.threads(WRITE))

    def items(self, region: str) -> ItemStore:
        """Return the DynamoDB tables of a region."""
        return DynamoDBItemStore(self._aws, region, self.clock)
