"""A task that dies while its process lives on: every task of ours has an owner that sees it."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.delivery.shard import ShardDelivery
from pipeline.model.errors import PipelineError
from pipeline.worker.desk import Desk
from pipeline.worker.owner import for_good
from tests.system.test_isolation import fill
from tests.system.world import World

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60.0


@pytest.mark.fault("P7")
@pytest.mark.parametrize(
    ("task", "how"),
    [
        ("capture", "returns"),
        ("capture", "loop"),
        ("delivery", "returns"),
        ("delivery", "cancelled"),
        ("assignment", "raises"),
        ("hand-over", "raises"),
        ("copy", "raises"),
    ],
)
def test_a_process_does_not_outlive_a_task_it_depends_on(task: str, how: str) -> None:
    """Whatever ends the capture, the delivery or what lies between it and Faust, the real process ends with code 1."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.worker.dying", task, how],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 1, done.stderr[-2000:]


@pytest.mark.fault("P7")
@pytest.mark.parametrize("task", ["_read", "_save", "_follow"])
def test_a_shard_whose_reading_or_saving_dies_is_taken_up_again(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task inside a shard's delivery dies: the lease is given up, another worker has it soon, nothing is missing."""

    async def story() -> None:
        world, deaths = World(), [1]
        whole = getattr(ShardDelivery, task)

        async def mortal(self: ShardDelivery, *arguments: object) -> None:
            if deaths and self.report.reads > 3:
                deaths.pop()
                raise KeyError("a defect")
            running = asyncio.ensure_future(whole(self, *arguments))
            try:
                while not running.done():
                    await world.clock.sleep(0.2)
                    if deaths and self.report.reads > 3:
                        deaths.pop()
                        raise KeyError("a defect")
            finally:
                running.cancel()

        monkeypatch.setattr(ShardDelivery, task, mortal)
        world.capture()
        world.worker({"a": world.sink("a")})
        await fill(world, 4)
        await world.run(10)
        assert not deaths, "it died"
        assert world.ledger("a").by_key == world.expected()
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("P7")
def test_a_batch_that_is_cancelled_by_nobody_is_a_crash(run: Callable[[Any], Any]) -> None:
    """A cancellation nobody asked for crashes the worker: the batches behind it would wait for ever."""

    async def play() -> None:
        crashed: list[BaseException] = []

        class Runner:
            async def deliver(self, *_: object) -> None:
                raise asyncio.CancelledError

        async def crash(error: BaseException) -> None:
            crashed.append(error)

        async def acknowledge(_: Any) -> None:
            raise AssertionError("it was not written")

        delivery = SimpleNamespace(followers={"t": None})
        parcel = SimpleNamespace(delivery=Hashable(delivery), topology="t", batch="b")
        desk = Desk(cast("Any", Runner()), crash)
        desk.accept(cast("Any", SimpleNamespace(value=parcel)), acknowledge)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(crashed) == 1

    run(play())


class Hashable:
    """A delivery as far as a desk looks at it."""

    def __init__(self, inner: SimpleNamespace) -> None:
        self.followers = inner.followers


@pytest.mark.fault("P7")
@pytest.mark.parametrize("stopping", [True, False])
def test_work_may_end_only_when_it_is_told_to(run: Callable[[Any], Any], *, stopping: bool) -> None:
    """A return is an error of its own unless the service stops."""

    async def nothing() -> None:
        return

    if stopping:
        run(for_good("it", nothing(), lambda: True))
    else:
        with pytest.raises(PipelineError, match="it ended by itself"):
            run(for_good("it", nothing(), lambda: False))
