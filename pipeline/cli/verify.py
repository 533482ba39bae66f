"""`fanout verify`: is the replica what its source is, item by item, while changes flow."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.amount import Amount
from pipeline.cli.asking import KEY_FORM
from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.progress import Line, progress
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.verification.verify import Count
    from pipeline.wiring.repair import Pair

PARTS_MAX = 1_000_000
_PART = re.compile(r"(\d{1,7})/(\d{1,7})")


@click.command()
@click.argument("topologies", nargs=-1)
@click.option("--table", "tables", multiple=True, help="Only this source table; may be given several times.")
@click.option(
    "--rate", type=Amount(0), default=0.0, help="Read units a second to use at most, both sides; 0: no limit."
)
@click.option("--keys", "keys", multiple=True, help=f"Only this item: {KEY_FORM}; @FILE has one a line.")
@click.option("--part", "part", default="", help="Only one part of each table: 3/16 is the third of sixteen.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help="End when so many items of a table were found.",
)
@click.option("--report", "report_file", default="", help="Write every item found to this file, as JSON lines.")
@click.option("--show-items", is_flag=True, help="Show both items of each difference, values and all.")
@click.option("--repair", is_flag=True, help="Put right what differs, never over something newer.")
@click.option(
    "--every",
    "every_seconds",
    type=Amount(1),
    default=None,
    help="Compare again, so long after the last end.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def verify(settings: Settings, /, *, as_json: bool, **given: Any) -> int:
    """Compare source tables with what TOPOLOGIES have of them (all replicas unless named), while changes flow.

    Both tables are read once. What was not seen equal is looked at again, by key, when every change made until then is
    settled; it is called different only if it is none of what the item has been since. Nothing is written without
    --repair. Workers must be running. Equal is by value: 1.0 is 1, sets have no order.

    Exit code 0: equal, or repaired; 1: something differs, or could not be decided. With --every it goes on until it is
    stopped, and prints a report after each round.

    Example: fanout verify replica --rate 500 --report drift.jsonl
    """
    from pipeline.wiring import verify as wired

    wish = wired.Wish(
        given["topologies"],
        given["tables"],
        given["rate"],
        given["keys"],
        _part(given["part"]),
        given["limit"],
        given["report_file"],
        given["show_items"],
        given["repair"],
    )
    if wish.keys and wish.part:
        raise click.UsageError("--keys and --part exclude each other")
    put = put_json if as_json else put_report
    with progress("reading") as line:
        if given["every_seconds"] is not None:
            wired.keep_verifying(settings, wish, _telling(line), given["every_seconds"], put)
        report = wired.verify(settings, wish, _telling(line))
    put(report)
    return DONE if report["equal"] else PROBLEM_FOUND


def _part(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    found = _PART.fullmatch(text)
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= of <= PARTS_MAX:
        raise click.UsageError(f"--part is written like 3/16, at most {PARTS_MAX}")
    return number, of


def _telling(line: Line) -> Callable[["Pair", "Count"], None]:
    """Return what shows how far a comparison is, and how long the rest may take."""

    def tell(pair: "Pair", count: "Count") -> None:
        left = f", about {count.left_seconds:,.0f} s left" if count.left_seconds else ""
        line.say(
            f"{pair.table.name} at {pair.configured.name}: {count.source_items:,} of about {count.about:,} items"
            f"{left}; {count.judged:,} looked at again, {count.differences:,} differ"
        )

    return tell
