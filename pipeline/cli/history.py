"""`fanout history`: what happened to one item."""

import click

from pipeline.cli.asking import archive_options, read_so_far, reveal_option
from pipeline.cli.failures import DONE
from pipeline.cli.invocation import with_settings
from pipeline.cli.progress import progress
from pipeline.cli.render import put_json, put_report
from pipeline.history.item import CHANGES_MAX
from pipeline.settings import Settings


@click.command()
@click.argument("key")
@archive_options
@reveal_option
@click.option("--images", is_flag=True, help="Show the item before and after each change: its content.")
@click.option(
    "--last", type=click.IntRange(1, 100_000), default=CHANGES_MAX, show_default=True, help="Show so many changes."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def history(
    settings: Settings, *, key: str, topology: str, table: str, reveal: bool, images: bool, last: int, as_json: bool
) -> int:
    """Show every change of one item: when, what kind, which attributes.

    KEY names the item: pk=…,sk=… with the names of the table's key attributes, or JSON.

    Example: fanout history customer=customer-001,order=3 --images
    """
    from pipeline.wiring import history as wired
    from pipeline.wiring.reading import Question

    with progress() as line:
        question = Question(topology, table, reveal=reveal)
        report = wired.history(settings, question, key, images=images, changes_max=last, progress=read_so_far(line))
    (put_json if as_json else put_report)(report)
    return DONE
