"""`python -m tests.scorecard`: write docs/scorecard.md, the sums of the ledgers of what was run."""

import re
from collections.abc import Iterable
from pathlib import Path

from tests.simulation.gate import first_seeds
from tests.simulation.mutants import MUTANTS

ROOT = Path(__file__).parents[1]
PATH = "docs/scorecard.md"
WORLDS = "tests/simulation/LEDGER.md"
PROCESSES = "tests/nemesis/LEDGER.md"
NO_VERDICT = "**not at rest**"
"""How the verdict of a campaign begins that was judged while changes were still on their way."""
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
INTRODUCTION = """# Scorecard

What was run against [the promises](guarantees.md), summed up from the ledgers, where each run has its row and commit:
[simulated worlds](../tests/simulation/LEDGER.md) and [real processes on emulators](../tests/nemesis/LEDGER.md).
Nothing ran on real AWS. `python -m tests.scorecard` makes this page; `make check` fails when the ledgers disagree.
"""
Row = dict[str, str]


def rows(text: str, first: str) -> list[Row]:
    """Return the rows of a page's table whose first column has such a name, by the names of the columns."""
    heading: list[str] = []
    out = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[0] == first:
            heading = cells
        elif not cells:
            heading = []
        elif heading and not line.startswith("|---"):
            out.append(dict(zip(heading, cells, strict=True)))
    return out


def numbers(cell: str) -> list[float]:
    """Return the numbers of a cell."""
    return [float(text.replace(",", "")) for text in NUMBER.findall(cell)]


def total(found: Iterable[Row], column: str, place: int = 0) -> float:
    """Return the sum of a column; of several numbers in a cell, those at one place."""
    return sum(numbers(row[column])[place] for row in found)


def seeds(cell: str) -> int:
    """Return how many seeds the ranges of a cell are."""
    ends = [part.split("-") for part in cell.replace(" ", "").split(",")]
    return sum(int(last) - int(first) + 1 for first, last in ends)


def page() -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, *_worlds(), "", *_bugs(), "", *_every_step(), "", *_processes(), ""])


def _worlds() -> list[str]:
    found = rows((ROOT / WORLDS).read_text(), "seeds")
    clean = [row for row in found if not numbers(row["broken promises"])[0]]
    broken = sum(numbers(row["broken promises"])[0] for row in found)
    goals = {"seeds": 100_000, "simulated hours": 1_000, "kills": 300_000, "changes": 10_000_000}
    return [
        "## Simulated worlds",
        "",
        f"`make simulate`, {len(found)} campaigns, commits {found[0]['commit']} to {found[-1]['commit']};",
        f"{len(clean)} of them, the last at {clean[-1]['commit']}, without a broken promise. The goal is for those.",
        "",
        "| what | goal | without a broken promise | of the goal | in all |",
        "|---|---|---|---|---|",
        *(
            f"| {what} | {goal:,} | {round(_sum(clean, what)):,} | {_sum(clean, what) / goal:.0%} "
            f"| {round(_sum(found, what)):,} |"
            for what, goal in goals.items()
        ),
        f"| reshards | | {round(_sum(clean, 'reshards')):,} | | {round(_sum(found, 'reshards')):,} |",
        f"| broken promises found | 0 | 0 | | {round(broken)} |",
        "",
        "Each broken promise has its seed, what it was and what became of it in the ledger.",
    ]


def _sum(found: Iterable[Row], what: str) -> float:
    return sum(seeds(row["seeds"]) for row in found) if what == "seeds" else total(found, what)


def _bugs() -> list[str]:
    known = first_seeds()
    caught = [name for name in MUTANTS if name in known]
    missing = ", ".join(name for name in MUTANTS if name not in known) or "none"
    return [
        "## Planted bugs",
        "",
        f"`make mutants`: {len(caught)} of {len(MUTANTS)} have a known seed that finds them. Without one: {missing}.",
        "CI tries [the known seeds](../tests/simulation/first_seeds.txt), and hunts where one finds nothing any more.",
    ]


def _every_step() -> list[str]:
    out = ["## A kill at every step", "", "`make sweep`.", "", "| commit | scenario | kills | broken promises |"]
    return [*out, "|---|---|---|---|"] + [
        f"| {row['swept at']} | {row['scenario']} | {row['kills']} | {row['broken promises']} |"
        for row in rows((ROOT / WORLDS).read_text(), "swept at")
    ]


def _processes() -> list[str]:
    listed = rows((ROOT / PROCESSES).read_text(), "when (UTC)")
    found = [row for row in listed if not row["verdict"].startswith(NO_VERDICT)]
    hits = next(name for name in found[0] if name.startswith("processes hit"))
    judged = next(name for name in found[0] if name.startswith("lost"))
    taken, handed = (next(name for name in found[0] if name.startswith(what)) for what in ("takeover", "SIGTERM"))
    back, lag = "replica went back", next(name for name in found[0] if name.startswith("replica lag"))
    kills, terms = sum(total(found, hits, place) for place in (0, 1, 3)), total(found, hits, 2)
    return [
        "## Real processes on emulators",
        "",
        f"`make nemesis`, {len(found)} campaigns: {round(kills):,} times kill -9, {round(terms):,} times SIGTERM,",
        f"over {round(total(found, 'changes')):,} changes; {round(total(found, judged)):,} lost,",
        f"{round(total(found, 'reordered')):,} reordered, the replica went back {round(total(found, back)):,} times.",
        f"Not counted: {len(listed) - len(found)}, judged before it had come to rest.",
        "Goal: 500 kill -9 over 500,000 changes; takeover p99 below 15 s at a lease of 10 s; after SIGTERM below 2 s.",
        "",
        f"| commit | seed | lease s | {taken} | {handed} | {lag} | verdict |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row['commit']} | {row['seed']} | {row['lease s']} | {row[taken]} | {row[handed]} | {row[lag]} "
            f"| {row['verdict'].partition(':')[0]} |"
            for row in listed
        ),
    ]


def main() -> None:
    """Write the page."""
    (ROOT / PATH).write_text(page())


if __name__ == "__main__":
    main()
