"""A thread with an event loop of its own for one sink object: what blocks there stops its topology alone."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from pipeline.plugin import Batch, Sink

logger = logging.getLogger(__name__)


class PluginExit(Exception):
    """A plugin wanted to end the process; in its own thread it cannot."""


class Room:
    """The thread; it is a daemon, so that one that hangs does not keep the process from ending."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._live, name=f"topology-{name}", daemon=True)
        self._thread.start()

    async def run(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Await a coroutine there; return or raise what it does, never before it has ended, also when cancelled."""
        here = asyncio.get_running_loop()
        ended: asyncio.Future[None] = here.create_future()
        outcome: list[asyncio.Task[Any]] = []

        def note() -> None:
            if not ended.done():
                ended.set_result(None)

        def tell(_: asyncio.Task[Any]) -> None:
            with suppress(RuntimeError):  # who waited is gone, with its loop
                here.call_soon_threadsafe(note)

        def start() -> None:
            outcome.append(self._loop.create_task(_tamed(call)))
            outcome[0].add_done_callback(tell)

        def cancel() -> None:
            outcome[0].cancel()

        self._loop.call_soon_threadsafe(start)
        cancelled = False
        while not ended.done():
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError:
                cancelled = True
                self._loop.call_soon_threadsafe(cancel)
        if cancelled:
            if not outcome[0].cancelled():
                outcome[0].exception()  # looked at
            raise asyncio.CancelledError
        return outcome[0].result()

    def close(self) -> None:
        """Have the thread end: tasks that the plugin left behind are cancelled."""
        self._closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._closing:
            try:
                self._loop.run_forever()
            except BaseException as error:  # noqa: BLE001  # SystemExit of a task that the plugin started itself
                logger.error("%s: %s left its task", self._thread.name, type(error).__name__)  # noqa: TRY400  # no traceback: it may quote items
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        try:
            self._loop.run_until_complete(asyncio.sleep(0))
        except BaseException as error:  # noqa: BLE001  # of a task that answers its end so
            logger.error("%s: %s left its task", self._thread.name, type(error).__name__)  # noqa: TRY400  # no traceback: it may quote items
        finally:
            self._loop.close()


class RoomedSink:
    """A sink that lives in a room: it is made there, and every call of it runs there."""

    def __init__(self, name: str, make: Callable[[], Sink]) -> None:
        self._name = name
        self._make = make
        self._room: Room | None = None
        self._sink: Sink | None = None

    async def open(self) -> None:
        """Make the sink, in a new room the first time, and open it."""
        self._room = self._room or Room(self._name)
        await self._room.run(self._open)

    async def write(self, batch: Batch) -> Any:
        """Have a batch written; return what the sink does, which should be nothing."""
        assert self._room is not None
        assert self._sink is not None
        return await self._room.run(lambda: self._write(batch))

    async def close(self) -> None:
        """Close the sink and its room."""
        if self._room is None:
            return
        try:
            if self._sink is not None:
                await self._room.run(self._sink.close)
        finally:
            self._room.close()

    async def _open(self) -> None:
        if self._sink is None:
            self._sink = self._make()
        await self._sink.open()

    async def _write(self, batch: Batch) -> Any:
        assert self._sink is not None
        return await self._sink.write(batch)


async def _tamed(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    try:
        return await call()
    except (SystemExit, KeyboardInterrupt) as error:
        raise PluginExit(type(error).__name__) from error
