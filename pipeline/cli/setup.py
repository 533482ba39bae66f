"""`fanout setup`: creates what the configuration names and does not exist yet."""

import sys

import click

from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.settings import Settings
from pipeline.telemetry.logs import printable


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask. Without a terminal nothing is asked anyway.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be created.")
@click.option("--source-keys", default="", help="Create source tables too, with this key: id:S or pk:S,sk:N.")
@with_settings
def setup(settings: Settings, *, yes: bool, dry_run: bool, source_keys: str) -> int:
    """Create what the configuration names and is missing.

    Nothing that exists is changed, except that a source table's stream is switched on when it is off.
    """
    return create(settings, yes=yes, dry_run=dry_run, source_keys=source_keys)


def create(settings: Settings, *, yes: bool, dry_run: bool = False, source_keys: str = "") -> int:
    """Tell what is missing, ask if there is somebody to ask, create it; return 1 when the answer is no."""
    from pipeline.wiring import setup as wired

    missing = wired.create(settings, yes=False, source_keys=source_keys)
    if not missing:
        click.echo("nothing is missing", err=True)
        return DONE
    for line in missing:
        click.echo(f"missing: {printable(line)}", err=True)
    if dry_run:
        return DONE
    if not yes and sys.stdin.isatty() and not click.confirm("Create it?", err=True):
        return PROBLEM_FOUND
    for line in wired.create(settings, yes=True, source_keys=source_keys):
        click.echo(f"created: {printable(line)}", err=True)
    return DONE
