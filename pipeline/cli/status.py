"""`fanout status`: shards, leases, lag and checkpoint by topology."""

import click

from pipeline.cli.failures import DONE
from pipeline.cli.invocation import with_settings
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def status(settings: Settings, *, as_json: bool) -> int:
    """Show shards, leases, lag and checkpoints."""
    from pipeline.wiring import status as wired

    report = wired.collect(settings)
    (put_json if as_json else put_report)(report)
    return DONE
