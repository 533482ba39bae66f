"""All stores a topology may use, in memory, and the Context through which one worker reaches them."""

from collections.abc import Mapping

from pipeline.ports import Clock, ItemStore, ObjectStore
from pipeline.testing.memory import MemoryClock, MemoryItems, MemoryObjects
from pipeline.testing.sink_faults import Faults, FaultyItems, FaultyObjects

SOURCE_REGION = "us-east-1"
TABLES: Mapping[str, tuple[str, ...]] = {"orders": ("id",), "lines": ("order", "line")}
"""Source tables and their keys; every region has tables of these names."""


class Stores:
    """What outlives a worker: buckets, folders, and tables of every region."""

    def __init__(self, tables: Mapping[str, tuple[str, ...]] = TABLES) -> None:
        self.tables = dict(tables)
        self.folders: dict[str, MemoryObjects] = {}
        self._regions: dict[str, MemoryItems] = {}

    def objects(self, bucket: str, prefix: str = "") -> MemoryObjects:
        """Return a bucket's objects under a prefix."""
        return self.folders.setdefault(f"{bucket}/{prefix}", MemoryObjects())

    def items(self, region: str) -> MemoryItems:
        """Return a region's tables: those of the source, and what a test adds."""
        return self._regions.setdefault(region, MemoryItems(self.tables))

    def context(self, faults: Faults | None = None, name: str = "sink") -> "StoresContext":
        """Return what one worker, with its faults, lends to a sink."""
        return StoresContext(self, faults or Faults(), name)


class StoresContext:
    """A Context."""

    def __init__(self, stores: Stores, faults: Faults, name: str) -> None:
        self.stores = stores
        self.faults = faults
        self._name = name
        self._clock = MemoryClock()

    @property
    def name(self) -> str:
        """Return the topology's name."""
        return self._name

    @property
    def tables(self) -> Mapping[str, str]:
        """Return the source tables with their region."""
        return dict.fromkeys(TABLES, SOURCE_REGION)

    @property
    def clock(self) -> Clock:
        """Return a clock in which time stands still."""
        return self._clock

    def objects(self, bucket: str, prefix: str = "", *, region: str = "") -> ObjectStore:  # noqa: ARG002 - a bucket's name is unique in all regions
        """Return a bucket's objects under a prefix."""
        return FaultyObjects(self.stores.objects(bucket, prefix), self.faults)

    def folder(self, path: str) -> ObjectStore:
        """Return a folder's files."""
        return FaultyObjects(self.stores.objects("", path), self.faults)

    def items(self, region: str) -> ItemStore:
        """Return a region's tables."""
        return FaultyItems(self.stores.items(region), self.faults)
