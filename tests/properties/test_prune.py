"""Pruning: every moment inside the window is restored as before, though it is killed; nothing else goes."""

import asyncio
import random

import msgspec
import pytest

from pipeline.history.base import base_at, origin
from pipeline.history.check import check
from pipeline.history.keys import Scope
from pipeline.history.prune import counted, keeping, prune
from pipeline.model.change import Batch
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.testing.fakes import FakeObjectStore
from pipeline.testing.faults import Faults, Killed, kill
from pipeline.wire import manifest, segment
from pipeline.wire.rangelog import RangeLog
from tests.compacted import compacted, some_snapshots, traces_from
from tests.recorded import STREAM, Recorded


async def state(objects: FakeObjectStore, at_ms: int) -> dict[bytes, bytes]:
    """Return the items as they were before a moment."""
    traces, _ = await traces_from(objects, Scope("orders"), (at_ms,))
    return {trace.keys: image async for trace in traces.each() if (image := trace.state(0)) is not None}


async def pruned(objects: FakeObjectStore, horizon_ms: int) -> int:
    """Prune; return the moment with which the archive begins."""
    base = await keeping(objects, FakeObjectStore(), horizon_ms)
    await prune(objects, base, lambda _: None)
    return base.manifest.at_ms


@pytest.mark.parametrize("seed", range(15))
def test_every_moment_of_the_window_is_restored_as_before(seed: int) -> None:
    """After pruning, states from the window on are what they were, and the archive is sound."""

    async def story() -> None:
        chance, history = random.Random(seed), Recorded(seed)
        objects = await history.archive()
        middle = history.seconds[len(history.seconds) // 2]
        await compacted(objects, history.seconds[len(history.seconds) // 2 - chance.randrange(1, 20)] + 1000)
        await some_snapshots(objects, history.seconds[40:], chance)
        asked = [at + 1000 for at in history.seconds if at >= middle][:: max(1, len(history.seconds) // 16)]
        before = {at_ms: await state(objects, at_ms) for at_ms in asked}
        would = await counted(objects, await keeping(objects, FakeObjectStore(), middle + 1000))
        names = [name async for name in objects.names("segments/")]
        began_ms = await pruned(objects, middle + 1000)
        assert {at_ms: await state(objects, at_ms) for at_ms in asked} == before
        report = await check(objects, {})
        assert report.sound, report.problems
        left = await counted(objects, await keeping(objects, FakeObjectStore(), middle + 1000))
        assert (left.segments, left.snapshots, left.parts) == (0, 0, 0)
        assert would.segments == len(names) - len([name async for name in objects.names("segments/")])
        with pytest.raises(Misconfigured, match="the archive was pruned: it begins at"):
            await base_at(objects, FakeObjectStore(), began_ms - 1000)

    asyncio.run(story())


def test_killed_at_every_call_the_archive_is_sound_and_a_second_run_ends_it() -> None:
    """A pruning that dies at any call leaves every moment of the window, and is finished by another."""

    async def story() -> None:
        history = Recorded(7, changes=150)
        whole = await history.archive()
        seconds = history.seconds
        for second in (seconds[20], seconds[40]):
            await compacted(whole, second + 1000)
        last_ms, horizon_ms = seconds[-1] + 1000, seconds[50] + 1000
        expected = await state(whole, last_ms)
        for when in ("before", "after"):
            for at in range(1, 200):
                objects = FakeObjectStore()
                objects.objects = dict(whole.objects)
                dying = objects.behind(Faults(at, when, kill))
                base = await keeping(objects, FakeObjectStore(), horizon_ms)
                (outcome,) = await asyncio.gather(prune(dying, base, lambda _: None), return_exceptions=True)
                assert (await check(objects, {})).sound
                assert await state(objects, last_ms) == expected
                await pruned(objects, horizon_ms)
                left = await counted(objects, base)
                assert (left.segments, left.snapshots, left.parts) == (0, 0, 0)
                if not isinstance(outcome, Killed):
                    break
            else:
                pytest.fail("more than two hundred calls")

    asyncio.run(story())


def test_the_archive_goes_on_after_it_was_pruned() -> None:
    """A worker that starts afterwards finds the end of each shard, though the shard was silent since."""

    async def story() -> None:
        history = Recorded(3)
        objects = await history.archive()
        await compacted(objects, history.seconds[-1] + 1000)
        await pruned(objects, history.seconds[-1] + 1000)
        base = await origin(objects, FakeObjectStore())
        assert base is not None
        shard, link = max(base.starts.items())
        change = history.changes[-1]._replace(sequence=10**30, time_ms=history.seconds[-1] + 5000)
        batch = Batch(STREAM, shard.split("/")[1], link.last + 1, link.last + 1, (change,), (link.last + 1,))
        await RangeLog(objects, segment.SegmentForm()).append(batch)
        assert (await check(objects, {shard: link.last + 1})).sound
        assert (await state(objects, history.seconds[-1] + 6000)).get(change.keys) == change.after

    asyncio.run(story())


def test_without_a_snapshot_old_enough_nothing_goes() -> None:
    """Every segment is still needed: that is refused, with what to do."""

    async def story() -> None:
        history = Recorded(1)
        objects = await history.archive()
        await compacted(objects, history.seconds[-1] + 1000)
        with pytest.raises(Misconfigured, match="there is no snapshot at or before") as caught:
            await keeping(objects, FakeObjectStore(), history.seconds[5] + 1000)
        assert "fanout archive compact --at" in caught.value.hint

    asyncio.run(story())


@pytest.mark.parametrize("damage", ["flipped part", "another state"])
def test_a_snapshot_that_is_not_what_the_segments_say_is_not_relied_upon(damage: str) -> None:
    """Before anything goes, the snapshot is read whole, and compared with what its segments add up to."""

    async def story() -> None:
        history = Recorded(1)
        objects = await history.archive()
        at_ms = history.seconds[30] + 1000
        made = await compacted(objects, at_ms)
        if damage == "flipped part":
            objects.objects[made.tables[0].parts[0].name] = b"x"
        else:
            less = msgspec.structs.replace(made.tables[0], parts=())
            forged = msgspec.structs.replace(made, tables=(less,))
            objects.objects[manifest.name_of(at_ms)] = manifest.encode(forged)
        names = set(objects.objects)
        with pytest.raises(Corrupt, match=r"snapshot snapshots/"):
            await pruned(objects, at_ms)
        assert set(objects.objects) == names

    asyncio.run(story())


class Locked(FakeObjectStore):
    """A store that lets no segment go."""

    async def delete(self, name: str) -> None:
        """Refuse."""
        if name.startswith("segments/"):
            raise Misconfigured("s3:DeleteObject on bucket b: AccessDenied")
        await super().delete(name)


def test_what_the_store_does_not_let_go_is_counted() -> None:
    """A policy that forbids to delete is told with its reason; the rest goes, and the archive is sound."""

    async def story() -> None:
        history, objects = Recorded(1), Locked()
        objects.objects = (await history.archive()).objects
        await compacted(objects, history.seconds[100] + 1000)
        await compacted(objects, history.seconds[200] + 1000)
        base = await keeping(objects, FakeObjectStore(), history.seconds[220] + 1000)
        deleted = await prune(objects, base, lambda _: None)
        assert deleted.refused > 0
        assert deleted.snapshots == 1
        assert "AccessDenied" in deleted.why
        assert (await check(objects, {})).sound

    asyncio.run(story())
