"""Topologies on one read: a slow, hung or broken one holds up nobody, and catches up by itself."""

import asyncio
import random
from collections.abc import Callable

import pytest

from pipeline.capture.packing import WireForm
from pipeline.model.errors import Corrupt, Misconfigured, PipelineError, RetryLater
from pipeline.model.state import Flow
from pipeline.plugin import Batch
from pipeline.ports import OutRecord
from tests.system.world import World, item


def reads_of(world: World) -> int:
    """Return how often the stream was read."""
    return world.log.faults.calls.get("read", 0)


async def fill(world: World, rounds: int, size: int = 0) -> None:
    """Write changes of a few keys, a round at a time, and let each round flow."""
    for n in range(rounds):
        for key in range(20):
            world.tables[0].put(item(key, n, size))
        await world.run(0.5)


@pytest.mark.fault("D5")
def test_three_topologies_read_no_more_than_one() -> None:
    """One read of a shard serves all topologies that keep up."""

    async def reads(names: str) -> int:
        world = World()
        world.capture()
        world.worker({name: world.sink(name) for name in names})
        await fill(world, 10)
        await world.run(5)
        for name in names:
            assert world.ledger(name).by_key == world.expected()
        await world.end()
        return reads_of(world)

    assert asyncio.run(reads("abc")) == asyncio.run(reads("a"))


def test_a_batch_that_waits_for_the_breaker_says_so() -> None:
    """While the breaker is open, a shard whose batch was not tried yet is no shard that works: it tells the reason."""

    async def story() -> None:
        world = World(shards=2)
        away, tried = {"is": True}, set[str]()

        def refuse(batch: Batch) -> None:
            tried.add(batch.shard)
            if away["is"]:
                raise RetryLater("the destination is away")

        world.capture()
        worker = world.worker({"a": world.sink("a", refuse)})
        assert worker.delivery is not None
        await world.run(3)
        world.tables[0].put(item(0, 0))
        await world.run(60)
        (first,) = tried
        for key in range(1, 20):
            world.tables[0].put(item(key, 0))
        await world.run(3)
        reports = {shard: each.followers["a"].cursor.report for shard, each in worker.delivery.deliveries.items()}
        other = next(report for shard, report in reports.items() if shard != first)
        assert (tried, other.flow) == ({first}, Flow.RETRYING)
        assert other.reason.startswith("waits while the breaker is ")
        assert other.reason.endswith("the destination is away")
        away["is"] = False
        await world.run(60)
        assert other.flow is Flow.FLOWING
        assert world.ledger("a").by_key == world.expected()
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("X2")
def test_a_hung_topology_holds_up_nobody_and_catches_up() -> None:
    """While one write hangs for 60 s the other topology goes on; then the hung one rejoins and misses nothing."""

    async def story() -> None:
        world = World()
        hung = {"left": 1}

        async def hang(_: Batch) -> None:
            if hung["left"]:
                hung["left"] = 0
                await world.clock.sleep(60)

        world.capture()
        worker = world.worker({"good": world.sink("good"), "hung": world.sink("hung", hang)})
        await fill(world, 20, size=10_000)
        await world.run(20)
        assert world.ledger("good").by_key == world.expected()
        assert world.ledger("hung").by_key == {}
        await world.run(40)
        assert world.ledger("hung").by_key == world.expected()
        delivery = worker.only
        await world.run(2)
        saved = {name: follower.slot.saved.position for name, follower in delivery.followers.items()}
        assert saved == {"good": 400, "hung": 400}
        before = reads_of(world)
        await fill(world, 4)
        await world.run(4)
        catching_up = delivery.followers["hung"].cursor.index
        assert catching_up == delivery.followers["good"].cursor.index, "both follow the ring again"
        assert reads_of(world) - before <= 8 / 0.2 + 1
        assert world.ledger("hung").by_key == world.expected()
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("X1")
@pytest.mark.parametrize(
    "error",
    [
        lambda: RetryLater("slow"),
        lambda: Corrupt("bad"),
        lambda: ValueError("a defect"),
        lambda: SystemExit(3),
        asyncio.CancelledError,
    ],
)
def test_whatever_a_topology_raises_is_offered_again(error: Callable[[], BaseException]) -> None:
    """A write that raised is repeated with the same batch until it returns; nothing of it is checkpointed before."""

    async def story() -> None:
        world = World()
        left = [3]
        offered: list[tuple[int, int]] = []

        def trouble(batch: Batch) -> None:
            offered.append((batch.first, batch.last))
            if left[0]:
                left[0] -= 1
                raise error()

        await fill(world, 2)
        world.capture()
        worker = world.worker({"a": world.sink("a", trouble), "b": world.sink("b")})
        await world.run(10)
        delivery = worker.only
        if left[0]:
            assert delivery.followers["a"].slot.saved.position == 0
            assert delivery.followers["b"].slot.saved.position == 40
        await world.run(120)
        assert len(set(offered[:4])) == 1, "the same batch each time"
        for name in "ab":
            assert world.ledger(name).by_key == world.expected()
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("X1")
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (RetryLater, {"reason": "later", "after_seconds": "soon"}),
        (RetryLater, {"reason": None}),
        (Misconfigured, {"reason": None, "hint": 5}),
    ],
)
def test_an_error_of_wrong_fields_halts_its_topology_alone(
    kind: Callable[..., PipelineError], fields: dict[str, object]
) -> None:
    """A topology whose errors have fields of wrong types is named and halts; the process and the others go on."""

    async def story() -> None:
        world = World()

        def trouble(_: Batch) -> None:
            raise kind(**fields)

        await fill(world, 2)
        world.capture()
        worker = world.worker({"a": world.sink("a", trouble), "b": world.sink("b")})
        await world.run(20)
        delivery = worker.only
        report = delivery.followers["a"].cursor.report
        assert report.flow == "halted"
        assert f"it raised {kind.__name__}: " in report.reason
        assert "a defect of topology a" in report.hint
        assert world.ledger("b").by_key == world.expected()
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("K11")
@pytest.mark.parametrize("form", list(WireForm))
def test_a_change_too_large_for_a_record_is_claimed(form: WireForm) -> None:
    """A change that no record can hold lies in the claim bucket, and every topology gets it whole."""

    async def story() -> None:
        world = World(form=form)
        world.packing = world.packing.__class__(form, 8, 2_000, "us-east-1")
        noise = random.Random(1).randbytes(9_000).hex()
        world.tables[0].put({"pk": {"S": "big"}, "text": {"S": noise}})
        world.tables[0].put(item(1, 1))
        world.capture()
        world.worker({"a": world.sink("a")})
        await world.run(10)
        assert world.claims.objects
        changes = {change.keys: change for change in world.ledger("a").by_place.values()}
        assert changes[b'{"pk":{"S":"big"}}'].after == next(iter(world.tables[0].items.values()))
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("K10")
def test_a_record_of_another_hand_stops_the_shard_and_nothing_is_skipped() -> None:
    """What cannot be decoded halts the reading before it; what came before it was delivered, what follows waits."""

    async def story() -> None:
        world = World()
        await fill(world, 1)
        world.capture()
        worker = world.worker({"a": world.sink("a")})
        await world.run(8)
        await world.log.put([OutRecord(b"not ours", "somebody", 0)])
        await fill(world, 2)
        await world.run(20)
        assert len(world.ledger("a").by_place) == 20
        delivery = worker.only
        assert delivery.report.flow == "halted"
        assert "not written by fanout" in delivery.report.reason
        assert delivery.followers["a"].slot.saved.position == 20
        await world.end()

    asyncio.run(story())


def test_a_topology_added_later_gets_everything_still_kept() -> None:
    """A new topology starts at the oldest record, on ended shards too, while the others go on."""

    async def story() -> None:
        world = World(shards=2)
        await fill(world, 3)
        world.capture()
        first = world.worker({"a": world.sink("a")})
        await world.run(8)
        world.log.split("shardId-000000000000")
        await fill(world, 2)
        await world.run(8)
        await world.kill(first)
        world.worker({"a": world.sink("a"), "late": world.sink("late")})
        await fill(world, 1)
        await world.run(15)
        for name in ("a", "late"):
            assert world.ledger(name).by_key == world.expected()
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("P2")
def test_a_drained_worker_hands_over_at_once() -> None:
    """After a drain the next worker reads within a step, not after a lease time."""

    async def story() -> None:
        world = World()
        world.capture()
        old, new = world.worker({"a": world.sink("a")}), world.worker({"a": world.sink("a")})
        await fill(world, 2)
        await world.run(5)
        owner = old if old.delivery and old.delivery.deliveries else new
        world.hosts.remove(owner)
        await owner.drain()
        await world.run(1.5)
        other = new if owner is old else old
        assert other.delivery is not None
        assert other.delivery.deliveries
        await world.end()

    asyncio.run(story())
