"""The outside world in memory: one fake for every port, which behaves, and fails when ordered to.

They pass the same contract tests as the adapters. They use no threads and no time of their own, so that a run with
them is repeated exactly by its seed.
"""

from pipeline.testing.clock import ManualClock, SeededChance
from pipeline.testing.faults import Faults
from pipeline.testing.log import FakeLog
from pipeline.testing.stores import FakeItemStore, FakeObjectStore, FakeStateStore
from pipeline.testing.table import FakeTable, FakeTableStream

__all__ = [
    "FakeItemStore",
    "FakeLog",
    "FakeObjectStore",
    "FakeStateStore",
    "FakeTable",
    "FakeTableStream",
    "Faults",
    "ManualClock",
    "SeededChance",
]
