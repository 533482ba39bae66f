"""Worlds in which tables are compared with their replicas all the time: whatever happens, nothing is called wrong."""

import random
from functools import partial
from typing import Any

from pipeline.coordination.checkpoints import read_many
from pipeline.coordination.pace import Pace
from pipeline.history.watermark import uncaptured
from pipeline.model.errors import PipelineError
from pipeline.verification.judge import WRONG, Judge
from pipeline.verification.passage import Passage
from pipeline.verification.side import Reading, Side
from pipeline.verification.verify import Verification
from pipeline.wire.parked import digest_of
from pipeline.wiring.core import CAPTURE, Surroundings, checkpoint_key, group_of
from tests.simulation.hosts import PIPELINE
from tests.simulation.logs import Violation
from tests.simulation.loop import Host, SimLoop
from tests.simulation.network import Remote
from tests.simulation.world import World
from topologies import replica

RETRY_SECONDS = 2.0


class VerifyWorld(World):
    """A world with a kind of host that compares; a replica of mode economy may be stale, so there is none."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__(loop)
        self.rounds = 0
        self.looked_at_again = 0

    def start(self, kind: str) -> None:
        """Start a host: a capture, a worker or one that compares."""
        if kind != "verify":
            super().start(kind)
            return
        self._count += 1
        host = Host(f"verify-{self._count}")
        self.hosts.append((kind, host))
        self.loop.spawn(host, self._verify_host(host))

    def trim(self) -> None:
        """Forget nothing: streams keep their records for a day, and an item is judged within minutes."""

    async def _verify_host(self, host: Host) -> None:
        tables = sorted(self.setup.wants["replica"])
        while self.replica.mode != "economy" and not host.stopping.is_set():
            for table in tables:
                try:
                    await self._verify(host, table)
                except PipelineError:  # denied, or a stream that does not tell: the next round
                    await self.clock.sleep(RETRY_SECONDS)
        await host.stopping.wait()

    async def _verify(self, host: Host, table: str) -> None:
        verification = self._verification(self.setup.around(host), table)
        async for finding in verification.parts(0, 0, 1):
            if finding.kind in WRONG:
                raise Violation(f"verify calls an item of {table} {finding.kind} ({finding.attributes})")
        self.rounds += 1
        self.looked_at_again += verification.count.judged

    def _verification(self, around: Surroundings, table: str) -> Verification:
        remote: Any = partial(Remote, self.network)
        reading = Reading(Pace(around.clock, 0), around.clock, around.chance)
        mirror = replica.mirror(replica.Settings("eu-west-1", mode=self.replica.mode))
        readers = [self.tables[table].reader(), self.replica.tables[table].reader()]
        for each in readers:
            each.rows_max = random.Random(f"{self.loop.seed}").choice((2, 50))
        source = Side(remote(readers[0]), remote(self.setup.sources), mirror.expected, reading)
        copy = Side(remote(readers[1]), remote(self.replica), mirror.held, reading)
        passage = Passage(
            around.log,
            around.claims,
            around.store,
            around.clock,
            around.chance,
            key=partial(checkpoint_key, "changes", name="replica"),
            uncaptured=partial(self._uncaptured, around, table),
        )
        parked = partial(digest_of, PIPELINE, table)
        judge = Judge(table, source, copy, passage, around.clock, expected=mirror.expected, parked=parked)
        return Verification(source, copy, judge, around.clock, findings_max=1_000)

    async def _uncaptured(self, around: Surroundings, table: str) -> tuple[int, str] | None:
        stream: Any = Remote(self.network, self.tables[table].stream())
        group = group_of("changes", table, stream.epoch)
        keys = {shard.id: checkpoint_key(group, shard.id, CAPTURE) for shard in await stream.shards()}
        stored = await read_many(around.store, list(keys.values()))
        captured = {shard: stored[key] for shard, key in keys.items() if key in stored}
        bounds = await uncaptured(stream, captured, around.clock)
        return min(((bound.time_ms, bound.why) for bound in bounds), default=None)
