"""`fanout gaps`: changes that were lost before they could be read, and the decision to go on without them."""

import getpass
import socket
import sys

import click

from pipeline.cli.amount import Amount
from pipeline.cli.bootstrap import SEGMENTS_MAX, tell
from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.render import put_json, put_report
from pipeline.model.gap import GapState
from pipeline.settings import Settings


@click.group()
def gaps() -> None:
    """List changes that were lost unread, and go on without them or heal them."""


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


@gaps.command()
@click.argument("gap_id", metavar="GAP")
@click.option("--segments", type=click.IntRange(1, SEGMENTS_MAX), default=1, show_default=True, help="Readers at once.")
@click.option("--read-units", type=Amount(0), default=0.0, help="Read capacity a second at most; 0: no limit.")
@click.option("--by", default="", help="Who decides; your user and host name unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def heal(settings: Settings, *, gap_id: str, segments: int, read_units: float, by: str, as_json: bool) -> int:
    """Go on behind a gap, and put right what was lost in it.

    Capture and workers must be running. The source is read and compared with its replicas; what differs, and what
    only a replica has, goes to every topology as it is now. Stopped with Ctrl-C or killed, the next call goes on
    where it was. Exit code 0: healed; 1: not yet.
    """
    from pipeline.wiring.bootstrap import Wish
    from pipeline.wiring.heal import heal as healed

    wish = Wish(segments=segments, read_units_per_second=read_units)
    who = by or f"{getpass.getuser()}@{socket.gethostname()}"
    report = healed(settings, gap_id, who, wish, tell if sys.stderr.isatty() else lambda _: None)
    (put_json if as_json else put_report)(report)
    return DONE if report["gap"]["state"] == GapState.HEALED else PROBLEM_FOUND
