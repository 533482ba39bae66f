"""Streams, tables and shards that are not what was captured last: what follows waits for a decision."""

import asyncio
from collections.abc import Sequence

import orjson
import pytest

from pipeline.model.change import ChangeKind
from pipeline.model.gap import GapCause, GapState
from pipeline.ports import OutRecord
from pipeline.testing.fakes import FakeLog, ManualClock
from tests.system.loss import Story, tell
from tests.system.world import item


class Standstill(FakeLog):
    """A stream before whose puts a capture stands still; what it was about to put is kept."""

    def __init__(self, log: FakeLog, clock: ManualClock) -> None:
        super().__init__(log.name, clock)
        self.puts: list[Sequence[OutRecord]] = []

    async def put(self, records: Sequence[OutRecord]) -> tuple[str | None, ...]:
        """Never return."""
        self.puts.append(records)
        await asyncio.Event().wait()
        return ()


@pytest.mark.fault("D6")
def test_a_new_stream_waits_for_a_decision() -> None:
    """A table whose stream was switched off and on: nothing of the new stream is taken until its gap is accepted."""

    async def story(told: Story) -> None:
        told.put(1)
        await told.world.run(5)
        await told.down(60)
        told.table.disable_stream()
        told.put(2)
        told.table.enable_stream()
        told.put(3)
        told.start()
        await told.world.run(10)
        gap = await told.the_gap()
        assert (gap.cause, gap.after, gap.epoch) == (GapCause.NEW_STREAM, *sorted(told.table._streams))
        assert gap.id in told.hosts[0].captures[0].problem
        assert told.numbers() == [1]
        await told.gaps.decide(gap.id, GapState.ACCEPTED, "ann")
        await told.world.run(10)
        assert told.hosts[0].captures[0].problem == ""
        assert told.numbers() == [1, 3]
        assert [each.by for each in (await told.report()).gaps.values()] == ["ann"]

    tell(story)


@pytest.mark.fault("D7")
def test_a_new_table_is_not_taken_for_the_old_one() -> None:
    """A table deleted and made anew is a gap of its own cause, and its emptiness removes nothing anywhere."""

    async def story(told: Story) -> None:
        told.put(1)
        await told.world.run(5)
        await told.down(60)
        told.table.disable_stream()
        told.table.items.clear()
        told.table.id = "table-2"
        told.table.enable_stream()
        told.start()
        await told.world.run(10)
        gap = await told.the_gap()
        assert (gap.cause, gap.state) == (GapCause.NEW_TABLE, GapState.OPEN)
        await told.gaps.decide(gap.id, GapState.ACCEPTED, "ann")
        await told.world.run(10)
        assert {each.kind for each in told.kept()} == {ChangeKind.INSERT, ChangeKind.GAP}

    tell(story)


@pytest.mark.fault("D6", "D7")
@pytest.mark.parametrize(("made_anew", "cause"), [(False, GapCause.NEW_STREAM), (True, GapCause.NEW_TABLE)])
def test_a_running_capture_meets_the_gap_of_a_new_stream(made_anew: bool, cause: GapCause) -> None:
    """The gap of a new stream, or table, is met by a running capture; once it is accepted, so is what follows."""

    async def story(told: Story) -> None:
        told.put(1)
        await told.world.run(5)
        told.table.disable_stream()
        await told.world.run(10)
        assert await told.gaps.all() == ()
        told.put(2)
        told.table.id = "table-2" if made_anew else told.table.id
        told.table.enable_stream()
        told.put(3)
        await told.world.run(10)
        gap = await told.the_gap()
        assert (gap.cause, gap.after, gap.epoch) == (cause, *sorted(told.table._streams))
        assert gap.id in told.hosts[0].captures[0].problem
        assert list((await told.report()).gaps) == [gap.id]
        assert told.numbers() == [1]
        await told.gaps.decide(gap.id, GapState.ACCEPTED, "ann")
        await told.world.run(10)
        assert told.hosts[0].captures[0].problem == ""
        told.put(4)
        await told.world.run(5)
        assert told.numbers() == [1, 3, 4]

    tell(story)


@pytest.mark.fault("D6")
def test_a_running_capture_leaves_a_stream_that_is_gone() -> None:
    """A stream that vanished with all it had is left for the one the table has now, at a gap of its own."""

    async def story(told: Story) -> None:
        told.put(1)
        await told.world.run(5)
        before = told.table.epoch
        told.table.disable_stream()
        told.table.enable_stream()
        told.table.forget_stream(before)
        told.put(2)
        await told.world.run(60)
        for gap in await told.gaps.all():
            await told.gaps.decide(gap.id, GapState.ACCEPTED, "ann")
        assert GapCause.NEW_STREAM in {gap.cause for gap in await told.gaps.all()}
        await told.world.run(60)
        assert told.hosts[0].captures[0].problem == ""
        assert told.numbers() == [1, 2]

    tell(story)


def test_the_old_stream_is_left_when_the_new_one_is_taken_up() -> None:
    """A process that still reads the earlier stream leaves it when another was let go on with the new one."""

    async def story(told: Story) -> None:
        told.put(1)
        await told.world.run(5)
        told.table.disable_stream()
        told.table.enable_stream()
        told.put(2)
        other = told.world.capture()
        await told.world.run(5)
        await told.gaps.decide((await told.the_gap()).id, GapState.ACCEPTED, "ann")
        await told.world.run(10)
        assert told.numbers() == [1, 2]
        await told.world.kill(other)
        told.put(3)
        await told.world.run(10)
        assert told.hosts[0].captures[0].problem == ""
        assert told.numbers() == [1, 2, 3]

    tell(story)


@pytest.mark.fault("D2")
def test_a_shard_that_vanished_unread_stops_its_children() -> None:
    """A shard that came and went while everything was down was never listed to us; its child waits all the same."""

    async def story(told: Story) -> None:
        told.put(1)
        await told.world.run(5)
        await told.down(60)
        (unread,) = told.table.roll()
        told.put(2)
        told.table.roll()
        del told.table._streams[told.table.epoch][unread]
        told.put(3)
        told.start()
        await told.world.run(15)
        gap = await told.the_gap()
        assert (gap.cause, gap.shard, gap.after, gap.state) == (GapCause.SHARD_GONE, unread, "", GapState.OPEN)
        assert told.numbers() == [1]
        await told.gaps.decide(gap.id, GapState.ACCEPTED, "ann")
        await told.world.run(15)
        assert told.numbers() == [1, 3]

    tell(story)


@pytest.mark.fault("D3")
def test_a_listing_that_omits_a_parent_for_good_is_not_believed() -> None:
    """A parent that no listing shows is asked for by name; while it is there, its child waits and there is no gap."""

    async def story(told: Story) -> None:
        await told.world.end()
        told.put(1)
        told.table.roll()
        next(iter(told.table._streams[told.table.epoch].values())).unlisted = 20
        told.put(2)
        told.start()
        await told.world.run(10)
        assert (told.numbers(), await told.gaps.all()) == ([], ())
        await told.world.run(30)
        assert told.numbers() == [1, 2]

    tell(story)


@pytest.mark.fault("D6", "P4")
def test_what_comes_of_the_earlier_stream_behind_the_later_is_given_up() -> None:
    """A capture that stood still before a put, and wakes when another stream was taken up, turns nothing back."""

    async def story(told: Story) -> None:
        told.put(1)
        await told.world.run(5)
        log = told.world.log
        still = told.capture()._outbox._log = Standstill(log, told.world.clock)
        told.table.put(item(1, 2))
        await told.world.run(2)
        await told.world.kill(told.hosts[0])
        told.table.disable_stream()
        told.table.enable_stream()
        told.table.put(item(1, 3))
        told.world.capture()
        await told.world.run(5)
        await told.gaps.decide((await told.the_gap()).id, GapState.ACCEPTED, "ann")
        await told.world.run(10)
        for records in still.puts:
            await log.put(records)
        await told.world.run(10)
        images = [change.after for change in told.kept() if change.kind is not ChangeKind.GAP]
        assert images == [orjson.dumps(item(1, number)) for number in (1, 3)], "the second is lost with the gap"

    tell(story)
