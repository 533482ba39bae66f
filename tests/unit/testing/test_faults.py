"""Faults to order: before or after an effect, once or in a storm."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.model.errors import PipelineError, RetryLater
from pipeline.ports import StateRow
from pipeline.testing.fakes import FakeObjectStore, FakeStateStore, Faults, ManualClock
from pipeline.testing.faults import When

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
