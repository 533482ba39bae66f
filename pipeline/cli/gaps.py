"""`fanout gaps`: changes that were lost before they could be read, and the decision to go on without them."""

import getpass
import socket

import click

from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.render import put_json, put_report
from pipeline.model.gap import GapState
from pipeline.settings import Settings


@click.group()
def gaps() -> None:
    """List changes that were lost unread, and go on without them."""


@gaps.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def list_(settings: Settings, *, as_json: bool) -> int:
    """List every gap of the pipeline: from where to where, why, and what was decided.

    Exit code 0: none is open; 1: a shard stands still before one.
    """
    from pipeline.wiring import gaps as wired

    rows = wired.listed(settings)
    (put_json if as_json else put_report)({"gaps": rows})
    return PROBLEM_FOUND if any(row["state"] == GapState.OPEN for row in rows) else DONE


@gaps.command()
@click.argument("gap_id", metavar="GAP")
@click.option("--by", default="", help="Who decides; your user and host name unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def accept(settings: Settings, *, gap_id: str, by: str, as_json: bool) -> int:
    """Go on behind a gap, without what was lost.

    A running process goes on within half a minute. Who decided, and when, is written to the audit log.
    """
    from pipeline.wiring import gaps as wired

    row = wired.accept(settings, gap_id, by or f"{getpass.getuser()}@{socket.gethostname()}")
    (put_json if as_json else put_report)(row)
    return DONE
