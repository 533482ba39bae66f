"""`fanout diff`: what is different at the second of two times."""

import click

from pipeline.cli.asking import archive_options, read_so_far, reveal_option, scope_options, time_options
from pipeline.cli.failures import DONE
from pipeline.cli.invocation import with_settings
from pipeline.cli.progress import progress
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings

ITEMS_MAX = 100


@click.command()
@click.argument("earlier")
@click.argument("later")
@archive_options
@time_options
@reveal_option
@scope_options
@click.option("--content", is_flag=True, help="Show the values too, old and new.")
@click.option(
    "--items", type=click.IntRange(0), default=ITEMS_MAX, show_default=True, help="List so many items; count all."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def diff(
    settings: Settings,
    *,
    earlier: str,
    later: str,
    topology: str,
    table: str,
    zone: str,
    unproven: bool,
    reveal: bool,
    keys: tuple[str, ...],
    prefix: tuple[str, ...],
    content: bool,
    items: int,
    as_json: bool,
) -> int:
    """Show which items are different at LATER from what they were at EARLIER.

    Times are ISO 8601 with an offset, to the second. What changed and changed back in between is not different.

    Example: fanout diff 2026-11-24T10:40:00Z 2026-11-24T10:41:00Z --prefix customer=customer-0
    """
    from pipeline.wiring import history as wired
    from pipeline.wiring.reading import Question

    with progress() as line:
        report = wired.differences(
            settings,
            Question(topology, table, zone, unproven, reveal),
            (earlier, later),
            (keys, prefix),
            items_max=items,
            content=content,
            progress=read_so_far(line),
        )
    (put_json if as_json else put_report)(report)
    return DONE
