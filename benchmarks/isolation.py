"""`python -m benchmarks.isolation`: the lag of a good topology beside a bad one, by the real core in virtual time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from pipeline.plugin import Batch, Sink
from tests.system.world import World, item

SECONDS = 90
CHANGES_A_SECOND = 10
WRITE_SECONDS = 0.05


class Measured:
    """A sink that takes a moment, and notes how old each change is when it is durable."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.lags: list[float] = []

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, batch: Batch) -> None:
        """Write."""
        await self._world.clock.sleep(WRITE_SECONDS)
        now_ms = self._world.clock.now_ms()
        self.lags += [(now_ms - change.time_ms) / 1000 for change in batch.changes]

    async def close(self) -> None:
        """Do nothing."""


class Bad(Measured):
    """A sink that does as its kind does."""

    def __init__(self, world: World, deed: Callable[[World], Awaitable[None]]) -> None:
        super().__init__(world)
        self._deed = deed

    async def write(self, _: Batch) -> None:
        """Do it."""
        await self._deed(self._world)


async def hangs(_: World) -> None:
    """Never return; end when cancelled."""
    await asyncio.Event().wait()


async def slow(world: World) -> None:
    """Take a second."""
    await world.clock.sleep(1.0)


async def raises(_: World) -> None:
    """Raise at once, always."""
    raise ValueError


async def exits(_: World) -> None:
    """Want to end the process."""
    raise SystemExit


async def lies(_: World) -> None:
    """Return without writing."""


KINDS: Mapping[str, Callable[[World], Awaitable[None]]] = {
    "hangs for ever": hangs,
    "takes 1 s a write": slow,
    "raises at once, always": raises,
    "calls sys.exit": exits,
    "returns without writing": lies,
}


async def measured(deed: Callable[[World], Awaitable[None]] | None) -> tuple[float, int]:
    """Return the p99 of the good topology's lag in seconds, and how many changes it was taken over."""
    world = World(1)
    good = Measured(world)
    sinks: dict[str, Sink] = {"good": good}
    if deed is not None:
        sinks["bad"] = Bad(world, deed)
    world.capture()
    world.worker(sinks)
    await world.run(10)
    for n in range(SECONDS * CHANGES_A_SECOND):
        world.tables[0].put(item(n % 50, n))
        await world.run(1 / CHANGES_A_SECOND)
    await world.run(10)
    await world.end()
    lags = sorted(good.lags)
    return lags[len(lags) * 99 // 100], len(lags)


def main() -> None:
    """Print a row for each kind."""
    logging.disable(logging.CRITICAL)
    base, count = asyncio.run(measured(None))
    tell("beside", "p99 lag of the good topology, s", "change", "changes")
    tell("---", "---", "---", "---")
    tell("nothing", f"{base:.3f}", "", str(count))
    for name, deed in KINDS.items():
        p99, count = asyncio.run(measured(deed))
        tell(f"one that {name}", f"{p99:.3f}", f"{(p99 / base - 1) * 100:+.1f} %", str(count))


def tell(*cells: str) -> None:
    """Print a row."""
    print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201  # a program that reports


if __name__ == "__main__":
    main()
