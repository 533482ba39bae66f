"""How long a worker takes to stop beyond its drain. Real Faust, fake AWS, real time."""

import asyncio

import pytest

from tests.worker.test_faust import Scripted, Stage, nothing, play, until

CLOSE_SECONDS = 3.0

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


class SlowToClose(Scripted):
    """A sink that takes its time to close."""

    async def close(self) -> None:
        """Wait."""
        await asyncio.sleep(CLOSE_SECONDS)


def test_sinks_that_are_slow_to_close_do_not_add_up() -> None:
    """After the drain all sinks are closed at the same time: a stop takes as long as the slowest of them."""

    async def story(stage: Stage) -> None:
        await stage.capture(2)
        names = ("a", "b", "c")
        app = stage.app({name: SlowToClose(nothing) for name in names})
        await app.start()
        await until(lambda: all(stage.checkpoint(name) == 2 for name in names))
        began = stage.clock.monotonic()
        await app.stop()
        assert CLOSE_SECONDS <= stage.clock.monotonic() - began < 2 * CLOSE_SECONDS

    play(story)
