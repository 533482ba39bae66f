"""One simulated world, drawn from one seed: tables, stream, stores, hosts with the real core, and their fate."""

import random

from pipeline.capture.packing import Packing, WireForm
from pipeline.testing.fakes import FakeItemStore, FakeTable
from pipeline.wire import chain, segment
from tests.simulation.hosts import NAMES, Setup, Slowness, capture_host, worker_host
from tests.simulation.loop import Host, SimChance, SimClock, SimLoop
from tests.simulation.network import Network, Remote
from tests.simulation.oracle import POSITIONS, Objects, Replica, State, at_rest
from tests.simulation.poison import ParkedObjects, Poison, nothing_parked, operate
from tests.simulation.services import Claims, SourceTable, StreamLog, trim_delivered
from tests.simulation.troubles import Trouble
from topologies.replica import Mode

DENIAL_RATES = (0.0, 0.0, 0.0, 0.05)
"""How many of the calls that put records a missing permission denies: captures halt amid their work."""
GRACE_SECONDS = 15.0
"""From SIGTERM to SIGKILL."""


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
        self.log = self._log()
        self.replica = self._replica()
        self.buckets = {"archive": Objects(segment), "audit": Objects(chain)}
        self.state = State(self.tables, self.log, self.buckets["archive"], self.buckets["audit"], self.replica)
        self.state.met = loop.met
        self.poison, self.parked = Poison(loop.seed), ParkedObjects()
        self.state.poison, self.state.parked = self.poison, self.parked
        self.claims = Claims(loop, draw.choice((0.0, 0.0, 0.3)))
        self.setup = self._setup()
        self.state.archived = self.setup.wants["archive"]
        self.hosts: list[tuple[str, Host]] = []
        self.operated = False
        """Whether somebody looks after the quarantine."""
        self._count = 0

    def _log(self) -> StreamLog:
        draw = self.loop.random
        log = StreamLog("changes", self.clock, shards=draw.choice((1, 2, 4)), chance=SimChance(self.loop))
        log.page_records_max = draw.choice((2, 10, 10_000))
        log.iterators.live_seconds = draw.choice((3.0, 30.0, 300.0))
        refused = draw.choice((0.0, 0.05, 0.3))
        log.refuses = lambda _: self._refusal(refused)
        denial = random.Random(f"denial {self.loop.seed}")  # of its own: worlds without it are as they were before it
        rate = denial.choice(DENIAL_RATES)
        log.denies = lambda: self._denial(denial.random() < rate)
        return log

    def _denial(self, denied: bool) -> bool:
        self.loop.met[Trouble.DENIED] += denied
        return denied

    def _refusal(self, rate: float) -> str | None:
        if self.loop.random.random() >= rate:
            return None
        self.loop.met[Trouble.PUT_REFUSED] += 1
        return "ProvisionedThroughputExceededException"

    def _replica(self) -> Replica:
        modes: tuple[Mode, ...] = ("exact", "exact", "exact", "guarded", "economy")
        mode = self.loop.random.choice(modes)
        copies = [FakeTable(name, self.clock) for name in self.tables]
        replica = Replica(mode, self.tables, *copies, FakeTable(POSITIONS, self.clock, keys={"row": "S"}))
        replica.unprocessed = self._unprocessed
        return replica

    def _unprocessed(self) -> int:
        left = self.loop.random.choice((0, 0, 1, 3))
        self.loop.met[Trouble.UNPROCESSED] += left > 0
        return left

    def _setup(self) -> Setup:
        draw = self.loop.random
        form = draw.choice(list(WireForm))
        return Setup(
            self.loop,
            self.clock,
            self.network,
            self.tables,
            self.log,
            FakeItemStore(*self.tables.values()),
            self.replica,
            self.buckets,
            self.claims,
            self.state,
            Packing(form, draw.choice((1, 4, 16)), draw.choice((400, 1024 * 1024)), "us-east-1"),
            {name: frozenset(draw.choice(([*self.tables], [*self.tables], ["t0"]))) for name in NAMES},
            batch_changes_max=draw.choice((1, 5, 1_000)),
            ring_bytes_max=draw.choice((200, 2_000, 1 << 20)),
            page_changes_max=draw.choice((1, 7, 1_000)),
            source_iterator_seconds=draw.choice((3.0, 30.0, 900.0)),
            blur=draw.choice((0.0, 0.0, 0.2, 0.6)),
            slowness=Slowness(self.loop.seed),
            standstill=draw.choice((0.0, 0.0, 0.05, 0.2)),
            poison=self.poison,
            parked=self.parked,
        )

    def start(self, kind: str) -> None:
        """Start a host: a capture or a worker."""
        self._count += 1
        host = Host(f"{kind}-{self._count}", skew_ms=self.loop.random.choice((0, 0, -600_000, 600_000)))
        self.loop.met[Trouble.SKEWED] += host.skew_ms != 0
        self.hosts.append((kind, host))
        self.loop.spawn(host, capture_host(self.setup, host) if kind == "capture" else worker_host(self.setup, host))

    def operate(self) -> None:
        """Have somebody look after the quarantine.

        Also where nothing is refused: a change may come under suspicion of ending processes that lose leases or die.
        """
        self.operated = True
        log, state = Remote(self.network, self.log), Remote(self.network, self.state)
        operator = operate(log, state, self.clock, random.Random(f"operator {self.loop.seed}"))
        self.loop.spawn(Host("operator"), operator)

    def kill(self) -> None:
        """Kill a random host and start another of its kind a little later."""
        self.kill_host(self.loop.random.choice(self.hosts)[1], self.loop.random.uniform(0, 5))

    def kill_host(self, host: Host, seconds: float) -> None:
        """Kill a host and start another of its kind after some seconds."""
        kind = next(kind for kind, each in self.hosts if each is host)
        self.hosts.remove((kind, host))
        self.loop.met[Trouble.KILLED] += 1
        self.loop.kill(host)
        self.loop.call_later(seconds, self.start, kind)

    def terminate(self) -> None:
        """Stop a random host as a deployment does, and start another of its kind a little later."""
        kind, host = self.hosts.pop(self.loop.random.randrange(len(self.hosts)))
        self.loop.met[Trouble.STOPPED] += 1
        host.stopping.set()
        self.loop.call_later(GRACE_SECONDS, self.loop.kill, host)
        self.loop.call_later(self.loop.random.uniform(0, 5), self.start, kind)

    def pause(self) -> None:
        """Let a random host stand still, perhaps past its leases."""
        host = self.loop.random.choice(self.hosts)[1]
        self.loop.met[Trouble.PAUSED] += 1
        self.loop.pause(host, self.loop.random.choice((2, 8, 20, 60)))

    def reshard(self) -> None:
        """Roll or split a table's shard, or split or merge one of the stream."""
        draw = self.loop.random
        if draw.random() < 0.5:
            table = draw.choice(list(self.tables.values()))
            move = draw.choice((table.roll, table.split))
            self.loop.met[Trouble.ROLLED if move == table.roll else Trouble.DIVIDED] += 1
            move(draw.choice(table._leaves()).id)
            return
        opened = sorted((s for s in self.log._shards.values() if not s.tape.closed), key=lambda s: s.low)
        if len(opened) > 1 and draw.random() < 0.5:
            at = draw.randrange(len(opened) - 1)
            self.loop.met[Trouble.MERGED] += 1
            self.log.merge(opened[at].id, opened[at + 1].id)
            return
        self.loop.met[Trouble.SPLIT] += 1
        halves = self.log.split(draw.choice(opened).id)
        if draw.random() < 0.3:  # and back again, as UpdateShardCount does
            self.loop.call_later(draw.uniform(0.5, 8), self._merge, *halves)

    def _merge(self, left: str, right: str) -> None:
        shards = self.log._shards
        if left in shards and right in shards and not shards[left].tape.closed and not shards[right].tape.closed:
            self.log.merge(left, right)

    def trim(self) -> None:
        """Forget what was delivered, as retention does a day later."""
        self.loop.met[Trouble.TRIMMED] += 1
        trim_delivered(self.log, self.state, NAMES)
        for table in self.tables.values():
            table.trim_captured(self.state)

    def write(self, n: int) -> None:
        """Make one change."""
        self.poison.turn()
        draw = self.loop.random
        table = draw.choice(list(self.tables.values()))
        keys = {"pk": {"S": f"k{draw.choice((0, 0, 1, draw.randrange(12)))}"}}
        if draw.random() < 0.2:
            table.delete(keys)
        else:
            table.put({**keys, "n": {"N": str(n)}, "fill": {"S": draw.randbytes(draw.choice((0, 5, 250))).hex()}})

    def heal(self) -> None:
        """End all trouble."""
        self.network.heal()
        self.poison.heal()
        self.log.refuses = None
        self.log.denies = lambda: False
        self.claims.rot = self.setup.standstill = 0.0
        self.replica.unprocessed = lambda: 0
        self.setup.slowness.name = ""

    def calm(self) -> None:
        """Be as in production, but small: nothing misbehaves, batches and pages hold a few changes."""
        self.setup.blur = 0.0
        self.setup.batch_changes_max = self.setup.page_changes_max = 3
        self.setup.ring_bytes_max = 1 << 20
        for table in self.tables.values():
            table.children_unlisted = 1

    async def at_rest(self) -> str:
        """Return why the world has not converged, "" when it has."""
        if self.operated and not await nothing_parked(self.log, self.state):
            return "I8 there are keys in quarantine"
        return await at_rest(
            self.tables, self.buckets["archive"], self.buckets["audit"], self.replica, self.setup.wants
        )
