"""Changes that are lost before they are read: the shard stops, everybody is told, and a person lets it go on."""

from dataclasses import replace

import pytest

from pipeline.coordination.gaps import Gaps
from pipeline.model.change import ChangeKind
from pipeline.model.gap import GapCause, GapState
from pipeline.model.state import Flow
from pipeline.wire.gap import from_image
from tests.system.loss import DAY_SECONDS, Story, tell
from tests.system.world import Host


async def lose(story: Story) -> None:
    """Deliver change 1, lose change 2 while everything is down, and have change 3 waiting."""
    story.put(1)
    await story.world.run(5)
    await story.down(DAY_SECONDS)
    story.put(2)
    await story.trim()
    story.put(3)
    story.start()
    await story.world.run(10)


@pytest.mark.fault("D2")
def test_a_trimmed_shard_stops_and_says_so() -> None:
    """Nothing behind the gap is delivered; report, durable record and audit log name it, with what to do."""

    async def story(told: Story) -> None:
        await lose(told)
        report, gap = told.capture().report, await told.the_gap()
        assert report.flow is Flow.HALTED
        assert gap.id in report.hint
        assert (gap.cause, gap.state, gap.table, gap.shard) == (
            GapCause.TRIMMED,
            GapState.OPEN,
            "t0",
            told.capture().shard,
        )
        assert int(gap.after) < told.table._sequence
        assert told.numbers() == [1]
        assert [each.state for each in (await told.report()).gaps.values()] == [GapState.OPEN]
        await told.world.run(30)
        assert {gaps.open for host in told.hosts for gaps in _gaps_of(host)} == {(gap,)}

    tell(story)


def _gaps_of(host: Host) -> list[Gaps]:
    return [capture.gaps for capture in host.captures] + ([host.delivery.gaps] if host.delivery else [])


def test_an_accepted_gap_is_passed() -> None:
    """What lies behind it follows; every lane tells of the gap between, who accepted it and where it ends."""

    async def story(told: Story) -> None:
        await lose(told)
        await told.gaps.decide((await told.the_gap()).id, GapState.ACCEPTED, "ann")
        await told.world.run(40)
        assert told.numbers() == [1, 3]
        assert told.capture().report.flow is Flow.FLOWING
        gap = await told.the_gap()
        assert (gap.state, gap.by, int(gap.until)) == (GapState.ACCEPTED, "ann", told.table._sequence)
        assert list((await told.report()).gaps.values()) == [replace(gap, told=0)]
        marks = [from_image(each.after or b"", "") for each in told.kept() if each.kind is ChangeKind.GAP]
        assert [each.state for each in marks] == [GapState.OPEN] * 8 + [GapState.ACCEPTED] * 8, "once in each lane"
        kinds = [each.kind for each in told.kept()]
        assert kinds[0] is kinds[-1] is ChangeKind.INSERT

    tell(story)


def test_a_gap_is_one_gap_for_everybody_and_for_ever() -> None:
    """Captures that are killed at a gap, before and after it is accepted, neither repeat it nor make another."""

    async def story(told: Story) -> None:
        await lose(told)
        for _ in range(3):
            await told.down(0.3)
            told.start()
            await told.world.run(6)
        await told.gaps.decide((await told.the_gap()).id, GapState.ACCEPTED, "ann")
        for seconds in (1.2, 3.4, 5.6, 40):
            await told.down(0.3)
            told.start()
            await told.world.run(seconds)
        assert told.numbers() == [1, 3]
        assert (await told.the_gap()).state is GapState.ACCEPTED
        assert len([each for each in told.kept() if each.kind is ChangeKind.GAP]) == 16

    tell(story)


def test_a_decision_does_not_cover_what_is_lost_later() -> None:
    """Where an accepted gap left nothing, and a day later the same shard is trimmed again, it stops again."""

    async def story(told: Story) -> None:
        await lose(told)
        await told.trim()
        await told.gaps.decide((await told.the_gap()).id, GapState.ACCEPTED, "ann")
        await told.world.run(35)
        await told.down(DAY_SECONDS)
        told.put(4)
        await told.trim()
        told.put(5)
        told.start()
        await told.world.run(10)
        assert told.capture().report.flow is Flow.HALTED
        assert [each.state for each in await told.gaps.all()] == [GapState.ACCEPTED, GapState.OPEN]
        assert 5 not in told.numbers()

    tell(story)
