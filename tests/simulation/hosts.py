"""What runs on a simulated host: the real capture and the real delivery, with what the Faust worker does in between."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipeline.capture.packing import Packing
from pipeline.delivery.appetite import Appetite
from pipeline.delivery.parking import Quarantine
from pipeline.delivery.shard import ShardDelivery
from pipeline.delivery.stream import StreamDelivery
from pipeline.delivery.topology import TopologyRunner
from pipeline.model.storing import Storing
from pipeline.plugin import Batch, ItemStore, ObjectStore, Rejected, Sink
from pipeline.testing.fakes import FakeItemStore
from pipeline.wiring.core import Surroundings, capture_of, delivery_of
from tests.simulation.loop import HOST, Host, SimChance, SimClock, SimLoop
from tests.simulation.network import Network, Remote
from tests.simulation.oracle import Objects, Replica, State
from tests.simulation.poison import ParkedObjects, Poison
from tests.simulation.services import Blurred, Claims, SourceTable, StreamLog
from tests.simulation.troubles import Trouble
from topologies import archive, audit, replica

LEASE_SECONDS = 10.0
STEP_SECONDS = LEASE_SECONDS / 3
DRAIN_SECONDS = 5.0
HANG_RATE = 0.1
HAND_OVER_SECONDS = 0.1
NAMES = ("replica", "archive", "audit")
PIPELINE = "changes"
LINGER_SECONDS = {"replica": 0.0, "archive": 2.0, "audit": 1.0}


@dataclass
class Setup:
    """What a host finds: services, and how it is configured."""

    loop: SimLoop
    clock: SimClock
    network: Network
    tables: Mapping[str, SourceTable]
    log: StreamLog
    sources: FakeItemStore
    replica: Replica
    buckets: Mapping[str, Objects]
    claims: Claims
    state: State
    packing: Packing
    wants: Mapping[str, frozenset[str]]
    batch_changes_max: int
    ring_bytes_max: int
    page_changes_max: int
    source_iterator_seconds: float
    blur: float
    slowness: "Slowness"
    standstill: float
    """Rate of batches before which the host stands still for longer than a lease."""
    poison: "Poison"
    parked: "ParkedObjects"

    def around(self, host: Host) -> Surroundings:
        """Return what every object of a host is made of."""
        remote: Any = partial(Remote, self.network)
        log, claims, state = remote(self.log), remote(self.claims), remote(self.state)
        chance = SimChance(self.loop)
        return Surroundings(host.name, log, claims, state, self.clock, chance, LEASE_SECONDS, 1.0, self.ring_bytes_max)

    def quarantine(self) -> Quarantine:
        """Return where refused changes wait."""
        objects: Any = Remote(self.network, self.parked)
        return Quarantine(objects, PIPELINE, self.packing.lanes, 2)


@dataclass
class SimContext:
    """What a simulated host lends to a sink."""

    name: str
    setup: Setup
    region: str = field(default="us-east-1")
    pipeline: str = field(default=PIPELINE)

    @property
    def tables(self) -> Mapping[str, str]:
        """Return the tables the topology wants."""
        return dict.fromkeys(sorted(self.setup.wants[self.name]), "us-east-1")

    @property
    def clock(self) -> SimClock:
        """Return the clock."""
        return self.setup.clock

    def objects(
        self, bucket: str, _prefix: str = "", *, region: str = "", storing: Storing | None = None
    ) -> ObjectStore:  # one region
        """Return a bucket."""
        return Remote(self.setup.network, self.setup.buckets[bucket])

    def folder(self, path: str) -> ObjectStore:
        """Refuse: no simulated topology writes to a disk."""
        raise AssertionError(path)

    def items(self, region: str) -> ItemStore:
        """Return the tables of a region."""
        store: FakeItemStore = self.setup.replica if region == "eu-west-1" else self.setup.sources
        return Remote(self.setup.network, store)


class Watched:
    """A sink that tells the oracle what it is asked to write, that may be slow, and whose host may stand still."""

    def __init__(self, name: str, sink: Sink, setup: "Setup") -> None:
        self._name = name
        self._sink = sink
        self._setup = setup
        self.open = sink.open
        self.close = sink.close

    async def write(self, batch: Batch) -> None:
        """Tell, wait if it must be, and write."""
        if seconds := self._setup.slowness.seconds(self._name):
            self._setup.loop.met[Trouble.SLOW] += 1
            await self._setup.clock.sleep(seconds)
        try:
            self._setup.poison.refuse(self._name, batch)
        except (Rejected, ValueError):
            self._setup.loop.met[Trouble.REFUSED] += 1
            raise
        if self._name == "replica":
            self._setup.replica.give(batch)
            await self._stand_still()
        await self._sink.write(batch)
        self._setup.poison.note_written(self._name, batch)

    async def _stand_still(self) -> None:
        loop, host = self._setup.loop, HOST.get()
        if host is not None and loop.random.random() < self._setup.standstill:
            loop.met[Trouble.STOOD_STILL] += 1
            loop.pause(host, loop.random.choice((12, 30)))
            await self._setup.clock.sleep(0)


class Slowness:
    """One topology whose destination hangs now and then in some worlds, so that it falls behind and catches up.

    Its chance is its own: the other draws of a seed do not depend on it.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"slow {seed}")
        self.name = self._random.choice((*NAMES, "", "", ""))

    def seconds(self, name: str) -> float:
        """Return how long a write takes before it begins."""
        hangs = name == self.name and self._random.random() < HANG_RATE
        return self._random.choice((2.0, 20.0)) if hangs else 0.0


async def capture_host(setup: Setup, host: Host) -> None:
    """Capture every table until SIGTERM."""
    around = setup.around(host)
    captures = []
    for table in setup.tables.values():
        stream = table.stream()
        stream.page_changes_max = setup.page_changes_max
        stream.iterators.live_seconds = setup.source_iterator_seconds
        blurred: Any = Blurred(Remote(setup.network, stream), setup.loop, setup.blur)
        captures.append(capture_of(around, blurred, setup.packing))
    host.work = [*captures]
    running = asyncio.gather(*(capture.run(STEP_SECONDS) for capture in captures))
    await _until_stopped(host, running)
    for capture in captures:
        await capture.drain()


async def worker_host(setup: Setup, host: Host) -> None:
    """Deliver to every topology until SIGTERM; then wait for what is being written, save, and give the leases back."""
    runners = {name: _runner(setup, name) for name in NAMES}
    delivery = delivery_of(setup.around(host), runners, setup.quarantine())
    host.work = [delivery]
    pumping = asyncio.ensure_future(pump(delivery, runners, setup.clock, host))
    running = asyncio.gather(delivery.run(STEP_SECONDS), pumping)
    await _until_stopped(host, running)
    for _ in range(round(DRAIN_SECONDS / 0.1)):
        if not any(f.cursor.busy for d in delivery.deliveries.values() for f in d.followers.values()):
            break
        await setup.clock.sleep(0.1)
    await delivery.drain()


async def _until_stopped(host: Host, running: "asyncio.Future[Any]") -> None:
    stopping = asyncio.ensure_future(host.stopping.wait())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()


def _runner(setup: Setup, name: str) -> TopologyRunner:
    context = SimContext(name, setup)
    sinks: dict[str, Any] = {
        "replica": lambda: replica.topology.sink(replica.Settings("eu-west-1", mode=setup.replica.mode), context),
        "archive": lambda: archive.topology.sink(archive.Settings("archive"), context),
        "audit": lambda: audit.topology.sink(audit.Settings("audit"), context),
    }
    gaps = name != "replica"
    appetite = Appetite(
        setup.batch_changes_max, 1 << 20, LINGER_SECONDS[name], setup.wants[name], gaps, name, ranges=True
    )
    return TopologyRunner(
        name, lambda: Watched(name, sinks[name](), setup), appetite, setup.clock, SimChance(setup.loop)
    )


async def pump(delivery: StreamDelivery, runners: Mapping[str, TopologyRunner], clock: SimClock, host: Host) -> None:
    """Do what the Faust worker does: hand over what the cursors allow, one at a time for each topology and shard."""
    held: list[ShardDelivery] = []
    desks: dict[tuple[ShardDelivery, str], Desk] = {}
    while True:
        if held != (holding := [*delivery.deliveries.values()]):
            for key in [key for key in desks if key[0] not in holding]:
                desks.pop(key).writing.cancel()
            new = [(each, name) for each in holding if each not in held for name in runners]
            desks |= {key: Desk(*key, runners[key[1]]) for key in new}
            held = holding
        if not host.stopping.is_set():
            for desk in desks.values():
                desk.fill()
        await clock.sleep(HAND_OVER_SECONDS)


class Desk:
    """Writes one batch of a topology on a shard while the next ones wait."""

    def __init__(self, delivery: ShardDelivery, name: str, runner: TopologyRunner) -> None:
        self._delivery = delivery
        self._name = name
        self._waiting: asyncio.Queue[Batch] = asyncio.Queue()
        self.writing = asyncio.ensure_future(self._write(delivery, name, runner, self._waiting))

    def fill(self) -> None:
        """Take what the cursor allows."""
        while (batch := self._delivery.take(self._name)) is not None:
            self._waiting.put_nowait(batch)

    @staticmethod
    async def _write(delivery: ShardDelivery, name: str, runner: TopologyRunner, waiting: asyncio.Queue[Batch]) -> None:
        while True:
            batch = await waiting.get()
            follower = delivery.followers[name]
            await runner.deliver(batch, follower)
            delivery.settle(name, batch)
