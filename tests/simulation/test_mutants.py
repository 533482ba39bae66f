"""Planted bugs fit the code and are found; `make mutants` hunts each with 1,000 seeds, here only the quickly found."""

from collections.abc import Iterator

import pytest

from tests.simulation.gate import first_seeds, outcome, quiet
from tests.simulation.mutants import MUTANTS
from tests.simulation.planting import planted

QUICK_SEEDS = 3
SEEDS_TRIED = 30
FIRST_SEEDS = first_seeds()
QUICK = sorted(name for name, seed in FIRST_SEEDS.items() if seed < QUICK_SEEDS)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_fits_the_code(name: str) -> None:
    """The text a planted bug replaces is there once: a bug that changes nothing would seem to be found by nobody."""
    with planted(MUTANTS[name]):
        pass


def test_the_table_names_planted_bugs() -> None:
    """The table of first seeds speaks of planted bugs that exist, and several are quickly found."""
    assert FIRST_SEEDS.keys() <= MUTANTS.keys()
    assert len(QUICK) >= 10


@pytest.mark.parametrize("name", QUICK)
def test_a_quickly_found_bug_is_found(name: str) -> None:
    """The bug breaks a promise in an early world."""
    with planted(MUTANTS[name]):
        assert any(map(outcome, range(SEEDS_TRIED))), MUTANTS[name].bug
