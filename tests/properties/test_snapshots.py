"""Snapshots: whichever there are, a reading says the same as without them; and they depend on the segments alone."""

import asyncio
import random

import pytest

from pipeline.history import compact
from pipeline.history.archive import segments
from pipeline.history.base import moments
from pipeline.history.compact import Compaction
from pipeline.history.fold import fold
from pipeline.history.keys import Scope
from pipeline.history.trace import NOW, Trace
from pipeline.testing.fakes import FakeObjectStore
from pipeline.testing.faults import Faults, Killed, kill
from tests.compacted import compacted, some_snapshots, traces_from
from tests.recorded import Recorded


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut snapshots into parts of a few items."""
    monkeypatch.setattr(compact, "PART_BYTES", 2_000)


def told(trace: Trace) -> tuple[object, ...]:
    """Return all that is made of a trace."""
    states = [trace.state(moment) for moment in (0, 1, NOW)]
    return *states, trace.changed_between(0, 1), trace.changed_between(1, NOW), trace.incomplete


@pytest.mark.parametrize("seed", range(40))
def test_a_reading_from_any_snapshot_is_the_reading_without(seed: int) -> None:
    """States at two random seconds and now, and what happened between them: equal with any set of snapshots."""

    async def story() -> None:
        chance, history = random.Random(seed), Recorded(seed)
        objects = await history.archive()
        segments_alone = FakeObjectStore()
        segments_alone.objects = dict(objects.objects)
        await some_snapshots(objects, history.seconds, chance)
        asked = [second + 1000 for second in sorted(chance.sample(history.seconds, 2))]
        asked[0] = min(asked[1], chance.choice([asked[0], *await moments(objects)]))
        scope = chance.choice((Scope("orders"), Scope("orders", keys=frozenset(c.keys for c in history.changes[:9]))))
        bare, _ = await traces_from(segments_alone, scope, asked)
        plain = {trace.keys: told(trace) async for trace in bare.each()}
        read, _ = await traces_from(objects, scope, asked, memory=chance.choice((20_000, 10**9)))
        found = {trace.keys: told(trace) async for trace in read.each()}
        assert found == plain

    asyncio.run(story())


@pytest.mark.parametrize("seed", range(12))
def test_a_snapshot_depends_on_the_segments_alone(seed: int) -> None:
    """Made at once, step by step from others, in memory or laid aside: the same parts, byte by byte."""

    async def story() -> None:
        chance, history = random.Random(seed), Recorded(seed)
        objects = await history.archive()
        second = chance.choice(history.seconds[len(history.seconds) // 2 :])
        direct = await compacted(objects, second + 1000)
        again = FakeObjectStore()
        again.objects = {name: data for name, data in objects.objects.items() if name.startswith("segments/")}
        await some_snapshots(again, [each for each in history.seconds if each < second], chance)
        stepwise = await compacted(again, second + 1000, memory=20_000)
        assert (stepwise.ends, stepwise.tables) == (direct.ends, direct.tables)
        assert len(direct.tables[0].parts) > 1

    asyncio.run(story())


@pytest.mark.parametrize("seed", range(6))
def test_a_snapshot_of_the_end_is_what_all_changes_add_up_to(seed: int) -> None:
    """The items of a snapshot are those of a fold over every segment, which knows nothing of snapshots."""

    async def story() -> None:
        history = Recorded(seed)
        objects = await history.archive()
        await compacted(objects, history.seconds[len(history.seconds) // 2] + 1000)
        await compacted(objects, history.seconds[-1] + 1000)
        traces, base = await traces_from(objects, Scope("orders"), (history.seconds[-1] + 1000,))
        assert base is not None
        assert [each async for each in segments(objects, base.starts)] == []
        states = {("orders", trace.keys): trace.state(0) async for trace in traces.each()}
        assert {item: image for item, image in states.items() if image is not None} == await fold(objects)

    asyncio.run(story())


def test_killed_at_every_call_and_begun_again_it_ends_the_same() -> None:
    """A compaction that dies at any call leaves no manifest without its parts, and is finished by a second run."""

    async def story() -> None:
        history = Recorded(4, changes=200)
        objects, at_ms = await history.archive(), history.seconds[-1] + 1000
        whole = (await compacted(objects, at_ms)).tables
        segments_only = {name: data for name, data in objects.objects.items() if name.startswith("segments/")}
        for when in ("before", "after"):
            for at in range(1, 60):
                store = FakeObjectStore()
                store.objects = dict(segments_only)
                dying = store.behind(Faults(at, when, kill))
                run = Compaction(dying, FakeObjectStore(), at_ms, None).run()
                (outcome,) = await asyncio.gather(run, return_exceptions=True)
                for each_ms in await moments(store):
                    assert each_ms == at_ms
                assert (await compacted(store, at_ms)).tables == whole
                if not isinstance(outcome, Killed):
                    break
            else:
                pytest.fail("more than sixty calls")

    asyncio.run(story())
