"""`fanout capture`: from the tables to the Kinesis data stream."""

import click

from pipeline.cli.invocation import with_settings
from pipeline.settings import Settings


@click.command()
@with_settings
def capture(settings: Settings) -> int:
    """Capture only: forward the tables' changes into Kinesis."""
    from pipeline.wiring import service

    return service.run(settings, capture=True, worker=False)
