"""A table copied from an export that is older than its changes, by hosts that die: all ends equal to the table."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.delivery.since_export import SinceExport
from tests.simulation import exporting
from tests.simulation.exporting import ExportWorld
from tests.simulation.gate import quiet
from tests.simulation.logs import Violation
from tests.simulation.loop import SimLoop
from tests.simulation.scenario import HOSTS, Tally, scenario

SEEDS = 10
PLANTED_SEEDS_MAX = 40


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_copy_of_an_old_export_ends_equal_to_its_table(seed: int) -> None:
    """What was changed or deleted since the export does not come back, whoever dies, whatever moves."""
    loop = SimLoop(seed)
    world = ExportWorld(loop)
    loop.run_until_complete(scenario(world, Tally(), (*HOSTS, "copy")))
    assert world.anew + world.kept


class AsExported:
    """Sends rows as the export has them."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    async def catch_up(self) -> None:
        """Learn nothing."""

    async def current(self, source: str, chunk: int, rows: Any) -> Any:
        """Return the rows."""
        return rows, 0.0


async def _at_once(self: SinceExport, source: str, chunk: int, rows: Any) -> Any:
    """Look no further than one page of each shard."""
    async with self._turn:
        await self._step()
    self._opened = defaultdict(lambda: chunk)
    return await CURRENT(self, source, chunk, rows)


CURRENT = SinceExport.current


@pytest.mark.parametrize("bug", ["as exported", "at once"])
def test_a_planted_bug_shows(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same worlds find rows that are sent as they are, and a look at the stream that ends too early."""
    if bug == "as exported":
        monkeypatch.setattr(exporting, "SinceExport", AsExported)
    else:
        monkeypatch.setattr(SinceExport, "current", _at_once)
    assert any(map(_breaks, range(PLANTED_SEEDS_MAX)))


def _breaks(seed: int) -> bool:
    loop = SimLoop(seed)
    try:
        loop.run_until_complete(scenario(ExportWorld(loop), Tally(), (*HOSTS, "copy")))
    except Violation:
        return True
    return False
