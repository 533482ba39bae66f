"""Faults to order: before or after an effect, once or in a storm."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.model.errors import PipelineError, RetryLater
from pipeline.ports import StateRow
from pipeline.testing.fakes import FakeObjectStore, FakeStateStore, Faults, ManualClock
from pipeline.testing.faults import Killed, When, kill

Run = Callable[[Any], Any]


def test_a_fault_before_the_effect_and_one_after(run: Run) -> None:
    """Before: nothing was done. After: it was done, only the answer is lost. Then calls work again."""
    store = FakeStateStore()
    store.faults.before("write", RetryLater("lost"))
    with pytest.raises(RetryLater):
        run(store.write(StateRow("a", 1, {}), None))
    assert not store.rows
    store.faults.after("write", RetryLater("lost"))
    with pytest.raises(RetryLater):
        run(store.write(StateRow("a", 1, {}), None))
    assert store.rows
    assert not run(store.write(StateRow("a", 1, {}), None))
    assert store.faults.calls == {"write": 3}


def test_a_fault_waits_for_its_turn(run: Run) -> None:
    """A fault can let some calls pass first, and strike several times."""
    objects = FakeObjectStore()
    objects.faults.before("read", RetryLater("slow"), skip=1, times=2)
    outcomes: list[bool] = []
    for _ in range(4):
        try:
            run(objects.read("a"))
        except RetryLater:
            outcomes.append(False)
        else:
            outcomes.append(True)
    assert outcomes == [True, False, False, True]


def test_a_storm_is_decided_call_by_call(run: Run) -> None:
    """A seeded decision can fail any call, before or after its effect."""
    asked: list[tuple[str, When]] = []

    def decide(call: str, when: When) -> PipelineError | None:
        asked.append((call, when))
        return RetryLater("storm") if when == "after" else None

    objects = FakeObjectStore()
    objects.faults.decide = decide
    with pytest.raises(RetryLater):
        run(objects.create("a", b""))
    assert asked == [("create", "before"), ("create", "after")]
    assert objects.objects == {"a": b""}


def test_a_pause_lets_others_in(run: Run) -> None:
    """With a pause, tasks interleave at both sides of every effect."""
    faults = Faults()
    clock = ManualClock()
    faults.pause = lambda: clock.sleep(0)
    steps: list[str] = []

    async def work(name: str) -> None:
        async with faults.around("work"):
            steps.append(name)
        steps.append(name)

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))

    run(both())
    assert steps == ["a", "b", "a", "b"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_worker_calls_no_more(run: Run, when: When) -> None:
    """Killed at its second call, before or after the effect, a worker has no further effect; others are not touched."""
    objects, faults = FakeObjectStore(), Faults(2, when, kill)
    mine = objects.behind(faults)
    assert run(mine.create("a", b""))
    for name in ("b", "c"):
        with pytest.raises(Killed):
            run(mine.create(name, b""))
    assert sorted(objects.objects) == (["a"] if when == "before" else ["a", "b"])
    assert run(objects.create("c", b""))
    assert (faults.total, objects.faults.total) == (3, 1)


def test_a_watch_sees_every_effect(run: Run) -> None:
    """Right after each effect, before its answer, the watch may look."""
    objects, faults = FakeObjectStore(), Faults()
    seen: list[list[str]] = []

    async def look() -> None:
        seen.append(list(objects.objects))

    faults.watch = look
    for name in ("a", "b"):
        run(objects.behind(faults).create(name, b""))
    assert seen == [["a"], ["a", "b"]]
