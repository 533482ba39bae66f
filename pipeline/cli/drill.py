"""`fanout drill`: is what is archived restored as it was, and how long does it take?"""

import click

from pipeline.cli.asking import archive_options
from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.progress import progress
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings


@click.command()
@click.option("--items", type=click.IntRange(1), default=1_000, show_default=True, help="Compare so many items.")
@click.option("--all", "every", is_flag=True, help="Compare every item; all of their keys are held in memory.")
@click.option("--seed", default="", help="Which second and which items; --at and --seed of a report repeat its drill.")
@click.option("--at", "at", default="", help="This second instead of a random one: ISO 8601 with an offset.")
@archive_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def drill(
    settings: Settings, *, items: int, every: bool, seed: str, at: str, topology: str, table: str, as_json: bool
) -> int:
    """Restore the table at a random second into a scratch file, compare, and measure.

    The whole table is restored, from a snapshot where there is one. A sample of it is compared with what the segments
    alone say, and the items that were not changed since with the live table. The report has the measured time of the
    restore (RTO) and the age of the archive's watermark (RPO). It is stored under drills/ beside the audit log, signed
    where that log's roots are signed.

    Exit code 0: every comparison held; 1: some item differs.

    Example: fanout drill --items 5000
    """
    from pipeline.wiring import drill as wired
    from pipeline.wiring.reading import Question

    with progress() as line:
        wish = wired.Wish(None if every else items, seed, at)
        report = wired.drill(settings, Question(topology, table), wish, line.say)
    (put_json if as_json else put_report)(report)
    return DONE if report["passed"] else PROBLEM_FOUND
