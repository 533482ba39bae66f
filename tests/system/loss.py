"""A pipeline with an audit log, for stories about changes that are lost before they are read."""

import asyncio
from collections.abc import Callable
from typing import Any

from pipeline.capture.shard import ShardCapture
from pipeline.coordination.gaps import Gaps
from pipeline.model.change import Change, ChangeKind
from pipeline.model.gap import GapRecord
from pipeline.testing.fakes import FakeObjectStore
from pipeline.verification.audit import Report, verify_chain
from pipeline.wire.chain import ChainForm
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
        self.hosts = [self.world.capture(), self.world.worker(sinks, ranges=True)]

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
