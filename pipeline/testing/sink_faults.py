"""Trouble on the way to a store: before or after the effect of any one of its calls."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from types import coroutine
from typing import Literal, TypeVar

from pipeline.model.errors import RetryLater
from pipeline.ports import ItemStore, ItemWrite, ObjectStore

T = TypeVar("T")
When = Literal["before", "after"]
Trouble = Callable[[], Awaitable[None]]


class Killed(BaseException):
    """The process died here; no `except Exception` sees it."""


@coroutine
def switch() -> Generator[None, None, None]:
    """Let others run, as every call over a network does."""
    yield


class Faults:
    """What one worker meets on its calls to stores: at call `at`, before or after its effect, `trouble` happens.

    `calls` counts; `watch`, when set, is called after every effect. A worker that was killed makes no further call.
    """

    def __init__(self, at: int = 0, when: When = "before", trouble: Trouble | None = None) -> None:
        self.calls = 0
        self.watch: Trouble | None = None
        self._at = at
        self._when = when
        self._trouble = trouble
        self._dead = False

    async def around(self, effect: Callable[[], Awaitable[T]]) -> T:
        """Make a call. A sink with a destination of its own wraps each call to it in this."""
        self.calls += 1
        mine = self.calls == self._at
        await self._meet("before", mine=mine)
        result = await effect()
        if self.watch:
            await self.watch()
        await self._meet("after", mine=mine)
        return result

    async def _meet(self, when: When, *, mine: bool) -> None:
        await switch()
        if self._dead:
            raise Killed
        if mine and when == self._when and self._trouble:
            try:
                await self._trouble()
            except Killed:
                self._dead = True
                raise


async def kill() -> None:
    """Die, as by kill -9."""
    raise Killed


async def refuse() -> None:
    """Be too slow or too full: before the effect a refusal, after it a lost answer."""
    raise RetryLater("the destination is slow", after_seconds=0.1)


class FaultyObjects:
    """An ObjectStore behind faults."""

    def __init__(self, store: ObjectStore, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    async def create(self, name: str, data: bytes) -> bool:
        """Pass on."""
        return await self._faults.around(lambda: self._store.create(name, data))

    async def replace(self, name: str, data: bytes) -> None:
        """Pass on."""
        await self._faults.around(lambda: self._store.replace(name, data))

    async def read(self, name: str) -> bytes | None:
        """Pass on."""
        return await self._faults.around(lambda: self._store.read(name))

    async def names(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        """Pass on; one listing is one call."""

        async def listing() -> list[str]:
            return [name async for name in self._store.names(prefix, after)]

        for name in await self._faults.around(listing):
            yield name

    async def delete(self, name: str) -> None:
        """Pass on."""
        await self._faults.around(lambda: self._store.delete(name))


class FaultyItems:
    """An ItemStore behind faults."""

    def __init__(self, store: ItemStore, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    async def key_names(self, table: str) -> tuple[str, ...]:
        """Pass on."""
        return await self._faults.around(lambda: self._store.key_names(table))

    async def position(self, positions_table: str, row: str) -> int:
        """Pass on."""
        return await self._faults.around(lambda: self._store.position(positions_table, row))

    async def transact(self, writes: Sequence[ItemWrite], positions_table: str, row: str, old: int, new: int) -> bool:
        """Pass on."""
        return await self._faults.around(lambda: self._store.transact(writes, positions_table, row, old, new))

    async def put_newer(self, write: ItemWrite, attribute: str, version: str) -> bool:
        """Pass on."""
        return await self._faults.around(lambda: self._store.put_newer(write, attribute, version))

    async def write_batch(self, writes: Sequence[ItemWrite]) -> tuple[ItemWrite, ...]:
        """Pass on."""
        return await self._faults.around(lambda: self._store.write_batch(writes))

    async def scan(self, table: str) -> AsyncIterator[Mapping[str, object]]:
        """Pass on; one scan is one call."""

        async def items() -> list[Mapping[str, object]]:
            return [item async for item in self._store.scan(table)]

        for item in await self._faults.around(items):
            yield item
