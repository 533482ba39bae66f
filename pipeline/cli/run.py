"""`fanout run`: the whole service in one process."""

import click

from pipeline.cli.invocation import with_settings
from pipeline.settings import Settings, check_topologies


@click.command()
@with_settings
def run(settings: Settings) -> int:
    """Capture and deliver in one process, until SIGTERM or Ctrl-C."""
    from pipeline.wiring import service

    check_topologies(settings)
    return service.run(settings, capture=True, worker=True)
