"""Changes that are lost before they are read: the shard stops, everybody is told, and a person lets it go on."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline.capture.shard import ShardCapture
from pipeline.coordination.gaps import Gaps
from pipeline.model.change import Change, ChangeKind
from pipeline.model.gap import GapCause, GapRecord, GapState
from pipeline.model.state import Flow
from pipeline.testing.fakes import FakeObjectStore
from pipeline.verification.audit import Report, verify_chain
from pipeline.wire.chain import ChainForm
from pipeline.wire.gap import from_image
from pipeline.wire.rangelog import RangeLog
from tests.system.world import Host, World, item

DAY_SECONDS = 24 * 3600.0


class LogSink:
    """The audit log, as far as it matters here."""

    def __init__(self, objects: FakeObjectStore) -> None:
        self._log = RangeLog(objects, ChainForm())
        self.write = self._log.append

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class Story:
    """A pipeline with an audit log and a ledger that sees gaps too."""

    def __init__(self) -> None:
        self.world = World()
        self.audit = FakeObjectStore()
        self.table = self.world.tables[0]
        self.gaps = Gaps(self.world.store, "changes", self.world.clock)
        self.hosts: list[Host] = []

    def start(self) -> None:
        """Start capture and worker."""
        sinks: dict[str, Any] = {"audit": LogSink(self.audit), "ledger": self.world.sink("ledger")}
        self.hosts = [self.world.capture(), self.world.worker(sinks)]

    def put(self, *numbers: int) -> None:
        """Write items, each of its own key."""
        for number in numbers:
            self.table.put(item(number, number))

    async def down(self, seconds: float) -> None:
        """Kill everything and let time pass."""
        await self.world.end()
        await self.world.clock.advance(seconds)

    async def trim(self) -> None:
        """Let the table's stream forget all it has."""
        self.table.trim(self.table._sequence)

    def capture(self) -> ShardCapture:
        """Return the capture of the one shard."""
        (capture,) = self.hosts[0].captures[0].captures.values()
        return capture

    async def the_gap(self) -> GapRecord:
        """Return the only gap there is."""
        (gap,) = await self.gaps.all()
        return gap

    async def report(self) -> Report:
        """Return what the audit log says of itself."""
        report = await verify_chain(self.audit)
        assert report.sound
        return report

    def kept(self) -> list[Change]:
        """Return what the ledger has, in order."""
        return [self.world.ledger("ledger").by_place[place] for place in sorted(self.world.ledger("ledger").by_place)]

    def numbers(self) -> list[int]:
        """Return the numbers of the items that arrived."""
        return sorted(
            int(str(change.keys).split("k")[2].split('"')[0])
            for change in self.kept()
            if change.after and change.kind is not ChangeKind.GAP
        )


def tell(story: Callable[[Story], Any]) -> None:
    """Run a story."""

    async def run() -> None:
        told = Story()
        told.start()
        await story(told)
        await told.world.end()

    asyncio.run(run())


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
