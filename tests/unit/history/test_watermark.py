"""The watermark: never above a change that the archive lacks, and up to the clock when all is quiet."""

import asyncio
from dataclasses import replace

from pipeline.capture.packing import Packer, Packing, WireForm
from pipeline.history.watermark import SETTLING_SECONDS, unarchived, uncaptured, watermark
from pipeline.model.progress import Checkpoint, ParkedKey, Why
from pipeline.testing.clock import SkippingClock
from pipeline.testing.fakes import FakeLog, FakeTable

SECOND_MS = 1000


def second(time_ms: int) -> int:
    """Return the start of a second."""
    return time_ms // SECOND_MS * SECOND_MS


class Place:
    """A table and a stream, and what their checkpoints say."""

    def __init__(self) -> None:
        self.clock = SkippingClock()
        self.table = FakeTable("orders", self.clock)
        self.log = FakeLog("changes", self.clock, shards=2)
        self.captured: dict[str, Checkpoint] = {}
        self.archived: dict[str, Checkpoint] = {}

    async def put(self, key: str) -> int:
        """Write an item, some seconds later, and return the second of that."""
        await self.clock.sleep(10)
        self.table.put({"pk": {"S": key}, "at": {"N": str(self.clock.now_ms())}})
        return second(self.clock.now_ms())

    async def capture(self) -> None:
        """Pass everything on into the stream, as a capture does."""
        packer = Packer(Packing(WireForm.COMPACT, 4, 1_000_000, "us-east-1"), None)
        stream = self.table.stream()
        for shard in await stream.shards():
            page = await stream.read(shard.id, await stream.iterator(shard.id, None))
            for lane, run in packer.by_lane(page.changes).items():
                await self.log.put(await packer.pack(lane, run))
            last = page.changes[-1] if page.changes else None
            self.captured[shard.id] = Checkpoint(
                last.sequence if last else None, ended=page.next is None, time_ms=last.time_ms if last else 0
            )

    async def archive(self) -> None:
        """Settle everything that is in the stream, as the archive's cursors do."""
        for shard in await self.log.shards():
            page = await self.log.read(await self.log.iterator(shard.id, None))
            sequence = page.records[-1].sequence if page.records else None
            self.archived[shard.id] = Checkpoint(sequence, ended=page.next is None)

    async def found(self) -> tuple[int, list[str]]:
        """Return the watermark and the places that hold it back."""
        await self.clock.sleep(10)
        asked_ms = self.clock.now_ms()
        bounds = await uncaptured(self.table.stream(), self.captured, self.clock)
        bounds += await unarchived(self.log, None, self.archived, asked_ms)
        mark = watermark(asked_ms, bounds)
        if not mark.bounds:
            assert mark.time_ms == second(asked_ms - SETTLING_SECONDS * SECOND_MS)
        return mark.time_ms, [bound.place.split(",")[0] for bound in mark.bounds]


def test_a_quiet_pipeline_is_complete_up_to_the_clock() -> None:
    """Idle shards hold nothing back, however long ago their last change was: also one that never had any."""

    async def story() -> None:
        place = Place()
        await place.put("a")
        await place.capture()
        await place.archive()
        await place.clock.sleep(7 * 24 * 3600)
        assert (await place.found())[1] == []

    asyncio.run(story())


def test_a_change_that_is_not_captured_holds_it_back() -> None:
    """The watermark ends before the second of the oldest change the capture has not passed on."""

    async def story() -> None:
        place = Place()
        await place.put("a")
        await place.capture()
        await place.archive()
        first = await place.put("b")
        await place.put("c")
        assert await place.found() == (first, ["table orders"])

    asyncio.run(story())


def test_a_change_that_is_not_archived_holds_it_back() -> None:
    """One Kinesis shard that is behind is enough, though the other is at its tip."""

    async def story() -> None:
        place = Place()
        times = [await place.put(f"{n}") for n in range(8)]
        await place.capture()
        await place.archive()
        behind = (await place.log.shards())[0].id
        place.archived[behind] = Checkpoint()
        page = await place.log.read(await place.log.iterator(behind, None))
        assert page.records
        at, places = await place.found()
        assert (places, at in times) == (["stream changes"], True)

    asyncio.run(story())


def test_a_key_in_quarantine_holds_it_back() -> None:
    """What the archive's sink refused is not in the archive, though the checkpoint has passed it."""

    async def story() -> None:
        place = Place()
        first = await place.put("a")
        await place.capture()
        await place.archive()
        (shard, checkpoint), *_ = place.archived.items()
        waits = ParkedKey("2026", 1, 0, first, Why.REFUSED)
        place.archived[shard] = replace(checkpoint, parked={"digest": waits})
        assert await place.found() == (first, ["stream changes"])

    asyncio.run(story())


def test_a_split_shard_counts_when_its_children_are_read() -> None:
    """Children that nobody has started hold back; ended parents do not; a child that is not listed yet does."""

    async def story() -> None:
        place = Place()
        last = await place.put("a")
        place.table.children_unlisted = 3
        place.table.split()
        await place.capture()
        await place.archive()
        assert await place.found() == (last, ["table orders"])
        await asyncio.gather(*(place.table.stream().shards() for _ in range(3)))
        assert (await place.found())[1] == []
        later = [await place.put(f"{n}") for n in range(6)]
        assert (await place.found())[0] == later[0]

    asyncio.run(story())


def test_a_kinesis_split_counts_per_shard() -> None:
    """After a split of a Kinesis shard the children are looked at, from their first record on."""

    async def story() -> None:
        place = Place()
        await place.put("a")
        await place.capture()
        await place.archive()
        for shard in await place.log.shards():
            place.log.split(shard.id)
        await place.archive()
        assert (await place.found())[1] == []
        place.table = FakeTable("orders", place.clock)
        place.captured.clear()
        first = await place.put("b")
        await place.capture()
        at, places = await place.found()
        assert (at, places) == (first, ["stream changes"])

    asyncio.run(story())


def test_a_stream_that_is_gone_or_trimmed_is_no_guess() -> None:
    """What was trimmed unread holds back to the capture's last change."""

    async def story() -> None:
        place = Place()
        first = await place.put("a")
        await place.capture()
        await place.archive()
        await place.put("b")
        (shard,) = place.captured
        place.table.put({"pk": {"S": "c"}})
        place.table.trim(10**30)
        assert await place.found() == (first, ["table orders"])
        assert shard

    asyncio.run(story())
