"""`fanout replicate`: a replica of one table, without a configuration file."""

import click

from pipeline.cli.failures import DONE
from pipeline.cli.invocation import invocation, shared_options
from pipeline.cli.setup import create
from pipeline.settings import table_place


@click.command()
@click.argument("source")
@click.argument("destination")
@click.option(
    "--yes", is_flag=True, help="Create what is missing without asking. Without a terminal nothing is asked anyway."
)
@click.option("--no-copy", is_flag=True, help="Copy changes only, not what is in the table already.")
@shared_options
def replicate(source: str, destination: str, *, yes: bool, no_copy: bool) -> int:
    """Replicate one table: SOURCE and DESTINATION are region/table or ARNs.

    Creates what is missing, then captures and delivers until SIGTERM or Ctrl-C, and once, meanwhile, copies the items
    that are in the table already. To limit what that reads, use --no-copy and `fanout bootstrap --read-units`.

        fanout replicate us-east-1/orders eu-west-1/orders
    """
    places = table_place(source, "SOURCE"), table_place(destination, "DESTINATION")

    from pipeline.wiring import replicate as wired
    from pipeline.wiring import service

    settings = wired.plan(*places)
    invocation().log(settings.log.level, settings.log.format)
    code = create(settings, yes=yes)
    if code != DONE:
        return code
    return service.run(settings, capture=True, worker=True, copy=not no_copy)
