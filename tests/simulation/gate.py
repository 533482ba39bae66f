"""`python -m tests.simulation.gate SEEDS`: every planted bug must be found by the seeds; exit 1 when one survives.

The seed that is known to find a bug is tried first. When the worlds have changed and it no longer does, all seeds are
tried from 0 on, and the table says which have moved; `--keep` writes it.
"""

import asyncio
import gc
import logging
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from tests.simulation.mutants import MUTANTS
from tests.simulation.planting import planted
from tests.simulation.scenario import SHORT, Life, Tally, run

WALL_SECONDS = 45 * 60
SEEDS_BETWEEN_COLLECTIONS = 5
BY_CHARACTERS_MAX = 110
FIRST_SEEDS = Path(__file__).parent / "first_seeds.txt"


class Found(NamedTuple):
    """What became of a mutant."""

    name: str
    seed: int | None
    """A seed that found it; None when it has survived."""
    by: str
    seconds: float
    known: int | None = None
    """The seed that was known to find it."""

    @property
    def note(self) -> str:
        """Return what has become of the known seed, "" when it found the bug again."""
        if self.seed == self.known:
            return ""
        return "no seed was known" if self.known is None else f"seed {self.known} finds it no more"


@contextmanager
def quiet() -> Iterator[None]:
    """Let killed hosts, whose tasks are dropped without a word, complain to nobody; collect them by hand."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    logging.disable(logging.CRITICAL)
    gc.disable()
    asyncio.set_event_loop(None)  # a dropped task's `finally` that asks for a loop gets an error, not a new one
    try:
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # "was never awaited": it was killed
            yield
            while gc.collect():  # what is collected may leave more behind: a dropped task runs its `finally` blocks
                pass
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)
        sys.unraisablehook = hook


def outcome(seed: int, tally: Tally | None = None, life: Life = SHORT) -> str:
    """Run a seed; return the promise it broke, "" when it broke none."""
    try:
        run(seed, tally or Tally(), life)
    except Exception as error:  # noqa: BLE001  # whatever a planted bug leads to
        return f"{type(error).__name__}: {error}"
    return ""


def hunt(job: tuple[str, int | None, int, float]) -> Found:
    """Run the known seed, then seeds from 0 on, until one finds the mutant."""
    name, known, seeds, deadline = job
    began = monotonic()
    order = range(seeds) if known is None or known >= seeds else chain((known,), range(seeds))
    with quiet(), planted(MUTANTS[name]):
        for number, seed in enumerate(order):
            if by := outcome(seed):
                return Found(name, seed, by, monotonic() - began, known)
            if number % SEEDS_BETWEEN_COLLECTIONS == 0:
                gc.collect()
            if monotonic() > deadline:
                return Found(name, None, f"nothing: time was up after seed {seed}", monotonic() - began, known)
    return Found(name, None, f"nothing in {seeds} seeds", monotonic() - began, known)


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
    deadline, known = monotonic() + WALL_SECONDS, first_seeds()
    jobs = sorted(((name, known.get(name), seeds, deadline) for name in names), key=lambda job: job[1] is not None)
    found: list[Found] = []
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        for each in pool.imap_unordered(hunt, jobs):
            found.append(each)
            print(f"{row(each)}  ({each.seconds:.0f} s)", each.note, flush=True)
            if "--keep" in sys.argv:
                keep([each])
    moved = [each.name for each in found if each.note and each.seed is not None]
    if moved:
        print(f"{len(moved)} found by another seed than the table knows; `make mutants ARGS=--keep` writes it anew")
    survivors = [each.name for each in found if each.seed is None]
    print(f"{len(found) - len(survivors)} of {len(found)} mutants found; survived: {', '.join(survivors) or 'none'}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
