"""`fanout capture`: from the tables to the Kinesis data stream."""

import click

from pipeline.cli.invocation import gap_option, with_settings
from pipeline.settings import Settings


@click.command()
@gap_option
@with_settings
def capture(settings: Settings, *, accept_gap: bool) -> int:
    """Capture only: forward the tables' changes into Kinesis."""
    from pipeline.wiring import service

    return service.run(settings, capture=True, worker=False, accept_gap=accept_gap)
