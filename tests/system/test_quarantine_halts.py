"""Where parking would hide what is wrong a topology halts, and says why."""

import asyncio

import pytest

from pipeline.model.errors import TEXT_CHARACTERS_MAX, Rejected
from pipeline.plugin import Batch
from tests.system.test_isolation import fill
from tests.system.test_quarantine import Poison, saved
from tests.system.world import World, item


@pytest.mark.fault("X1")
@pytest.mark.parametrize("positions", [{999999999: "nobody"}, {}, {"a": "x"}], ids=repr)
def test_a_refusal_of_no_change_of_the_batch_halts_as_a_defect(positions: dict[int, str]) -> None:
    """A sink that refuses what it was not offered halts, is named as the cause, and no quarantine is asked for."""

    async def story() -> None:
        world = World()

        def refuse(_: Batch) -> None:
            raise Rejected(positions)

        world.with_quarantine()
        world.capture()
        worker = world.worker({"a": world.sink("a", refuse)})
        await fill(world, 1)
        await world.run(5)
        report = worker.only.reports["a"]
        assert report.flow == "halted"
        assert report.reason.startswith("it raised Rejected: ")
        assert "a defect of topology a" in report.hint
        assert "quarantine" not in report.hint
        await world.end()

    asyncio.run(story())


def test_a_sink_that_fails_on_everything_halts() -> None:
    """A defect that every change brings out is none of the changes': few are parked, then it halts and says so."""

    async def story() -> None:
        world = World()

        def fail(batch: Batch) -> None:
            raise ValueError("broken")

        world.with_quarantine()
        world.capture()
        worker = world.worker({"a": world.sink("a", fail)})
        await fill(world, 1)
        await world.run(200)
        assert len(saved(world).parked) <= 5
        assert saved(world).position == 0
        assert worker.only.reports["a"].flow == "halted"
        await world.end()

    asyncio.run(story())


def test_a_destination_that_refuses_everything_halts() -> None:
    """When nothing is written between refusals, few keys are parked; then it halts and says so."""

    async def story() -> None:
        world = World()

        def refuse(batch: Batch) -> None:
            if batch.changes:
                raise Rejected(dict.fromkeys(batch.positions, "wrong table"))

        world.with_quarantine()
        world.capture()
        worker = world.worker({"a": world.sink("a", refuse)})
        await fill(world, 2)
        await world.run(5)
        assert len(saved(world).parked) == 5
        report = worker.only.reports["a"]
        assert (report.flow, "one after the other" in report.reason) == ("halted", True)
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("X1")
def test_a_destination_that_refuses_small_batches_halts_with_the_same_words() -> None:
    """When all of a batch is parked the sink is not called for what is left: the reason stays the refusals in a row."""

    async def story() -> None:
        world = World()

        def refuse(batch: Batch) -> None:
            raise Rejected(dict.fromkeys(batch.positions, "wrong table"))

        world.with_quarantine()
        world.capture()
        worker = world.worker({"a": world.sink("a", refuse)}, changes=4)
        await fill(world, 1)
        await world.run(5)
        report = worker.only.reports["a"]
        assert (report.flow, len(saved(world).parked)) == ("halted", 5)
        assert report.reason == "6 changes were refused one after the other, and none was written: wrong table"
        await world.end()

    asyncio.run(story())


@pytest.mark.parametrize("ranges", [False, True])
def test_a_range_without_changes_goes_to_who_asks_for_ranges(*, ranges: bool) -> None:
    """With all of a batch in quarantine a sink is called only if its topology keeps ranges; the checkpoint moves on."""

    async def story() -> None:
        world, offered = World(), list[tuple[int, int]]()

        def refuse(batch: Batch) -> None:
            offered.append((len(batch), len(batch.parked)))
            if batch.changes:
                raise Rejected(dict.fromkeys(batch.positions, "too bitter"))

        world.with_quarantine()
        for key in range(3):
            world.tables[0].put(item(key, 1))
        world.capture()
        worker = world.worker({"a": world.sink("a", refuse)}, ranges=ranges)
        await world.run(5)
        assert (saved(world).position, worker.only.reports["a"].flow) == (3, "flowing")
        assert ((0, 3) in offered) is ranges
        assert all(changes for changes, _ in offered) is not ranges
        await world.end()

    asyncio.run(story())


def test_without_quarantine_many_long_reasons_halt_with_a_short_one() -> None:
    """What a sink says of each of many changes does not add up in status and log."""

    async def story() -> None:
        world = World()

        def refuse(batch: Batch) -> None:
            raise Rejected({position: f"{position} " + "x" * 10_000 for position in batch.positions})

        world.capture()
        worker = world.worker({"a": world.sink("a", refuse)})
        await fill(world, 2)
        await world.run(5)
        report = worker.only.reports["a"]
        assert report.flow == "halted"
        assert len(report.reason) == TEXT_CHARACTERS_MAX
        await world.end()

    asyncio.run(story())


def test_without_quarantine_a_refused_change_halts_and_names_the_section() -> None:
    """Nobody's changes are put away who did not say where to."""

    async def story() -> None:
        world = World()
        world.capture()
        worker = world.worker({"a": world.sink("a", Poison("k3"))})
        await fill(world, 2)
        await world.run(5)
        report = worker.only.reports["a"]
        assert report.flow == "halted"
        assert "[quarantine]" in report.hint
        await world.end()

    asyncio.run(story())
