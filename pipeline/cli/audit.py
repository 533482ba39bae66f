"""`fanout audit`: proves the audit log."""

import click

from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings


@click.group()
def audit() -> None:
    """Prove the audit log."""


@audit.command()
@click.option("--topology", default="audit", show_default=True, help="Name of the topology that writes the log.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def verify(settings: Settings, *, topology: str, as_json: bool) -> int:
    """Read the whole log and follow its chains.

    Gaps that the log tells of are listed: changes that were lost before anybody could read them.

    Exit code 0: every hash fits, and no chain ends before its checkpoint; 1: the report names what does not. Somebody
    who may write to the bucket and computes all later hashes anew is not found: keep the chains' ends elsewhere.
    """
    from pipeline.wiring import audit as wired

    report = wired.verify(settings, topology=topology)
    (put_json if as_json else put_report)(report)
    return DONE if report["verified"] else PROBLEM_FOUND
