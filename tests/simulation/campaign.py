"""`python -m tests.simulation.campaign FIRST COUNT`: run seeds, print what broke, how to repeat it, and the tally."""

import gc
import logging
import sys
from dataclasses import asdict

from tests.simulation.scenario import Tally, run

SEEDS_BETWEEN_COLLECTIONS = 10


def campaign(first: int, count: int) -> tuple[Tally, dict[int, str]]:
    """Run seeds; return what they went through, and the broken promise of each seed that failed."""
    logging.disable(logging.CRITICAL)
    # A killed host's tasks are dropped without a word, as a kill does; what the collector then says is about them.
    sys.unraisablehook = lambda _: None
    gc.disable()
    tally, failures = Tally(), {}
    for seed in range(first, first + count):
        try:
            run(seed, tally)
        except Exception as error:  # noqa: BLE001  # whatever broke, the campaign goes on to the next seed
            failures[seed] = f"{type(error).__name__}: {error}"
            print(f"seed {seed}: {failures[seed]}\n  again: make simulate SEED={seed}", flush=True)
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
