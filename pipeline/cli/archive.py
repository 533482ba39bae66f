"""`fanout archive`: what the archive holds, and whether it is whole."""

import click

from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings


@click.group()
def archive() -> None:
    """Look after the archive."""


@archive.command()
@click.option("--topology", default="archive", show_default=True, help="Name of the topology that writes the archive.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def check(settings: Settings, *, topology: str, as_json: bool) -> int:
    """Read every object of the archive and check that it is whole.

    Exit code 0: every range follows the one before, every hash fits, and no shard ends before its checkpoint; 1: the
    report names each object that is missing, cut, changed, foreign or forked, and the remedy. Also shown: the archive's
    first moment, and its watermark, up to which every change of the tables is in it.

    Example: fanout archive check --json
    """
    from pipeline.wiring import archive as wired

    report = wired.check_archive(settings, topology=topology)
    (put_json if as_json else put_report)(report)
    return DONE if report["sound"] else PROBLEM_FOUND
