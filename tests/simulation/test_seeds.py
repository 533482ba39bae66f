"""The real core in simulated worlds: no promise is broken in any, and a run can be repeated exactly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.gate import quiet
from tests.simulation.loop import SimLoop
from tests.simulation.scenario import Tally, run, scenario
from tests.simulation.sweep import SCENARIOS, deaths, try_death
from tests.simulation.world import World

SEEDS = 60
SWEEP_STEPS = 101
REGRESSIONS = [
    int(line.split()[0])
    for line in (Path(__file__).parent / "regressions.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@pytest.mark.parametrize("seed", [*REGRESSIONS, *range(SEEDS)])
def test_no_promise_is_broken(seed: int) -> None:
    """Whatever dies, stands still, is lost or moves: all arrives, once, in order, and no checkpoint is ahead of it."""
    run(seed, Tally())


def test_a_seed_repeats_its_run_exactly() -> None:
    """Two runs of one seed take the same steps in the same order."""
    traces = []
    for _ in range(2):
        loop = SimLoop(7)
        loop.run_until_complete(scenario(World(loop), Tally()))
        traces.append((loop.trace, loop.steps))
    assert traces[0] == traces[1]


@pytest.mark.fault("P1", "E3")
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_at_any_step_breaks_nothing(name: str) -> None:
    """A host killed before any of a sample of steps: all arrives (`make sweep` kills at every step)."""
    broken = [(death, why) for death, why in map(try_death, deaths(name, SWEEP_STEPS)) if why]
    assert not broken
