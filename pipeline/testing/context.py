"""All stores a topology may use, in memory, and the Context through which one worker reaches them."""

from collections.abc import Mapping

from pipeline.model.storing import Storing
from pipeline.ports import Clock, ItemStore, ObjectStore
from pipeline.testing.clock import SkippingClock, turn
from pipeline.testing.faults import Faults
from pipeline.testing.stores import FakeItemStore, FakeObjectStore
from pipeline.testing.table import FakeTable

SOURCE_REGION = "us-east-1"
PIPELINE = "a-pipeline"
TABLES: Mapping[str, tuple[str, ...]] = {"orders": ("id",), "lines": ("order", "line")}
"""Source tables and their keys; every region has tables of these names."""


class Stores:
    """What outlives a worker: buckets, folders, and tables of every region.

    `remembers_transactions` is False here, the harder case: a transaction whose answer was lost finds its row moved.
    `leave_unprocessed`, is how many writes each worker's first batch to a region leaves undone.
    """

    def __init__(self, tables: Mapping[str, tuple[str, ...]] = TABLES, *, remembers_transactions: bool = False) -> None:
        self.clock = SkippingClock()
        self._tables = dict(tables)
        self._remembers = remembers_transactions
        self.leave_unprocessed = 0
        self.buckets: dict[str, FakeObjectStore] = {}
        """What was stored under each `<bucket>/<prefix>`; a folder is a bucket without a name."""
        self.regions: dict[str, FakeItemStore] = {}

    def objects(self, bucket: str, prefix: str = "") -> FakeObjectStore:
        """Return a bucket's objects under a prefix."""
        return self.buckets.setdefault(f"{bucket}/{prefix}", FakeObjectStore())

    def folder(self, path: str) -> FakeObjectStore:
        """Return a folder's files."""
        return self.objects("", path)

    def items(self, region: str) -> FakeItemStore:
        """Return a region's tables: those of the source, and what a test adds."""
        if region not in self.regions:
            store = FakeItemStore(*(self._table(name, keys) for name, keys in self._tables.items()))
            store.remembers_transactions = self._remembers
            self.regions[region] = store
        self.regions[region].leave_unprocessed = self.leave_unprocessed
        return self.regions[region]

    def context(self, faults: Faults | None = None, name: str = "sink", *, pipeline: str = PIPELINE) -> "StoresContext":
        """Return what one worker, with its faults, lends to a sink; its calls take turns with other workers' calls."""
        faults = faults or Faults()
        faults.pause = faults.pause or turn
        return StoresContext(self, faults, name, pipeline)

    def _table(self, name: str, keys: tuple[str, ...]) -> FakeTable:
        table = FakeTable(name, self.clock, keys=dict.fromkeys(keys, "S"))
        table.disable_stream()  # nobody reads a destination's stream, and its records would be kept
        return table


class StoresContext:
    """A Context."""

    def __init__(self, stores: Stores, faults: Faults, name: str, pipeline: str) -> None:
        self.stores = stores
        self.faults = faults
        self._name = name
        self._pipeline = pipeline

    @property
    def name(self) -> str:
        """Return the topology's name."""
        return self._name

    @property
    def pipeline(self) -> str:
        """Return the pipeline's name."""
        return self._pipeline

    @property
    def tables(self) -> Mapping[str, str]:
        """Return the source tables with their region."""
        return dict.fromkeys(TABLES, SOURCE_REGION)

    @property
    def clock(self) -> Clock:
        """Return a clock whose sleeps take no time."""
        return self.stores.clock

    def objects(
        self,
        bucket: str,
        prefix: str = "",
        *,
        region: str = "",  # noqa: ARG002  # a bucket's name is unique in all regions
        storing: Storing | None = None,  # noqa: ARG002  # a fake keeps everything
    ) -> ObjectStore:
        """Return a bucket's objects under a prefix."""
        return self.stores.objects(bucket, prefix).behind(self.faults)

    def folder(self, path: str) -> ObjectStore:
        """Return a folder's files."""
        return self.stores.folder(path).behind(self.faults)

    def items(self, region: str) -> ItemStore:
        """Return a region's tables."""
        return self.stores.items(region).behind(self.faults)
