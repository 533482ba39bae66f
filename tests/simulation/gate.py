"""`python -m tests.simulation.gate SEEDS`: every planted bug must be found by the seeds; exit 1 when one survives."""

import gc
import logging
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from tests.simulation.mutants import MUTANTS
from tests.simulation.planting import planted
from tests.simulation.scenario import Tally, run

WALL_SECONDS = 45 * 60
SEEDS_BETWEEN_COLLECTIONS = 5
BY_CHARACTERS_MAX = 110
FIRST_SEEDS = Path(__file__).parent / "first_seeds.txt"


class Found(NamedTuple):
    """What became of a mutant."""

    name: str
    seed: int | None
    """The first seed that found it; None when it has survived."""
    by: str
    seconds: float


@contextmanager
def quiet() -> Iterator[None]:
    """Let killed hosts, whose tasks are dropped without a word, complain to nobody; collect them by hand."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # "was never awaited": it was killed
            yield
            gc.collect()
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)
        sys.unraisablehook = hook


def outcome(seed: int, tally: Tally | None = None) -> str:
    """Run a seed; return the promise it broke, "" when it broke none."""
    try:
        run(seed, tally or Tally())
    except Exception as error:  # noqa: BLE001  # whatever a planted bug leads to
        return f"{type(error).__name__}: {error}"
    return ""


def hunt(job: tuple[str, int, float]) -> Found:
    """Run seeds from 0 until one finds the mutant."""
    name, seeds, deadline = job
    began = monotonic()
    with quiet(), planted(MUTANTS[name]):
        for seed in range(seeds):
            if by := outcome(seed):
                return Found(name, seed, by, monotonic() - began)
            if seed % SEEDS_BETWEEN_COLLECTIONS == 0:
                gc.collect()
            if monotonic() > deadline:
                return Found(name, None, f"nothing: time was up after seed {seed}", monotonic() - began)
    return Found(name, None, f"nothing in {seeds} seeds", monotonic() - began)


def first_seeds() -> dict[str, int]:
    """Return the seed that is known to find each mutant."""
    lines = (line.split() for line in FIRST_SEEDS.read_text().splitlines() if line and not line.startswith("#"))
    return {line[0]: int(line[1]) for line in lines}


def main() -> int:
    """Hunt all mutants, or those named; return 1 when one survives."""
    seeds, names = int(sys.argv[1]), sys.argv[2:] or list(MUTANTS)
    deadline = monotonic() + WALL_SECONDS
    found: list[Found] = []
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        for each in pool.imap_unordered(hunt, [(name, seeds, deadline) for name in names]):
            found.append(each)
            seed = "survived" if each.seed is None else str(each.seed)
            print(f"{each.name:36} {seed:>8}  {each.by[:BY_CHARACTERS_MAX]}  ({each.seconds:.0f} s)", flush=True)
    survivors = [each.name for each in found if each.seed is None]
    print(f"{len(found) - len(survivors)} of {len(found)} mutants found; survived: {', '.join(survivors) or 'none'}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
