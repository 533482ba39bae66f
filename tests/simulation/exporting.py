"""Worlds in which tables are copied from an export of them, older than all that has happened to them since."""

import random
from functools import partial
from typing import Any

from pipeline.capture.copy import Newer
from pipeline.delivery.since_export import KeyFilter, SinceExport
from pipeline.testing.table import FakeTable, FakeTableReader
from pipeline.wiring.core import Surroundings
from tests.simulation.copying import CopyWorld
from tests.simulation.loop import SimChance, SimLoop
from tests.simulation.network import Remote

LATER_SECONDS_MAX = 40.0
MARGIN_MS = 1_000


class Exported(FakeTableReader):
    """Reads a table as it was when this was made."""

    def __init__(self, table: FakeTable) -> None:
        super().__init__(table)
        self._items = dict(table.items)


class ExportWorld(CopyWorld):
    """A world in which each table is exported at some moment, and copied from that later, changes or not."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__(loop)
        draw = random.Random(f"export {loop.seed}")
        self.later_seconds = draw.uniform(0, LATER_SECONDS_MAX)
        self.filter_bits = draw.choice((64, 1 << 16))
        """A small filter takes nearly every key for one that was met."""
        self.units_per_second *= 100  # a unit here is an item, not a share of 4 KB
        self.exports: dict[str, tuple[Exported, int]] = {}
        self.anew = self.kept = 0
        """Rows that were read anew, and those that were sent as the export has them."""
        for table in self.tables.values():
            loop.call_later(draw.uniform(0, LATER_SECONDS_MAX / 2), self._export, table)

    def trim(self) -> None:
        """Forget what the captures have; Kinesis keeps its records for a day, and an export is used within that."""
        for table in self.tables.values():
            table.trim_captured(self.state)

    def _export(self, table: FakeTable) -> None:
        self.exports[table.name] = Exported(table), self.clock.now_ms()

    async def read(self, around: Surroundings, table: str) -> tuple[FakeTableReader, Newer | None]:
        """Return the export, once it is there and some time has passed, and what has the stream since."""
        while table not in self.exports:
            await self.clock.sleep(1.0)
        exported, export_ms = self.exports[table]
        await self.clock.sleep(max(0.0, self.later_seconds - (self.clock.now_ms() - export_ms) / 1000))
        remote: Any = partial(Remote, self.network)
        since = SinceExport(
            around.log,
            around.claims,
            remote(self.setup.sources),
            table,
            self.setup.packing.lanes,
            export_ms - MARGIN_MS,
            self.clock,
            SimChance(self.loop),
            met=KeyFilter(self.filter_bits),
        )
        return exported, Counting(since, self)


class Counting:
    """Tells the world how many rows were read anew."""

    def __init__(self, since: SinceExport, world: ExportWorld) -> None:
        self._since = since
        self._world = world

    async def catch_up(self) -> None:
        """Learn what there is."""
        await self._since.catch_up()

    async def current(self, source: str, chunk: int, rows: Any) -> Any:
        """Return what the stream makes of the rows."""
        found, units = await self._since.current(source, chunk, rows)
        self._world.anew += int(units)
        self._world.kept += len(rows) - int(units)
        return found, units
