"""Worlds in which tables are copied while they change: hosts that copy die too, and begin where another ended."""

import asyncio
import random
from typing import Any

from pipeline.capture.copy import Newer, TableCopy
from pipeline.capture.packing import Packer
from pipeline.coordination.arrivals import arrivals, is_complete
from pipeline.coordination.copies import Copies, Phase, Run
from pipeline.coordination.pace import Pace
from pipeline.model.errors import PipelineError
from pipeline.model.snapshot import shard_of
from pipeline.testing.table import FakeTableReader
from pipeline.wiring.core import Surroundings, checkpoint_key
from tests.simulation.hosts import NAMES
from tests.simulation.logs import Violation
from tests.simulation.loop import Host, SimChance, SimLoop
from tests.simulation.network import Remote
from tests.simulation.world import World

RETRY_SECONDS = 3.0


class CopyWorld(World):
    """A world whose tables had items before there was a stream, and a kind of host that copies them."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__(loop)
        draw = random.Random(f"copy {loop.seed}")
        self.replica.copied = True
        self.rows_max = draw.choice((2, 5, 20))
        self.log.page_records_max = max(self.log.page_records_max, 10)  # windows are many records: let them through
        self.setup.batch_changes_max = max(self.setup.batch_changes_max, 5)
        self.segments = draw.choice((1, 1, 3))
        self.units_per_second = draw.choice((0.0, 0.0, 0.01))
        for table in self.tables.values():
            for n in range(draw.choice((3, 12, 60))):
                table.preload({"pk": {"S": f"k{n}"}, "n": {"N": f"-{n}"}})

    def start(self, kind: str) -> None:
        """Start a host: a capture, a worker or one that copies."""
        if kind != "copy":
            super().start(kind)
            return
        self._count += 1
        host = Host(f"copy-{self._count}")
        self.hosts.append((kind, host))
        self.loop.spawn(host, self._copy_host(host))

    async def _copy_host(self, host: Host) -> None:
        copying: Any = asyncio.gather(*(self._copy(host, name) for name in self.tables))
        stopping = asyncio.ensure_future(host.stopping.wait())
        await asyncio.wait([copying, stopping], return_when=asyncio.FIRST_COMPLETED)
        if copying.done():
            copying.result()

    async def read(self, around: Surroundings, table: str) -> tuple[FakeTableReader, Newer | None]:
        """Return what reads the rows of a table, and who knows what they have become since."""
        return self.tables[table].reader(), None

    async def _copy(self, host: Host, table: str) -> None:
        around = self.setup.around(host)
        copies = Copies(around.store, "changes", table, owner=around.owner)
        reader, newer = await self.read(around, table)
        reader.rows_max = self.rows_max
        packer = Packer(self.setup.packing, around.claims)
        pace = Pace(self.clock, self.units_per_second)
        remote: Any = Remote(self.network, reader)
        copy = TableCopy(remote, around.log, packer, copies, self.clock, SimChance(self.loop), pace, newer=newer)
        phase = Phase.COPYING
        while phase is Phase.COPYING:
            try:
                run = await copies.run()
                if run is None:
                    run = Run("r1", self.tables[table].epoch, self.segments)
                    await copies.put_run(run)
                phase = await copy.run(run)
            except PipelineError:  # another host copies, or a person is needed, who is quick
                await self.clock.sleep(RETRY_SECONDS)

    async def at_rest(self) -> str:
        """Return why the world has not converged; a copy must have arrived whole, everywhere it is wanted."""
        for table in self.tables.values():
            sources = [f"{table.name}/{table.epoch}/{shard_of('r1', n)}" for n in range(self.segments)]
            wanting = [name for name in NAMES if table.name in self.setup.wants[name]]
            shards = [key.split(":")[1].split("@")[0] for key in self.state.rows if key.startswith("changes:")]
            keys = {name: [checkpoint_key("changes", shard, name) for shard in shards] for name in wanting}
            for name, found in (await arrivals(self.state, keys, sources)).items():
                if any(each.refused for each in found):
                    raise Violation(f"I1 {name} refused rows of {table.name}")
                if not all(is_complete(each, self.setup.packing.lanes) for each in found):
                    return f"I1 rows of {table.name} have not all come to {name}"
        why = await super().at_rest()
        return "" if why.startswith("I1 the audit log has") else why
