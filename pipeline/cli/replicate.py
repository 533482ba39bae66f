"""`fanout replicate`: a replica of one table, without a configuration file."""

import click

from pipeline.cli.failures import DONE
from pipeline.cli.invocation import invocation, shared_options
from pipeline.cli.setup import create
from pipeline.settings import table_place


@click.command()
@click.argument("source")
@click.argument("destination")
@click.option("--yes", is_flag=True, help="Create what is missing without asking.")
@shared_options
def replicate(source: str, destination: str, *, yes: bool) -> int:
    """Replicate one table: SOURCE and DESTINATION are region/table or ARNs.

    Creates what is missing, then captures and delivers until SIGTERM or Ctrl-C. Items that are in the table already are
    not copied: what arrives are changes from now on, and what the table's stream still has of the last 24 hours.

        fanout replicate us-east-1/orders eu-west-1/orders
    """
    places = table_place(source, "SOURCE"), table_place(destination, "DESTINATION")

    from pipeline.wiring import replicate as wired
    from pipeline.wiring import service

    settings = wired.plan(*places)
    invocation().log(settings.log.level, settings.log.format)
    click.echo("note: items that are in the table already are not copied, only their changes are", err=True)
    code = create(settings, yes=yes)
    if code != DONE:
        return code
    return service.run(settings, capture=True, worker=True)
