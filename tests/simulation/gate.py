"""`python -m tests.simulation.gate SEEDS`: every planted bug must be found by the seeds; exit 1 when one survives."""

import gc
import logging
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
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
            while gc.collect():  # what is collected may leave more behind: a dropped task runs its `finally` blocks
                pass
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


def keep(found: Iterable[Found]) -> None:
    """Write the table of first seeds anew, with what was found now in place of what was known."""
    lines = FIRST_SEEDS.read_text().splitlines()
    rows = {line.split()[0]: line for line in lines if line and not line.startswith("#")}
    rows |= {each.name: row(each) for each in found if each.seed is not None}
    kept = [line for line in lines if line.startswith("#")] + [rows[name] for name in MUTANTS if name in rows]
    FIRST_SEEDS.write_text("\n".join([*kept, ""]))


def row(found: Found) -> str:
    """Return a mutant's line of the table."""
    seed = "survived" if found.seed is None else str(found.seed)
    return f"{found.name:36} {seed:>8}  {found.by[:BY_CHARACTERS_MAX]}"


def main() -> int:
    """Hunt all mutants, or those named; `--keep` keeps their seeds. Return 1 when one survives."""
    seeds, names = int(sys.argv[1]), [name for name in sys.argv[2:] if name != "--keep"] or list(MUTANTS)
    deadline = monotonic() + WALL_SECONDS
    found: list[Found] = []
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        for each in pool.imap_unordered(hunt, [(name, seeds, deadline) for name in names]):
            found.append(each)
            print(f"{row(each)}  ({each.seconds:.0f} s)", flush=True)
    if "--keep" in sys.argv:
        keep(found)
    survivors = [each.name for each in found if each.seed is None]
    print(f"{len(found) - len(survivors)} of {len(found)} mutants found; survived: {', '.join(survivors) or 'none'}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
