"""`fanout archive`: is it whole; snapshots of it; what is kept of it."""

import click

from pipeline.cli.asking import time_options
from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.progress import progress
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
    first moment, its watermark, up to which every change of the tables is in it, and its snapshots, which are read too.

    Example: fanout archive check --json
    """
    from pipeline.wiring import archive as wired

    report = wired.check_archive(settings, topology=topology)
    (put_json if as_json else put_report)(report)
    return DONE if report["sound"] else PROBLEM_FOUND


@archive.command()
@click.option("--at", "at", default="", help="Moment of the snapshot: ISO 8601 with an offset. Default: the watermark.")
@click.option("--topology", default="archive", show_default=True, help="Name of the topology that writes the archive.")
@time_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def compact(settings: Settings, *, at: str, topology: str, zone: str, unproven: bool, as_json: bool) -> int:
    """Make a snapshot: every table as it was at a second, so that a restore reads that and what follows.

    It is made from the last snapshot before it and the segments since, in bounded memory, and nothing is replaced. The
    same moment again finds it made. Killed half way, run it again.

    Example: fanout archive compact --at 2026-11-24T00:00:00Z
    """
    from pipeline.wiring import compact as wired

    with progress() as line:
        report = wired.compact(
            settings,
            wired.Wish(topology, at, zone, unproven),
            lambda so_far: line.say(
                f"compacting: {so_far.segments:,} segments, {so_far.changes:,} changes, {so_far.items:,} items"
            ),
        )
    (put_json if as_json else put_report)(report)
    return DONE


@archive.command()
@click.option("--keep", required=True, help="Which moments can still be restored: the last 35d, 12h or 8w.")
@click.option("--topology", default="archive", show_default=True, help="Name of the topology that writes the archive.")
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def prune(settings: Settings, *, keep: str, topology: str, dry_run: bool, as_json: bool) -> int:
    """Delete what no restore inside a window needs: everything before the last snapshot that is older than it.

    Before that the snapshot is read, and made anew from what is to be deleted, and compared. A record that says from
    where on the archive is whole is stored first: killed half way, the archive is sound, and a second run deletes the
    rest. In a bucket with versions, or with Object Lock, the versions stay until a rule of the bucket ends them.

    Exit code 0: deleted; 1: the store refused to let some objects go, they are counted; 2: there is no such snapshot.

    Example: fanout archive prune --keep 35d --dry-run
    """
    from pipeline.wiring import prune as wired

    with progress() as line:
        report = wired.pruned(
            settings,
            topology=topology,
            keep=keep,
            dry_run=dry_run,
            tell=lambda deleted: line.say(f"deleting: {deleted.segments:,} segments, {deleted.parts:,} parts"),
        )
    (put_json if as_json else put_report)(report)
    return PROBLEM_FOUND if report["refused"] else DONE
