"""`fanout worker`: from the Kinesis data stream to the topologies."""

import click

from pipeline.cli.invocation import with_settings
from pipeline.settings import Settings, check_topologies


@click.command()
@with_settings
def worker(settings: Settings) -> int:
    """Deliver only: from Kinesis to the topologies."""
    from pipeline.wiring import service

    check_topologies(settings)
    return service.run(settings, capture=False, worker=True)
