"""The desk between Faust's agent and a topology's sink."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.worker.desk import Desk


class Delivery:
    """A delivery as far as a desk looks at it."""

    def __init__(self) -> None:
        self.followers = {"t": SimpleNamespace(cursor=SimpleNamespace(report=None), parking=None)}


class Sink:
    """A runner that writes forever, or at once; it notes what it was given."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.open = asyncio.Event()

    async def deliver(self, batch: str, *_: object) -> None:
        """Write."""
        self.given.append(batch)
        await self.open.wait()


@pytest.mark.fault("P4")
def test_what_still_lay_in_the_queue_of_a_lost_shard_is_not_written(run: Callable[[Any], Any]) -> None:
    """A batch that comes to the desk after its shard was given up is left: the one before it was never settled."""

    async def play() -> None:
        sink, delivery, told = Sink(), Delivery(), []

        async def note(what: Any) -> None:
            told.append(what)

        def event(batch: str, of: Delivery) -> Any:
            return SimpleNamespace(value=SimpleNamespace(delivery=of, topology="t", batch=batch))

        desk = Desk(cast("Any", sink), note)
        desk.accept(event("first", delivery), note)
        await asyncio.sleep(0)
        await desk.drop(cast("Any", delivery))
        desk.accept(event("second", delivery), note)
        sink.open.set()
        again = Delivery()
        last = event("the same, after the shard was taken again", again)
        desk.accept(last, note)
        for _ in range(5):
            await asyncio.sleep(0)
        assert sink.given == ["first", last.value.batch]
        assert told == [last]

    run(play())
