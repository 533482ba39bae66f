"""The whole pipeline over fakes in one event loop: hosts that can be killed, time that is moved by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from pipeline.capture.packing import Packing, WireForm
from pipeline.capture.table import TableCapture
from pipeline.delivery.appetite import Appetite
from pipeline.delivery.parking import Quarantine
from pipeline.delivery.shard import ShardDelivery
from pipeline.delivery.stream import StreamDelivery
from pipeline.delivery.topology import TopologyRunner
from pipeline.model.gap import SURELY_KEPT_MS
from pipeline.plugin import Batch, Change, Sink
from pipeline.testing.fakes import FakeLog, FakeObjectStore, FakeStateStore, FakeTable, ManualClock, SeededChance
from pipeline.wire.attributes import AttributeGuard
from pipeline.wiring.core import Surroundings, capture_of, delivery_of

LEASE_SECONDS = 3.0
STEP_SECONDS = 1.0
PUMP_SECONDS = 0.05


class Ledger:
    """What a destination holds: every change by shard and position, and in which order keys were first seen."""

    def __init__(self) -> None:
        self.by_place: dict[tuple[str, int], Change] = {}
        self.by_key: dict[tuple[str, bytes], list[int]] = {}
        self.calls = 0

    def add(self, batch: Batch) -> None:
        """Store a batch; a repeat must be the same change at the same place."""
        self.calls += 1
        for position, change in batch:
            known = self.by_place.setdefault((batch.shard, position), change)
            assert known == change, f"{batch.shard} {position}: {known.sequence} became {change.sequence}"
            if known is change:
                seen = self.by_key.setdefault((change.table, change.keys), [])
                if change.sequence not in seen:
                    seen.append(change.sequence)


class LedgerSink:
    """A sink over a ledger that may be slow, broken or hung."""

    def __init__(self, ledger: Ledger, trouble: Callable[[Batch], object] | None = None) -> None:
        self._ledger = ledger
        self._trouble = trouble

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, batch: Batch) -> None:
        """Store the batch after whatever trouble there is."""
        if self._trouble is not None:
            waited = self._trouble(batch)
            if asyncio.iscoroutine(waited):
                await waited
        self._ledger.add(batch)

    async def close(self) -> None:
        """Do nothing."""


class Host:
    """One worker process: a capture, a delivery, or both."""

    def __init__(
        self, captures: list[TableCapture], delivery: StreamDelivery | None, runners: Mapping[str, TopologyRunner]
    ) -> None:
        self.captures = captures
        self.delivery = delivery
        self._runners = runners
        self._tasks = [asyncio.ensure_future(capture.run(STEP_SECONDS)) for capture in captures]
        self._pumps: dict[tuple[ShardDelivery, str], asyncio.Task[None]] = {}
        if delivery is not None:
            self._tasks.append(asyncio.ensure_future(delivery.run(STEP_SECONDS)))

    @property
    def only(self) -> ShardDelivery:
        """Return the delivery of the one shard this worker holds."""
        assert self.delivery is not None
        (found,) = self.delivery.deliveries.values()
        return found

    def pump(self) -> None:
        """Start a pump for every new delivery and topology; stop those whose delivery is gone."""
        deliveries = set(self.delivery.deliveries.values()) if self.delivery else set()
        for key in [key for key in self._pumps if key[0] not in deliveries]:
            self._pumps.pop(key).cancel()
        for delivery in deliveries:
            for name in delivery.followers:
                if (delivery, name) not in self._pumps:
                    self._pumps[delivery, name] = asyncio.ensure_future(self._pump(delivery, name))

    def dead_tasks(self) -> list[BaseException]:
        """Return what tasks of this host have died of."""
        done = [task for task in (*self._tasks, *self._pumps.values()) if task.done() and not task.cancelled()]
        return [error for task in done if (error := task.exception()) is not None]

    async def kill(self) -> None:
        """End everything where it stands."""
        crews = [capture._crew for capture in self.captures] + ([self.delivery._crew] if self.delivery else [])
        tasks = [*self._tasks, *self._pumps.values(), *(task for crew in crews for task in crew._tasks.values())]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def drain(self) -> None:
        """Stop as on SIGTERM."""
        for capture in self.captures:
            await capture.drain()
        if self.delivery is not None:
            await self.delivery.drain()
        await self.kill()

    async def _pump(self, delivery: ShardDelivery, name: str) -> None:
        runner = self._runners[name]
        while True:
            batch = delivery.take(name)
            if batch is None:
                await runner._clock.sleep(PUMP_SECONDS)
                continue
            follower = delivery.followers[name]
            await runner.deliver(batch, follower)
            delivery.settle(name, batch)


def _runner(name: str, sink: Sink, wants: Appetite, world: "World") -> TopologyRunner:
    guard = world.guards.get(name)
    return TopologyRunner(name, lambda: sink, wants, world.clock, world.chance, guard=guard)


class World:
    """Tables, stream and state that outlive hosts."""

    def __init__(self, seed: int = 0, *, shards: int = 1, form: WireForm = WireForm.COMPACT, tables: int = 1) -> None:
        self.clock = ManualClock()
        self.chance = SeededChance(seed)
        self.log = FakeLog("changes", self.clock, shards=shards, chance=self.chance)
        self.store = FakeStateStore()
        self.claims = FakeObjectStore()
        self.tables = [FakeTable(f"t{n}", self.clock, keys={"pk": "S"}) for n in range(tables)]
        self.ledgers: dict[str, Ledger] = {}
        self.hosts: list[Host] = []
        self.packing = Packing(form, 8, 1024 * 1024 - 4096, "us-east-1")
        self.ring_bytes_max = 1024 * 1024
        self.sure_ms = SURELY_KEPT_MS
        self.kept_ms_max = 0
        self.parked = FakeObjectStore()
        self.quarantine: Quarantine | None = None
        self.admitted: Callable[[], Awaitable[None]] | None = None
        self.guards: dict[str, AttributeGuard] = {}
        self._count = 0

    def with_quarantine(self) -> None:
        """Have refused changes parked by the workers that start from now on."""
        self.quarantine = Quarantine(self.parked, "changes/0123", self.packing.lanes, 3)

    def capture(self) -> Host:
        """Start a host that captures all tables."""
        around = self._around()
        return self._host([capture_of(around, table.stream(), self.packing) for table in self.tables], None, {})

    def worker(self, sinks: Mapping[str, Sink], *, ranges: bool = False, **appetite: float) -> Host:
        """Start a host that delivers to these sinks."""
        around = self._around()
        tables = frozenset(table.name for table in self.tables)
        changes, linger = int(appetite.get("changes", 50)), appetite.get("linger", 0.0)
        wants = Appetite(changes, 1024 * 1024, linger, tables, gaps=True, ranges=ranges)
        runners = {name: _runner(name, sink, replace(wants, topology=name), self) for name, sink in sinks.items()}
        return self._host([], delivery_of(around, runners, self.quarantine, self.admitted), runners)

    def ledger(self, name: str) -> Ledger:
        """Return a destination by name."""
        return self.ledgers.setdefault(name, Ledger())

    def sink(self, name: str, trouble: Callable[[Batch], object] | None = None) -> LedgerSink:
        """Return a sink of a destination."""
        return LedgerSink(self.ledger(name), trouble)

    async def run(self, seconds: float) -> None:
        """Let time pass; a task of a host that died of anything is a failure of the test."""
        for _ in range(round(seconds / PUMP_SECONDS / 2)):
            for host in self.hosts:
                host.pump()
                for error in host.dead_tasks():
                    raise error
            await self.clock.advance(PUMP_SECONDS * 2)

    async def end(self) -> None:
        """Kill every host."""
        for host in list(self.hosts):
            await self.kill(host)

    async def kill(self, host: Host) -> None:
        """End a host as kill -9 does."""
        self.hosts.remove(host)
        await host.kill()

    def expected(self) -> dict[tuple[str, bytes], list[int]]:
        """Return each key's sequences in the order the tables recorded them."""
        out: dict[tuple[str, bytes], list[int]] = {}
        for table in self.tables:
            for epoch in table._streams.values():
                for shard in epoch.values():
                    for change in shard.tape._records:
                        out.setdefault((change.table, change.keys), []).append(change.sequence)
        return {keys: sorted(sequences) for keys, sequences in out.items()}

    def _around(self) -> Surroundings:
        self._count += 1
        return Surroundings(
            f"host-{self._count}",
            self.log,
            self.claims,
            self.store,
            self.clock,
            self.chance,
            LEASE_SECONDS,
            0.3,
            self.ring_bytes_max,
            self.sure_ms,
            self.kept_ms_max,
        )

    def _host(
        self, captures: list[TableCapture], delivery: StreamDelivery | None, runners: Mapping[str, TopologyRunner]
    ) -> Host:
        host = Host(captures, delivery, runners)
        self.hosts.append(host)
        return host


def item(key: int, n: int, size: int = 0) -> dict[str, dict[str, str]]:
    """Return an item of a key with its version number."""
    return {"pk": {"S": f"k{key}"}, "n": {"N": str(n)}, **({"fill": {"S": "x" * size}} if size else {})}
