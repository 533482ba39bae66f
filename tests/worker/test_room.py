"""A plugin in a thread of its own: what blocks or ends there stops nothing else. Real threads, real time."""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest

from pipeline.aws.clock import SystemClock
from pipeline.delivery.keeper import SinkKeeper
from pipeline.model.errors import PipelineError, RetryLater
from pipeline.plugin import Batch
from pipeline.testing.changes import batch, history
from pipeline.worker.room import RoomedSink

GIVEN = batch(history(("a", "b")), 1, 2)


class Plugin:
    """A sink that does something foreign in write."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self.deed = deed
        self.thread = threading.current_thread()
        self.closed = False

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, _: Batch) -> None:
        """Do it."""
        self.deed()

    async def close(self) -> None:
        """Note it."""
        self.closed = True


def keeper(deed: Callable[[], object], made: list[Plugin], deadline_seconds: float = 5.0) -> SinkKeeper:
    """Return a keeper of roomed plugins."""

    def make() -> Plugin:
        made.append(Plugin(deed))
        return made[-1]

    return SinkKeeper("x", lambda: RoomedSink("x", make), SystemClock(), deadline_seconds)


@pytest.mark.fault("P8", "X2")
def test_a_write_that_blocks_its_thread_blocks_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main loop turns on meanwhile; past deadline and grace the thread is left and another takes the batch."""
    monkeypatch.setattr("pipeline.delivery.keeper.GRACE_SECONDS", 0.1)
    free = threading.Event()

    async def story() -> None:
        made: list[Plugin] = []
        blocking = keeper(lambda: len(made) > 1 or free.wait(30), made, 0.3)
        turns = 0
        call = asyncio.ensure_future(blocking.write(GIVEN))
        while not call.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert isinstance(call.exception(), RetryLater)
        assert turns > 5
        assert blocking.abandoned_calls == 1
        await blocking.write(GIVEN)
        assert made[0].thread is not made[1].thread
        free.set()
        while blocking.abandoned_calls or not made[0].closed:
            await asyncio.sleep(0.01)
        await blocking.close()
        for plugin in made:
            await asyncio.to_thread(plugin.thread.join, 5)
            assert not plugin.thread.is_alive()

    asyncio.run(story())


@pytest.mark.fault("X1", "X4")
@pytest.mark.parametrize(
    ("deed", "named"),
    [
        (lambda: sys.exit(3), "PluginExit"),
        (lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN), "ValueError"),
        (lambda: (_ for _ in ()).throw(KeyboardInterrupt()), "PluginExit"),
    ],
)
def test_a_plugin_that_exits_or_takes_signals_is_a_defect(deed: Callable[[], object], named: str) -> None:
    """sys.exit ends the call, not the process or the thread; signal handlers cannot be set off the main thread."""
    before = signal.getsignal(signal.SIGTERM)

    async def story() -> None:
        made: list[Plugin] = []
        bad = keeper(deed, made)
        for _ in range(2):
            with pytest.raises(PipelineError, match=named):
                await bad.write(GIVEN)
        assert len(made) == 1
        await bad.close()
        assert made[0].closed

    asyncio.run(story())
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.fault("X4")
def test_tasks_that_a_plugin_leaves_behind_end_with_it() -> None:
    """A task that was started and forgotten, and one that exits, do not keep the thread."""

    async def story() -> None:
        made: list[Plugin] = []

        async def leave() -> None:
            raise SystemExit(1)

        def deed() -> None:
            asyncio.get_running_loop().create_task(asyncio.sleep(3600))
            asyncio.get_running_loop().create_task(leave()).add_done_callback(lambda task: task.exception())

        leaky = keeper(deed, made)
        await leaky.write(GIVEN)
        await leaky.write(GIVEN)
        began = time.monotonic()
        await leaky.close()
        await asyncio.to_thread(made[0].thread.join, 5)
        assert not made[0].thread.is_alive()
        assert time.monotonic() - began < 5

    asyncio.run(story())
