"""`python -m tests.simulation.campaign FIRST COUNT`: run seeds, print what broke, how to repeat it, and the tally."""

import gc
import sys
from dataclasses import asdict

from tests.simulation.gate import SEEDS_BETWEEN_COLLECTIONS, outcome, quiet
from tests.simulation.scenario import Tally


def campaign(first: int, count: int) -> tuple[Tally, dict[int, str]]:
    """Run seeds; return what they went through, and the broken promise of each seed that failed."""
    tally, failures = Tally(), {}
    with quiet():
        for seed in range(first, first + count):
            if why := outcome(seed, tally):
                failures[seed] = why
                print(f"seed {seed}: {why}\n  again: make simulate SEED={seed}", flush=True)
            if seed % SEEDS_BETWEEN_COLLECTIONS == 0:
                gc.collect()
    return tally, failures


def main() -> int:
    """Run the campaign of the command line; return 1 when a promise was broken."""
    first, count = (int(text) for text in sys.argv[1:3])
    tally, failures = campaign(first, count)
    for name, value in asdict(tally).items():
        print(f"{name}: {round(value, 1)}")
    print(f"violations: {len(failures)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
