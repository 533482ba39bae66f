"""Records of the Kinesis stream that are trimmed before a topology has read them: it stops, and says so."""

import asyncio

import pytest

from pipeline.model.errors import Misconfigured
from pipeline.model.gap import LOG_KEPT_MS_MIN, GapCause, GapState
from pipeline.model.state import Flow
from pipeline.telemetry.metrics import PipelineCollector
from tests.system.loss import DAY_SECONDS, Story, tell


async def lag(story: Story, *, kept_ms: int = LOG_KEPT_MS_MIN, idle_seconds: float = 0.0) -> None:
    """Deliver change 1; have change 2 captured, and only change 3 left, when workers come back after a day."""
    story.put(1)
    await story.world.run(5 + idle_seconds)
    await story.down(0)
    story.hosts = [story.world.capture()]
    story.put(2)
    await story.world.run(5)
    await story.down(DAY_SECONDS)
    story.world.log.expire(kept_ms)
    story.start()
    story.put(3)
    await story.world.run(10)


def topologies(story: Story) -> dict[str, Flow]:
    """Return how it goes with each topology on the shards there are."""
    assert story.hosts[1].delivery is not None
    shards = story.hosts[1].delivery.deliveries.values()
    return {name: each.cursor.report.flow for shard in shards for name, each in shard.followers.items()}


@pytest.mark.fault("K7")
def test_a_topology_behind_the_retention_stops_and_says_so() -> None:
    """Each topology that lost a record stands before a gap of its own, which names the place; nothing is passed."""

    async def story(told: Story) -> None:
        await lag(told)
        gaps = await told.gaps.all()
        assert {(gap.cause, gap.state, gap.epoch, gap.topology) for gap in gaps} == {
            (GapCause.TRIMMED, GapState.OPEN, "changes", "audit"),
            (GapCause.TRIMMED, GapState.OPEN, "changes", "ledger"),
        }
        assert all(gap.after for gap in gaps)
        assert topologies(told) == {"audit": Flow.HALTED, "ledger": Flow.HALTED}
        assert told.numbers() == [1]
        assert told.hosts[1].delivery is not None
        await told.world.run(30)
        assert set(told.hosts[1].delivery.gaps.open) == set(gaps)

    tell(story)


def test_one_topology_goes_on_while_another_stands() -> None:
    """An acceptance is of one topology; what it reads on is not taken by one that still stands before its gap."""

    async def story(told: Story) -> None:
        await lag(told)
        (gap,) = [each for each in await told.gaps.all() if each.topology == "audit"]
        await told.gaps.decide(gap.id, GapState.ACCEPTED, "ann")
        for _ in range(3):
            await told.world.run(40)
            assert topologies(told) == {"audit": Flow.FLOWING, "ledger": Flow.HALTED}
            assert told.numbers() == [1]
            await told.down(1)
            told.start()
        report = await told.report()
        assert [each.by for each in report.gaps.values()] == ["ann"]

    tell(story)


def test_a_gap_of_the_stream_is_passed_once_it_is_accepted() -> None:
    """What lies behind follows, also over kills and later writes; the log has a mark between, and stays sound."""

    async def story(told: Story) -> None:
        await lag(told)
        for gap in await told.gaps.all():
            await told.gaps.decide(gap.id, GapState.ACCEPTED, "ann")
        await told.world.run(40)
        assert told.numbers() == [1, 3]
        for seconds in (0.2, 1.3, 5.0):
            await told.down(0.5)
            told.start()
            await told.world.run(seconds)
        told.put(4)
        await told.world.run(10)
        assert told.numbers() == [1, 3, 4]
        report = await told.report()
        assert [(gap.topology, gap.state) for gap in report.gaps.values()] == [("audit", GapState.ACCEPTED)]
        assert len(await told.gaps.all()) == 2

    tell(story)


def test_what_was_written_and_not_settled_before_a_gap_hides_nothing_behind_it() -> None:
    """A batch whose checkpoint was never saved does not take the positions of what comes after the gap."""

    async def story(told: Story) -> None:
        told.put(1)
        await told.world.run(5)
        rows = dict(told.world.store.rows)
        told.put(2)
        await told.world.run(5)
        await told.down(DAY_SECONDS)
        told.world.store.rows.update({key: row for key, row in rows.items() if "@audit" in key or "@ledger" in key})
        told.world.log.expire(LOG_KEPT_MS_MIN)
        told.start()
        told.put(3)
        await told.world.run(10)
        for gap in await told.gaps.all():
            await told.gaps.decide(gap.id, GapState.ACCEPTED, "ann")
        await told.world.run(40)
        assert told.numbers() == [1, 2, 3]
        assert (await told.report()).sound

    tell(story)


def test_a_stream_that_keeps_longer_loses_nothing() -> None:
    """After a day down, with all records still there, everything follows and no gap is seen."""

    async def story(told: Story) -> None:
        await lag(told, kept_ms=7 * LOG_KEPT_MS_MIN)
        assert told.numbers() == [1, 2, 3]
        assert await told.gaps.all() == ()

    tell(story)


def test_an_idle_shard_is_no_gap() -> None:
    """A shard that was idle for longer than the retention, and read all the time, is gone on with after a restart."""

    async def story(told: Story) -> None:
        told.world.sure_ms = 60_000
        await told.down(0)
        told.start()
        told.put(1)
        await told.world.run(100)
        await told.down(20)
        told.world.log.expire(60_000)
        told.start()
        told.put(2)
        await told.world.run(10)
        assert told.numbers() == [1, 2]
        assert await told.gaps.all() == ()
        await told.down(100)
        told.world.log.expire(60_000)
        told.start()
        told.put(3)
        await told.world.run(10)
        assert told.numbers() == [1, 2], "nobody knows whether something came meanwhile"
        assert {each.topology for each in await told.gaps.all()} == {"audit", "ledger"}

    tell(story)


@pytest.mark.parametrize("splits", [1, 2])
def test_parents_that_are_gone_unread_are_a_gap(splits: int) -> None:
    """Neither a parent read in part, nor one never begun, is passed over; accepted, the children follow."""

    async def story(told: Story) -> None:
        told.put(1)
        await told.world.run(5)
        await told.down(0)
        told.hosts = [told.world.capture()]
        shard = "shardId-000000000000"
        for number in range(splits):
            told.put(10 + number)
            await told.world.run(5)
            shard = told.world.log.split(shard)[0]
        await told.down(DAY_SECONDS)
        told.world.log.expire(LOG_KEPT_MS_MIN)
        told.start()
        told.put(*range(20, 40))
        await told.world.run(10)
        gaps = await told.gaps.all()
        assert {gap.cause for gap in gaps} == {GapCause.SHARD_GONE}
        assert {gap.topology for gap in gaps} == {"audit", "ledger"}
        assert told.numbers() == [1]
        for _ in range(splits):
            for gap in await told.gaps.all():
                await told.gaps.decide(gap.id, GapState.ACCEPTED, "ann")
            await told.world.run(50)
        assert told.numbers() == [1, *range(20, 40)]
        assert (await told.report()).sound

    tell(story)


def test_a_topology_that_begins_late_misses_nothing_of_its_own() -> None:
    """What was gone before a topology's first start is no gap for it."""

    async def story(told: Story) -> None:
        await told.down(0)
        told.hosts = [told.world.capture()]
        told.put(1)
        await told.world.run(5)
        told.world.log.split("shardId-000000000000")
        await told.down(2 * DAY_SECONDS)
        told.world.log.expire(LOG_KEPT_MS_MIN)
        fresh = told.world.worker({"late": told.world.sink("ledger")})
        told.hosts = [told.world.capture(), fresh]
        told.put(2)
        await told.world.run(10)
        assert told.numbers() == [2]
        assert await told.gaps.all() == ()

    tell(story)


def test_a_worker_that_was_overtaken_takes_nothing_for_a_gap() -> None:
    """What another has read on from is no loss, though the one that stood still cannot prove it."""

    async def story(told: Story) -> None:
        told.put(1)
        await told.world.run(5)
        delivery = told.hosts[1].only
        follower = delivery.followers["ledger"]
        await told.world.kill(told.hosts[1])
        sinks = {"audit": told.world.sink("other"), "ledger": told.world.sink("ledger")}
        told.hosts[1] = told.world.worker(sinks)
        await told.world.run(15)
        found = delivery._passage.behind(follower.cursor, "ledger")
        task = asyncio.ensure_future(delivery._stand("ledger", follower, found))
        await told.world.run(1)
        assert type(task.exception()).__name__ == "LeaseLost"
        assert await told.gaps.all() == ()

    tell(story)


@pytest.mark.fault("K7")
def test_time_to_loss_is_told_before_anything_is_lost() -> None:
    """While a sink hangs its topology's time runs out and says so; the other's, and the capture's, does not."""

    async def story(told: Story) -> None:
        told.world.log.retention_ms = 60_000
        await told.down(0)

        async def hang(_: object) -> None:
            await told.world.clock.sleep(1e9)

        slow = told.world.worker({"slow": told.world.sink("slow", hang), "quick": told.world.sink("quick")})
        told.hosts = [told.world.capture(), slow]
        told.put(1)
        found = []
        for seconds in (25, 15, 15, 20):
            await told.world.run(seconds)
            assert slow.delivery is not None
            delivery = slow.only
            found.append([delivery.retention(name, slow.delivery.kept_ms).state for name in ("slow", "quick")])
        assert [quick for _, quick in found] == ["ample"] * 4
        assert [slow for slow, _ in found] == ["ample", "half used", "nearly used", "passed"]
        assert (told.capture().retention.time_to_loss_seconds or 0) > DAY_SECONDS - 10
        names = {metric.name for metric in PipelineCollector(slow.captures, slow.delivery, {}).collect()}
        assert "fanout_topology_time_to_loss_seconds" in names

    tell(story)


@pytest.mark.fault("K7")
@pytest.mark.parametrize("denied", [False, True])
def test_near_a_loss_the_stream_is_told_to_keep_longer(denied: bool, caplog: pytest.LogCaptureFixture) -> None:
    """At four fifths the retention is doubled, as far as it may; where that is refused it is told, and all goes on."""

    async def story(told: Story) -> None:
        world = told.world
        world.log.retention_ms, world.kept_ms_max = 60_000, 100_000
        if denied:
            world.log.faults.before("keep", Misconfigured("not allowed"), times=100)
        await told.down(0)

        async def hang(_: object) -> None:
            await world.clock.sleep(1e9)

        host = world.worker({"slow": world.sink("slow", hang), "quick": world.sink("quick")})
        told.hosts = [told.world.capture(), host]
        told.put(1)
        await world.run(40)
        assert world.log.retention_ms == 60_000
        await world.run(15)
        assert world.log.retention_ms == (60_000 if denied else 100_000)
        assert ("does not: not allowed" in caplog.text) is denied
        told.put(2)
        await world.run(5)
        assert world.ledger("quick").by_key == world.expected()

    tell(story)
