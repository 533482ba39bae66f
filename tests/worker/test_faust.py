"""Faust's three ways to lose data, and its shutdown without end: none is left open. Real Faust, fake AWS, real time."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import faust
import pytest
from faust.transport.consumer import Consumer as StockConsumer
from faust.types import TP

from pipeline.aws.clock import SystemClock
from pipeline.capture.packing import Packing, WireForm
from pipeline.delivery.appetite import Appetite
from pipeline.delivery.topology import TopologyRunner
from pipeline.plugin import Batch
from pipeline.telemetry.metrics import PipelineCollector
from pipeline.testing.fakes import FakeLog, FakeStateStore, FakeTable, SeededChance
from pipeline.wire.checkpoint import from_fields
from pipeline.wiring.core import Surroundings, capture_of, checkpoint_key, delivery_of
from pipeline.worker.app import FanoutApp, Work, create_app
from pipeline.worker.consumer import Consumer

SHARD = "shardId-000000000000"
DRAIN_SECONDS = 0.5

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


class Scripted:
    """A sink that keeps positions, and does what a script says before it does."""

    def __init__(self, script: Callable[[Batch], Awaitable[None]]) -> None:
        self.written: list[int] = []
        self._script = script

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, batch: Batch) -> None:
        """Follow the script, then keep the positions."""
        await self._script(batch)
        self.written += batch.positions

    async def close(self) -> None:
        """Do nothing."""


class Stage:
    """One worker process of Faust over fakes."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.log = FakeLog("changes", self.clock)
        self.store = FakeStateStore()
        self.table = FakeTable("orders", self.clock)

    def around(self, owner: str) -> Surroundings:
        """Return the surroundings of one worker."""
        return Surroundings(owner, self.log, None, self.store, self.clock, SeededChance(1), 1.0, 0.05, 1 << 20)

    async def capture(self, count: int) -> None:
        """Put `count` changes into the stream."""
        for n in range(count):
            self.table.put({"pk": {"S": f"k{n}"}, "n": {"N": str(n)}})
        packing = Packing(WireForm.OPEN, 1, 100_000, "us-east-1")
        capture = capture_of(self.around("capture"), self.table.stream(), packing)
        run = asyncio.ensure_future(capture.run(0.2))
        while sum(s.tape.end for s in self.log._shards.values()) < count:
            await asyncio.sleep(0.02)
        await capture.drain()
        run.cancel()

    def app(self, sinks: dict[str, Scripted], runner: type[TopologyRunner] = TopologyRunner) -> FanoutApp:
        """Return the Faust app of a worker with these sinks, one change a batch."""
        appetite = Appetite(1, 1 << 20, 0.0, frozenset({"orders"}))
        chance = SeededChance(2)
        runners = {name: runner(name, partial(sinks.__getitem__, name), appetite, self.clock, chance) for name in sinks}
        delivery = delivery_of(self.around("worker"), runners)
        metrics = PipelineCollector([], delivery, runners)
        work = Work("changes", [], delivery, runners, 0.2, 0.05, DRAIN_SECONDS, "127.0.0.1", 0, dict, dict, metrics)
        return create_app(work)

    def checkpoint(self, topology: str) -> int:
        """Return the position stored for a topology."""
        row = self.store.rows.get(checkpoint_key("changes", SHARD, topology))
        return from_fields(row.fields, "here").position if row else 0


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for a condition."""
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to pass in time")


def play(story: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a story in a loop of its own."""
    asyncio.run(_play(story))


async def _play(story: Callable[[Stage], Awaitable[None]]) -> None:
    await story(Stage())


async def nothing(_: Batch) -> None:
    """Do nothing."""


def test_batches_go_through_faust_in_order_and_are_checkpointed() -> None:
    """Two topologies get every change in order through their agents; both checkpoints reach the end."""

    async def story(stage: Stage) -> None:
        await stage.capture(12)
        sinks = {"a": Scripted(nothing), "b": Scripted(nothing)}
        app = stage.app(sinks)
        await app.start()
        await until(lambda: stage.checkpoint("a") == stage.checkpoint("b") == 12)
        assert sinks["a"].written == sinks["b"].written == list(range(1, 13))
        await app.stop()

    play(story)


@pytest.mark.fault("X1")
def test_a_failing_write_is_never_acknowledged() -> None:
    """Loss 1, the agent raises: Faust would acknowledge the failed event; here it is offered until it is written."""

    async def story(stage: Stage) -> None:
        await stage.capture(4)
        failures = [2]

        async def script(batch: Batch) -> None:
            if batch.first == 3 and failures[0]:
                failures[0] -= 1
                raise faust.exceptions.FaustError("no")

        sink = Scripted(script)
        app = stage.app({"a": sink})
        app.work.topologies["a"]._clock = Hasty()
        await app.start()
        await until(lambda: stage.checkpoint("a") == 4)
        assert sink.written == [1, 2, 3, 4]
        assert failures == [0]
        await app.stop()

    play(story)


class Hasty(SystemClock):
    """A clock that goes a hundred times as fast."""

    def monotonic(self) -> float:
        """Return fast seconds."""
        return super().monotonic() * 100

    async def sleep(self, seconds: float) -> None:
        """Wait fast seconds."""
        await super().sleep(seconds / 100)


def test_the_commit_never_passes_an_unacknowledged_head() -> None:
    """Loss 2, off by one: Faust's own rule commits past one unacknowledged message at the head; ours does not."""

    async def story(stage: Stage) -> None:
        app = stage.app({"a": Scripted(nothing)})
        consumer = app.consumer
        tp = TP("changes@a", 0)
        consumer._committed_offset[tp] = 100

        def acknowledge(*offsets: int) -> None:
            consumer._acked[tp] = list(offsets)
            consumer._acked_index[tp] = set(offsets)

        acknowledge(102, 103, 104)
        assert Consumer._new_offset(consumer, tp) is None
        assert consumer._acked_index[tp] == {102, 103, 104}, "remembered until the head is acknowledged"
        consumer._acked_index[tp].add(101)
        assert Consumer._new_offset(consumer, tp) == 104
        consumer._committed_offset[tp] = 100
        acknowledge(101, 102, 103)
        stock: Any = StockConsumer._new_offset
        assert stock(consumer, tp) == 104, "the pinned Faust still has the rule this replaces"

    play(story)


@pytest.mark.fault("P2")
def test_a_cancelled_write_is_not_checkpointed_and_the_drain_ends() -> None:
    """Loss 3, SIGTERM during a write: it is not acknowledged, and the drain waits no longer than told."""

    async def story(stage: Stage) -> None:
        await stage.capture(4)
        reached = asyncio.Event()

        async def script(batch: Batch) -> None:
            if batch.first == 3:
                reached.set()
                await asyncio.sleep(3600)

        sink = Scripted(script)
        app = stage.app({"a": sink, "b": Scripted(nothing)})
        await app.start()
        await asyncio.wait_for(reached.wait(), 10)
        await until(lambda: stage.checkpoint("a") == 2 and stage.checkpoint("b") == 4)
        began = stage.clock.monotonic()
        await app.stop()
        assert stage.clock.monotonic() - began < DRAIN_SECONDS + 3
        assert sink.written == [1, 2]
        assert stage.checkpoint("a") == 2

        again = Scripted(nothing)
        app = stage.app({"a": again})
        await app.start()
        await until(lambda: stage.checkpoint("a") == 4)
        assert again.written == [3, 4]
        await app.stop()

    play(story)


class Broken(TopologyRunner):
    """A runner with a defect of its own: it raises instead of delivering position 3."""

    async def deliver(self, batch: Batch, follower: Any) -> None:
        """Raise at position 3."""
        if batch.first == 3:
            raise KeyError("a defect of ours")
        await super().deliver(batch, follower)


def test_a_defect_in_the_worker_stops_it_before_the_checkpoint() -> None:
    """A crash while a batch is in progress: the app crashes, and the checkpoint stays before that batch."""

    async def story(stage: Stage) -> None:
        await stage.capture(4)
        sink = Scripted(nothing)
        app = stage.app({"a": sink}, Broken)
        await app.start()
        await until(lambda: app.crashed)
        await app.stop()
        assert stage.checkpoint("a") == 2
        assert sink.written == [1, 2]

    play(story)


@pytest.mark.fault("X2")
def test_a_hung_topology_does_not_hold_up_another_in_faust() -> None:
    """While one agent's write hangs, the other topology's checkpoint goes to the end."""

    async def story(stage: Stage) -> None:
        await stage.capture(10)
        free = asyncio.Event()

        async def script(_: Batch) -> None:
            await free.wait()

        hung = Scripted(script)
        app = stage.app({"hung": hung, "good": Scripted(nothing)})
        await app.start()
        await until(lambda: stage.checkpoint("good") == 10)
        assert stage.checkpoint("hung") == 0
        free.set()
        await until(lambda: stage.checkpoint("hung") == 10)
        assert hung.written == list(range(1, 11))
        await app.stop()

    play(story)


def test_the_pinned_faust_has_every_private_name_we_use() -> None:
    """A new version that renames one of them fails here, not in production."""
    assert faust.__version__ == "0.15.3"
    for name in ("_drain_messages", "_new_offset", "_commit", "_set_active_tps"):
        assert callable(getattr(StockConsumer, name)), name

    async def story(stage: Stage) -> None:
        app = stage.app({"a": Scripted(nothing)})
        for name in ("_acked", "_acked_index", "_gap", "_read_offset", "_committed_offset"):
            assert hasattr(app.consumer, name), name
        assert hasattr(app, "_assignment")
        assert hasattr(app.topics, "_tp_index")

    play(story)
