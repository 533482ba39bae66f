"""`python -m tests.simulation.campaign FIRST COUNT [short|long]`: run seeds; print what broke and a tally."""

import gc
import multiprocessing
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import partial

from tests.simulation.gate import SEEDS_BETWEEN_COLLECTIONS, outcome, quiet
from tests.simulation.scenario import LONG, SHORT, Life, Tally

CHUNK_SEEDS = 25
CHUNKS_BETWEEN_TELLING = 20
LIVES = {"short": SHORT, "long": LONG}


def chunks(first: int, count: int) -> Iterator[range]:
    """Cut the seeds into ranges, one for a process at a time."""
    for start in range(first, first + count, CHUNK_SEEDS):
        yield range(start, min(start + CHUNK_SEEDS, first + count))


def campaign(life: Life, seeds: range) -> tuple[Tally, dict[int, str]]:
    """Run seeds; return what they went through, and the broken promise of each seed that failed."""
    tally, failures = Tally(), {}
    with quiet():
        for seed in seeds:
            if why := outcome(seed, tally, life):
                failures[seed] = why
            if seed % SEEDS_BETWEEN_COLLECTIONS == 0:
                gc.collect()
    return tally, failures


def add(total: Tally, part: Tally) -> None:
    """Add a part's figures to the total; the longest healing is the longest of all."""
    for field in fields(Tally):
        ours, theirs = getattr(total, field.name), getattr(part, field.name)
        setattr(total, field.name, max(ours, theirs) if field.name.endswith("_max") else ours + theirs)


def main() -> int:
    """Run the campaign of the command line; return 1 when a promise was broken."""
    first, count = (int(text) for text in sys.argv[1:3])
    life = LIVES[sys.argv[3] if len(sys.argv) > 3 else "short"]
    total, broken = Tally(), 0
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for number, (tally, failures) in enumerate(pool.imap(partial(campaign, life), chunks(first, count)), 1):
            add(total, tally)
            broken += len(failures)
            for seed, why in failures.items():
                print(f"seed {seed}: {why}\n  again: make simulate SEED={seed}{again(life)}", flush=True)
            if number % CHUNKS_BETWEEN_TELLING == 0:
                tell(first, total, broken)
    tell(first, total, broken)
    return 1 if broken else 0


def again(life: Life) -> str:
    """Return what to add to a command so that it runs such a life."""
    return "" if life == SHORT else " LIFE=long"


def tell(first: int, total: Tally, broken: int) -> None:
    """Print what was reached so far: what ends early has told all but its last part."""
    print(f"--- seeds {first} to {first + total.seeds - 1}")
    for name in (each.name for each in fields(Tally) if each.name != "met"):
        print(f"{name}: {round(getattr(total, name), 1)}")
    for trouble, times in sorted(total.met.items()):
        print(f"  {trouble}: {times}")
    print(f"violations: {broken}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
