"""The demo's last page: what a person should understand in ten seconds."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.wiring.demo.proof import Proof

NEXT = (
    ("fanout replicate REGION/TABLE REGION/TABLE", "a replica of a table of yours"),
    ("topologies/folder.py", "a sink on one page: copy it"),
    ("fanout restore --help", "put items back as they were"),
    ("fanout --help", "all commands"),
)


def put_report(proof: Proof, console: Console) -> None:
    """Write the report: the verdict, a line for each promise, where to go on."""
    figures = proof.figures
    good = not proof.problems
    console.print()
    verdict = "Every change arrived, once, in order." if good else "Something is wrong."
    console.print(
        Text.assemble(
            ("✔ " if good else "✘ ", "bold green" if good else "bold red"),
            (verdict, "bold"),
            f"  {figures['changes']:,} changes in {figures['seconds']} s, {figures['kills']} processes killed with -9",
        ),
        soft_wrap=True,
    )
    for problem in proof.problems:
        console.print(Text(f"  {problem}", "red"), soft_wrap=True)
    console.print()
    table = Table.grid(padding=(0, 2))
    for name, value, meaning in _rows(proof):
        table.add_row(Text(f"  {name}", "bold"), Text(value, justify="right"), Text(meaning, "dim"))
    console.print(table)
    if good:
        _put_next(console)


def _put_next(console: Console) -> None:
    console.print()
    console.print(Text("Next", "bold"))
    steps = Table.grid(padding=(0, 2))
    for step, meaning in NEXT:
        steps.add_row(Text(f"  {step}", "cyan"), Text(meaning, "dim"))
    console.print(steps)


def _rows(proof: Proof) -> Iterator[tuple[str, str, str]]:
    figures = proof.figures
    replica, archive, audit = figures["replica"], figures["archive"], figures["audit"]
    yield "lost", f"{figures['lost']:,}", "each write looked up in the archive and the audit log"
    yield "out of order", f"{figures['reordered']:,}", "item by item, in the archive and the audit log"
    yield "repeats", f"{figures['duplicates_dropped']:,}", "delivered again after the kills, recognised, dropped"
    yield "replica", f"{replica['items']:,}", f"items, {_mismatches(replica)} the source"
    yield "archive", f"{archive['segments']:,}", f"segments; replayed to the end, {_mismatches(archive)} the source"
    restored, time = figures["restored"], figures["restored"]["to"].partition("T")[2]
    yield "restored", f"{restored['items']:,}", f"items as they were at {time}, {_mismatches(restored)} the source then"
    sound = "every hash of the chain verifies" if audit["verified"] else "the chain does NOT verify"
    yield "audit log", f"{audit['entries']:,}", f"entries, {sound}"


def _mismatches(figures: dict[str, int]) -> str:
    count = figures["mismatches"]
    return f"{count:,} of them unlike" if count else "equal to"
