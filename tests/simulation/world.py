"""One simulated world: tables, stream, stores, hosts with the real core, and their fate, all from one seed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.capture.packing import Packing, WireForm
from pipeline.delivery.cursor import Appetite
from pipeline.delivery.shard import ShardDelivery
from pipeline.delivery.stream import StreamDelivery
from pipeline.delivery.topology import TopologyRunner
from pipeline.plugin import Change, ItemStore, ObjectStore
from pipeline.testing.fakes import FakeItemStore, FakeLog, FakeObjectStore, FakeTable
from pipeline.wiring.core import Surroundings, capture_of, delivery_of
from tests.simulation.loop import Host, SimChance, SimClock, SimLoop
from tests.simulation.network import Network, Remote
from tests.simulation.oracle import DECODERS, Objects, Replica, State, at_rest
from topologies import archive, audit, replica

LEASE_SECONDS = 10.0
STEP_SECONDS = LEASE_SECONDS / 3
HEAL_SECONDS = 400.0
POSITIONS = "fanout-positions"


class SourceTable(FakeTable):
    """A table that remembers every change of every key."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.history: dict[bytes, list[Change]] = {}
        super().__init__(*args, **kwargs)

    def _record(self, *args: Any, **kwargs: Any) -> None:
        super()._record(*args, **kwargs)
        change = max((s.tape._records[-1] for s in self._leaves() if s.tape._records), key=lambda c: c.sequence)
        self.history.setdefault(change.keys, []).append(change)


@dataclass
class Tally:
    """What a run, or many, went through."""

    seeds: int = 0
    kills: int = 0
    pauses: int = 0
    reshards: int = 0
    changes: int = 0
    calls: int = 0
    steps: int = 0
    simulated_seconds: float = 0.0
    heal_seconds_max: float = 0.0


@dataclass
class SimContext:
    """What a simulated host lends to a sink."""

    name: str
    tables: Mapping[str, str]
    clock: Any
    world: "World"
    region: str = field(default="us-east-1")

    def objects(self, bucket: str, _prefix: str = "", *, region: str = "") -> ObjectStore:  # one region
        """Return a bucket."""
        return Remote(self.world.network, self.world.buckets[bucket])

    def folder(self, path: str) -> ObjectStore:
        """Refuse: no simulated topology writes to a disk."""
        raise AssertionError(path)

    def items(self, region: str) -> ItemStore:
        """Return the tables of a region."""
        store = self.world.replica if region == "eu-west-1" else self.world.sources
        return Remote(self.world.network, store)


class World:
    """Everything that outlives a host, and the hosts."""

    def __init__(self, loop: SimLoop) -> None:
        draw = loop.random
        self.loop = loop
        self.clock = SimClock(loop)
        self.network = Network(loop)
        self.tables = {f"t{n}": SourceTable(f"t{n}", self.clock) for n in range(draw.choice((1, 1, 2)))}
        for table in self.tables.values():
            table.children_unlisted = draw.randrange(4)
        self.log = FakeLog("changes", self.clock, shards=draw.choice((1, 2, 4)), chance=SimChance(loop))
        self.log.page_records_max = draw.choice((2, 10, 10_000))
        refused = draw.choice((0.0, 0.05, 0.3))
        self.log.refuses = lambda _: "ProvisionedThroughputExceededException" if draw.random() < refused else None
        self.sources = FakeItemStore(*self.tables.values())
        copies = [FakeTable(name, self.clock) for name in self.tables]
        self.replica = Replica(self.tables, *copies, FakeTable(POSITIONS, self.clock, keys={"row": "S"}))
        self.buckets = {name: Objects(decode) for name, decode in DECODERS.items()}
        self.claims = FakeObjectStore()
        self.state = State(self.buckets["archive"], self.buckets["audit"], self.replica)
        form = draw.choice(list(WireForm))
        self.packing = Packing(form, draw.choice((1, 4, 16)), draw.choice((400, 1024 * 1024)), "us-east-1")
        self.batch_changes_max = draw.choice((1, 5, 1_000))
        self.ring_bytes_max = draw.choice((200, 2_000, 1 << 20))
        self.page_changes_max = draw.choice((1, 7, 1_000))
        self.hosts: list[tuple[str, Host]] = []
        self._count = 0

    def start(self, kind: str) -> None:
        """Start a host: a capture or a worker."""
        self._count += 1
        host = Host(f"{kind}-{self._count}", skew_ms=self.loop.random.choice((0, 0, -600_000, 600_000)))
        self.hosts.append((kind, host))
        self.loop.spawn(host, self._capture(host) if kind == "capture" else self._worker(host))

    def kill(self) -> None:
        """Kill a random host and start another of its kind a little later."""
        if not self.hosts:
            return  # all are dead just now
        index = self.loop.random.randrange(len(self.hosts))
        kind, host = self.hosts.pop(index)
        self.loop.kill(host)
        self.loop.call_later(self.loop.random.uniform(0, 5), self.start, kind)

    def pause(self) -> None:
        """Let a random host stand still, perhaps past its leases."""
        if not self.hosts:
            return
        host = self.loop.random.choice(self.hosts)[1]
        self.loop.pause(host, self.loop.random.choice((2, 8, 20, 60)))

    def reshard(self) -> None:
        """Roll or split a table's shard, or split or merge one of the stream."""
        draw = self.loop.random
        if draw.random() < 0.5:
            table = draw.choice(list(self.tables.values()))
            draw.choice((table.roll, table.split))(draw.choice(table._leaves()).id)
            return
        opened = sorted((s for s in self.log._shards.values() if not s.tape.closed), key=lambda s: s.low)
        if len(opened) > 1 and draw.random() < 0.5:
            at = draw.randrange(len(opened) - 1)
            self.log.merge(opened[at].id, opened[at + 1].id)
        else:
            self.log.split(draw.choice(opened).id)

    def write(self, n: int) -> None:
        """Make one change."""
        draw = self.loop.random
        table = draw.choice(list(self.tables.values()))
        keys = {"pk": {"S": f"k{draw.choice((0, 0, 1, draw.randrange(12)))}"}}
        if draw.random() < 0.2:
            table.delete(keys)
        else:
            table.put({**keys, "n": {"N": str(n)}, "fill": {"S": "x" * draw.choice((0, 10, 500))}})

    async def at_rest(self) -> str:
        """Return why the world has not converged, "" when it has."""
        return await at_rest(self.tables, self.buckets["archive"], self.buckets["audit"], self.replica)

    def _around(self, host: Host) -> Surroundings:
        remote: Any = lambda service: Remote(self.network, service)  # noqa: E731
        return Surroundings(
            host.name,
            remote(self.log),
            remote(self.claims),
            remote(self.state),
            self.clock,
            SimChance(self.loop),
            LEASE_SECONDS,
            1.0,
            self.ring_bytes_max,
        )

    async def _capture(self, host: Host) -> None:
        around = self._around(host)
        captures = []
        for table in self.tables.values():
            stream = table.stream()
            stream.page_changes_max = self.page_changes_max
            captures.append(capture_of(around, Remote(self.network, stream), self.packing))
        await asyncio.gather(*(capture.run(STEP_SECONDS) for capture in captures))

    async def _worker(self, host: Host) -> None:
        tables = dict.fromkeys(self.tables, "us-east-1")
        contexts = {name: SimContext(name, tables, self.clock, self) for name in ("replica", "archive", "audit")}
        sinks: dict[str, Any] = {
            "replica": replica.topology.sink(replica.Settings("eu-west-1"), contexts["replica"]),
            "archive": archive.topology.sink(archive.Settings("archive"), contexts["archive"]),
            "audit": audit.topology.sink(audit.Settings("audit"), contexts["audit"]),
        }
        lingers = {"replica": 0.0, "archive": 2.0, "audit": 1.0}
        runners = {
            name: TopologyRunner(
                name,
                sink,
                Appetite(self.batch_changes_max, 1 << 20, lingers[name], frozenset(tables)),
                self.clock,
                SimChance(self.loop),
            )
            for name, sink in sinks.items()
        }
        delivery = delivery_of(self._around(host), runners)
        await asyncio.gather(delivery.run(STEP_SECONDS), pump(delivery, runners, self.clock))


async def pump(delivery: StreamDelivery, runners: Mapping[str, TopologyRunner], clock: SimClock) -> None:
    """Do what the Faust worker does: hand batches over, one at a time for each topology and shard."""
    pumps: dict[tuple[ShardDelivery, str], asyncio.Task[None]] = {}
    while True:
        held = set(delivery.deliveries.values())
        for key in [key for key in pumps if key[0] not in held]:
            pumps.pop(key).cancel()
        for key in sorted(((d, name) for d in held for name in runners), key=lambda k: (k[0].shard.id, k[1])):
            if key not in pumps:
                pumps[key] = asyncio.ensure_future(_pump(*key, runners[key[1]], clock))
            elif pumps[key].done():
                pumps[key].result()
        await clock.sleep(0.2)


async def _pump(delivery: ShardDelivery, name: str, runner: TopologyRunner, clock: SimClock) -> None:
    while True:
        batch = delivery.take(name)
        if batch is None:
            await clock.sleep(0.1)
            continue
        await runner.deliver(batch, delivery.followers[name].cursor.report)
        delivery.settle(name, batch)


async def scenario(world: World, tally: Tally) -> None:
    """Write while hosts die, stand still and shards move; then heal, and wait for rest."""
    draw = world.loop.random
    for kind in ("capture", "capture", "worker", "worker", "worker"):
        world.start(kind)
    rates = {name: draw.choice((0.0, 0.02, 0.1)) for name in ("kill", "pause", "reshard")}
    for n in range(draw.randrange(20, 150)):
        world.write(n)
        tally.changes += 1
        await asyncio.sleep(draw.expovariate(2))
        if draw.random() < rates["kill"]:
            world.kill()
            tally.kills += 1
        if draw.random() < rates["pause"]:
            world.pause()
            tally.pauses += 1
        if draw.random() < rates["reshard"]:
            world.reshard()
            tally.reshards += 1
    world.network.heal()
    world.log.refuses = None
    began = world.loop.time()
    while why := await world.at_rest():
        if world.loop.time() - began > HEAL_SECONDS:
            raise AssertionError(f"I11 no rest after {HEAL_SECONDS:.0f} s: {why}")
        await asyncio.sleep(2)
    tally.heal_seconds_max = max(tally.heal_seconds_max, world.loop.time() - began)


def run(seed: int, tally: Tally) -> None:
    """Run one seed. Raises whatever promise it broke."""
    loop = SimLoop(seed)
    world = World(loop)
    try:
        loop.run_until_complete(scenario(world, tally))
        for error in loop.errors:
            raise error
    finally:
        tally.seeds += 1
        tally.steps += loop.steps
        tally.calls += world.network.calls
        tally.simulated_seconds += loop.time()
