"""The state table and the listings fail: work stops before it is unsafe, and goes on by itself."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from pipeline.model.errors import Misconfigured, PipelineError, RetryLater
from pipeline.model.progress import Checkpoint
from pipeline.model.state import Flow
from pipeline.ports import StateRow
from pipeline.testing.faults import When
from pipeline.wire.checkpoint import from_fields, to_fields
from pipeline.wiring.core import checkpoint_key
from pipeline.wiring.resources import must_still_be, pipeline_key
from tests.system.world import LEASE_SECONDS, Host, World, item

Refusal = Callable[[str, When], PipelineError | None]
DENIED = Misconfigured("dynamodb:PutItem on table state: AccessDeniedException")
THROTTLED = RetryLater("dynamodb:PutItem on table state: ThrottlingException")
KMS = Misconfigured("kinesis:PutRecords on stream changes: KMSDisabledException", hint="check the encryption key")


def told(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    """Run a story in a world of its own, and end its hosts."""

    async def run() -> None:
        there = World()
        try:
            await story(there)
        finally:
            await there.end()

    asyncio.run(run())


def before(calls: str, error: PipelineError) -> Refusal:
    """Return a decision that refuses these calls."""
    return lambda call, when: error if call in calls.split() and when == "before" else None


def write(world: World, n: int) -> None:
    """Change ten items."""
    for key in range(10):
        world.tables[0].put(item(key, n))


def held(host: Host) -> int:
    """Return how many shards a worker works on."""
    assert host.delivery is not None
    return len(host.delivery.deliveries)


@pytest.mark.fault("E4", "G1", "G2")
@pytest.mark.parametrize("error", [THROTTLED, DENIED], ids=["throttled", "denied"])
def test_without_the_state_table_work_stops_when_the_lease_does(error: PipelineError) -> None:
    """A minute without leases: no shard is worked on once its lease time is over, and then all goes on by itself."""

    async def story(world: World) -> None:
        capture, worker = world.capture(), world.worker({"a": world.sink("a")})
        write(world, 0)
        await world.run(10)
        assert held(worker) == 1
        world.store.faults.decide = before("read write", error)
        await world.run(LEASE_SECONDS + 3)
        assert held(worker) == 0
        assert [len(each.captures) for each in capture.captures] == [0]
        stored = dict(world.store.rows)
        write(world, 1)
        await world.run(60)
        assert world.store.rows == stored
        world.store.faults.decide = None
        await world.run(120)
        assert world.ledger("a").by_key == world.expected()

    told(story)


@pytest.mark.fault("K6", "D5")
@pytest.mark.parametrize("which", ["stream", "table"])
def test_without_a_listing_what_is_held_is_read_on(which: str) -> None:
    """A listing that is refused for minutes costs no lease: changes go on arriving, and new shards are found later."""

    async def story(world: World) -> None:
        capture, worker = world.capture(), world.worker({"a": world.sink("a")})
        write(world, 0)
        await world.run(10)
        source = capture.captures[0]._stream
        faults = world.log.faults if which == "stream" else source.faults  # type: ignore[attr-defined]  # it is a fake
        faults.decide = before("shards", RetryLater("kinesis:ListShards on stream changes: LimitExceededException"))
        for n in range(1, 6):
            write(world, n)
            await world.run(20)
            assert (held(worker), len(capture.captures[0].captures)) == (1, 1)
        assert world.ledger("a").by_key == world.expected()
        world.log.split("shardId-000000000000")
        world.tables[0].roll()
        faults.decide = None
        write(world, 6)
        await world.run(60)
        assert world.ledger("a").by_key == world.expected()

    told(story)


@pytest.mark.fault("K9")
@pytest.mark.parametrize("call", ["put", "read"])
def test_an_encryption_key_that_is_denied_halts_before_the_checkpoint(call: str) -> None:
    """While the stream's key is disabled nothing moves and the reason is shown; afterwards everything arrives."""

    async def story(world: World) -> None:
        world.log.faults.decide = before(call, KMS)
        write(world, 0)
        capture, worker = world.capture(), world.worker({"a": world.sink("a")})
        await world.run(60)
        delivery = worker.only
        (shard,) = capture.captures[0].captures.values()
        halted = shard.report if call == "put" else delivery.report
        assert (halted.flow, halted.hint) == (Flow.HALTED, KMS.hint)
        assert (shard._slot.saved.position, delivery.followers["a"].slot.saved.position) == (
            (0, 0) if call == "put" else (10, 0)
        )
        world.log.faults.decide = None
        await world.run(60)
        assert world.ledger("a").by_key == world.expected()

    told(story)


@pytest.mark.fault("D8")
def test_long_quiet_and_empty_pages_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an hour without a change, longer than iterators live: the next change arrives, then the end of the shard."""

    async def story(world: World) -> None:
        monkeypatch.setattr("pipeline.capture.shard.IDLE_SECONDS_MAX", 60.0)
        monkeypatch.setattr("pipeline.delivery.shard.IDLE_SECONDS_MAX", 60.0)
        monkeypatch.setattr("pipeline.coordination.rounds.POLL_SECONDS", 10.0)
        monkeypatch.setattr("tests.system.world.PUMP_SECONDS", 5.0)
        monkeypatch.setattr("tests.system.world.STEP_SECONDS", 10.0)
        monkeypatch.setattr("tests.system.world.LEASE_SECONDS", 60.0)
        monkeypatch.setattr("pipeline.delivery.shard.ROOM_SECONDS", 5.0)
        world.capture()
        world.worker({"a": world.sink("a")})
        await world.run(1000)
        write(world, 0)
        await world.run(130)
        assert world.ledger("a").by_key == world.expected()
        (child,) = world.tables[0].roll()
        write(world, 1)
        await world.run(200)
        assert world.ledger("a").by_key == world.expected()
        assert {change.shard for change in world.ledger("a").by_place.values()} >= {child}

    told(story)


@pytest.mark.fault("E5")
@pytest.mark.parametrize("move", [-20, 20], ids=["back", "forward"])
def test_an_edited_checkpoint_repeats_or_leaves_a_hole(move: int) -> None:
    """Moved back, it costs repeats with the same positions; moved forward, a sink that counts finds the hole."""

    async def story(world: World) -> None:
        world.capture()
        worker = world.worker({"a": world.sink("a")})
        for n in range(4):
            write(world, n)
            await world.run(5)
        await world.kill(worker)
        key = checkpoint_key("changes", "shardId-000000000000", "a")
        places = [record.sequence for record in world.log._shards["shardId-000000000000"].tape._records]
        saved = from_fields(world.store.rows[key].fields, key)
        assert saved.position == 40
        position = saved.position + move
        edited = Checkpoint(places[0] if move < 0 else saved.sequence, position, position, {})
        fields = {**world.store.rows[key].fields, **to_fields(edited)}
        world.store.rows[key] = StateRow(key, world.store.rows[key].version + 1, fields)
        firsts: list[int] = []
        world.worker({"a": world.sink("a", lambda batch: firsts.append(batch.first))})
        write(world, 4)
        await world.run(30)
        assert firsts[0] == position + 1

    told(story)


@pytest.mark.fault("E5")
def test_an_emptied_state_table_stops_the_workers_until_they_are_restarted() -> None:
    """Who runs under the name that is lost stores nothing in the new table, says so, and holds no lease."""

    async def story(world: World) -> None:
        key, name = pipeline_key("changes"), "changes/first"
        world.store.rows[key] = StateRow(key, 0, {"pipeline": "first"})
        world.admitted = partial(must_still_be, world.store, "changes", name)
        world.capture()
        worker = world.worker({"a": world.sink("a")})
        write(world, 0)
        await world.run(5)
        assert world.ledger("a").by_key == world.expected()
        before = world.expected()
        world.store.rows.clear()
        await world.run(3 * LEASE_SECONDS)
        write(world, 1)
        await world.run(3 * LEASE_SECONDS)
        assert worker.delivery is not None
        assert not worker.delivery.deliveries
        assert name in worker.delivery.problem
        assert "restart" in worker.delivery.problem
        assert world.ledger("a").by_key == before
        assert not [row for row in world.store.rows if row.endswith("@a")]
        world.store.rows[key] = StateRow(key, 0, {"pipeline": "second"})
        await world.run(3 * LEASE_SECONDS)
        assert not worker.delivery.deliveries, "another name is not ours either"

    told(story)
