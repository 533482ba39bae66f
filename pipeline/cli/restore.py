"""`fanout restore`: a table, some items or a bad hour, back as they were."""

import sys
from collections.abc import Mapping
from typing import Any

import click

from pipeline.cli.amount import Amount
from pipeline.cli.asking import archive_options, read_so_far, reveal_option, scope_options, time_options
from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.progress import Line, progress
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings


@click.command()
@click.option("--at", "at", default="", help="As it was at the end of this second: ISO 8601 with an offset.")
@click.option("--from", "start", default="", help="First second of the bad changes; for the live table.")
@click.option("--to", "end", default="", help="Last second of the bad changes; --from when it is not given.")
@click.option("--into", default="", help="Table to restore into: a new one, or the live one. [REGION/]TABLE")
@click.option("--file", "file", default="", help='File to restore into, one line {"Item":…} an item.')
@scope_options
@click.option("--dry-run", is_flag=True, help="Only print the plan.")
@click.option("--plan", "plan_file", default="", help="Write every item of the plan to this file, as JSON lines.")
@click.option("--content", is_flag=True, help="Show the values in the plan too, old and new.")
@click.option("--overwrite", is_flag=True, help="Live table: undo bad changes also where a later one would be lost.")
@click.option("--yes", "name", default="", help="Do not ask: the name of the live table, as it would be typed.")
@click.option(
    "--write-units",
    type=Amount(1.0),
    default=1000.0,
    show_default=True,
    help="Write units a second to use at most.",
)
@click.option(
    "--follow", is_flag=True, help="Keep the table of --into warm: fill it, then apply what comes, until Ctrl-C."
)
@click.option("--once", is_flag=True, help="With --follow: end when the table has what the archive has now.")
@archive_options
@time_options
@reveal_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def restore(settings: Settings, /, *, name: str, as_json: bool, **given: Any) -> int:
    """Put a table, or some items, back as they were at a second.

    Into a new table or a file goes every item as it was --at a time. Into the live table go only items that had a bad
    change, --from one second --to another (or any change after --at), and only those whose bad change is their last:
    an item that was changed again later is kept, and each write is on the condition that the item is what the plan
    saw. Nothing is written before every hash of what it reads was checked. Killed half way, run it again.

    With --follow, and no time, a table of its own follows the archive, and nothing but the archive is asked. How far
    it is lies in the table <name>-standby beside it; Ctrl-C or a kill does no harm, the next run goes on.

    Exit code 0: done as planned; 1: some items were not restored, or the answer was no; the report has the counts.

    Example: fanout restore --from 2026-11-24T10:41:00Z --to 2026-11-24T10:55:00Z --into orders --dry-run
    """
    from pipeline.wiring import restore as wired
    from pipeline.wiring.reading import Question
    from pipeline.wiring.restore_report import Times

    if given["follow"] or given["once"]:
        return _follow(settings, given, as_json=as_json)
    with progress() as line:
        talk = wired.Talk(
            read_so_far(line),
            lambda items: line.say(f"planning: {items:,} items"),
            lambda tally: line.say(f"writing: {tally.writes:,} items"),
            lambda report: _agreed(report, name, line),
        )
        report = wired.restore(
            settings,
            Question(given["topology"], given["table"], given["zone"], given["unproven"], given["reveal"]),
            Times(given["at"], given["start"], given["end"]),
            (given["keys"], given["prefix"]),
            wired.Destination(given["into"], given["file"]),
            wired.Manner(
                given["dry_run"], given["overwrite"], given["content"], given["plan_file"], given["write_units"]
            ),
            talk,
        )
    (put_json if as_json else put_report)(report)
    return _code(report, dry_run=given["dry_run"])


def _follow(settings: Settings, given: Mapping[str, Any], *, as_json: bool) -> int:
    """Keep a standby; other options than those of a place have no meaning for it."""
    from pipeline.wiring import follow as wired
    from pipeline.wiring.reading import Question

    others = [
        name
        for name in ("at", "start", "end", "file", "keys", "prefix", "dry_run", "plan_file", "reveal")
        if given[name]
    ]
    if others or not given["follow"] or not given["into"]:
        raise click.UsageError("--follow takes --into TABLE, and --once, but no time, scope, file, plan or --reveal")
    with progress() as line:
        report = wired.follow(
            settings,
            Question(given["topology"], given["table"]),
            given["into"],
            once=given["once"],
            tell=lambda so_far: line.say(
                f"following: {so_far.segments:,} segments, {so_far.put:,} items put, {so_far.deleted:,} deleted"
            ),
        )
    (put_json if as_json else put_report)(report)
    return PROBLEM_FOUND if report["incomplete"] else DONE


def _agreed(report: Mapping[str, Any], name: str, line: Line) -> bool:
    """Ask for the live table's name, unless it was given; a new table needs no question."""
    if not report["live"]:
        return True
    table = str(report["table"])
    if name or not sys.stdin.isatty():
        if name != table:
            raise click.UsageError(f"restoring into the live table needs --yes {table}; nothing was written")
        return True
    line.pause()
    counts = report["planned"]
    click.echo(
        f"Into the live table {report['into']}: {counts['put']:,} items to put, {counts['delete']:,} to delete,"
        f" {counts['later'] + counts['stale']:,} changed later and kept.",
        err=True,
    )
    answer = click.prompt("Type the table's name to go on", default="", show_default=False, err=True)
    line.go_on()
    return bool(answer == table)


def _code(report: Mapping[str, Any], *, dry_run: bool) -> int:
    if dry_run:
        return DONE
    if "done" not in report:
        return PROBLEM_FOUND
    return DONE if report["as_planned"] and not report["done"]["stale"] else PROBLEM_FOUND
