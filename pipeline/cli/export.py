"""`fanout export`: a table as it was at a second, for DynamoDB's own import and for others' readers."""

import click

from pipeline.cli.asking import archive_options, read_so_far, reveal_option, time_options
from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.progress import progress
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings


@click.command()
@click.option("--at", "at", required=True, help="As it was at the end of this second: ISO 8601 with an offset.")
@click.option("--to", "to", required=True, metavar="PLACE", help="s3://bucket/prefix, or a local folder.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["dynamodb-json", "parquet"]),
    default="dynamodb-json",
    show_default=True,
    help="Of the data files; parquet needs the extra fanout[parquet].",
)
@archive_options
@time_options
@reveal_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def export(
    settings: Settings,
    *,
    at: str,
    to: str,
    form: str,
    topology: str,
    table: str,
    zone: str,
    unproven: bool,
    reveal: bool,
    as_json: bool,
) -> int:
    """Write a table as it was at a second, in the layout of DynamoDB's own full export.

    Below PLACE comes AWSDynamoDB/ID/ with two manifests and data/, whose gzip files hold one line {"Item":…} an item:
    ImportTable takes that folder (DYNAMODB_JSON, GZIP). The same table and second have the same ID. The summary comes
    last: killed half way, run it again. An export that is there already is left alone. As Parquet the folder is
    parquet/ID/; a row has the key's attributes and the item in DynamoDB JSON.

    Exit code 0: all items are in it; 1: it was written, but the archive lacks changes, which the report names.

    Example: fanout export --at 2026-11-24T10:41:00Z --to s3://orders-exports/november
    """
    from pipeline.wiring import export as wired
    from pipeline.wiring.reading import Question

    with progress() as line:
        talk = wired.Talk(read_so_far(line), lambda items: line.say(f"writing: {items:,} items"))
        report = wired.export(settings, Question(topology, table, zone, unproven, reveal), at, to, form, talk)
    (put_json if as_json else put_report)(report)
    return DONE if report["complete"] else PROBLEM_FOUND
