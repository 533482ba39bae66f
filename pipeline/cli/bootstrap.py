"""`fanout bootstrap`: brings what is in the tables already to the topologies."""

import sys
from typing import TYPE_CHECKING

import click

from pipeline.cli.amount import Amount
from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.wiring.bootstrap import Progress

SEGMENTS_MAX = 64


@click.command()
@click.option("--table", "tables", multiple=True, help="Only this source table; may be given several times.")
@click.option("--topology", "topologies", multiple=True, help="Only for this topology; may be given several times.")
@click.option("--segments", type=click.IntRange(1, SEGMENTS_MAX), default=1, show_default=True, help="Readers at once.")
@click.option("--read-units", type=Amount(0), default=0.0, help="Read capacity a second at most; 0: no limit.")
@click.option(
    "--export",
    default="",
    metavar="S3-PLACE",
    help="Take the rows from a full export to S3, s3://bucket/…/AWSDynamoDB/ID, and read only what has changed since.",
)
@click.option("--again", is_flag=True, help="Copy a table that was copied before once more.")
@click.option("--no-wait", is_flag=True, help="End when every row is in the stream; workers deliver them later.")
@click.option("--pause", "action", flag_value="paused", help="Let a running copy stop where it is.")
@click.option("--cancel", "action", flag_value="cancelled", help="End a copy for good.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def bootstrap(
    settings: Settings,
    *,
    tables: tuple[str, ...],
    topologies: tuple[str, ...],
    segments: int,
    read_units: float,
    export: str,
    again: bool,
    no_wait: bool,
    action: str | None,
    as_json: bool,
) -> int:
    """Copy what is in the source tables already, while changes flow.

    Workers must be running, here or elsewhere: they deliver the rows. A row never overwrites a later change, and
    nothing is written to the source. Killed, stopped with Ctrl-C or paused, the next call goes on where it was.

    With --export the table is not scanned: only items that have changed since the export are read. The table's stream
    must have been on before it, and less than 23 hours have passed since.

        fanout bootstrap --read-units 500
    """
    from pipeline.coordination.copies import Phase
    from pipeline.wiring import bootstrap as wired

    if action is not None:
        phases = wired.change_phase(settings, tables, Phase(action), export=export)
        (put_json if as_json else put_report)({"tables": [{"table": t, "phase": p} for t, p in phases.items()]})
        return DONE
    wish = wired.Wish(tables, topologies, segments, read_units, again, not no_wait, export)
    report = wired.bootstrap(settings, wish, tell if sys.stderr.isatty() else lambda _: None)
    (put_json if as_json else put_report)(report)
    return DONE if report["done"] else PROBLEM_FOUND


def tell(progress: "Progress") -> None:
    """Show on one line how far a table is."""
    share = f" of about {progress.about:,}" if progress.about else ""
    line = f"{progress.table}: {progress.rows:,}{share} rows read, {progress.arrived:,} arrived"
    click.echo(f"\r{line}, {progress.read_units:,.0f} read units ", nl=False, err=True)
