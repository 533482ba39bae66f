"""`fanout query`: SQL over the archive."""

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import orjson

from pipeline.cli.asking import archive_options, read_so_far, reveal_option, time_options
from pipeline.cli.failures import DONE
from pipeline.cli.invocation import with_settings
from pipeline.cli.progress import progress
from pipeline.cli.render import put_json, put_table
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.tabular.sql import Answer

ROWS_MAX = 10_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@click.command()
@click.argument("sql")
@click.option("--at", "at", default="", help="As it was at the end of this second. Default: the last complete one.")
@click.option("--rows", type=click.IntRange(1), default=ROWS_MAX, show_default=True, help="Print so many rows at most.")
@archive_options
@time_options
@reveal_option
@click.option("--csv", "form", flag_value="csv", help="Print CSV.")
@click.option("--json", "form", flag_value="json", help="Print one JSON object.")
@with_settings
def query(
    settings: Settings,
    *,
    sql: str,
    at: str,
    rows: int,
    topology: str,
    table: str,
    zone: str,
    unproven: bool,
    reveal: bool,
    form: str | None,
) -> int:
    """Ask the archive in SQL: SQL is one SELECT.

    Each source table is a table of its name: the attributes of its key, other top-level attributes of one plain type,
    and `item`, the whole item in DynamoDB JSON. `changes` has every change: time, source, key, kind, old, new,
    sequence. Nothing else can be read: no file, no network. Needs the extra fanout[query].

    Example: fanout query "SELECT status, count(*) FROM orders GROUP BY 1" --at 2026-11-24T10:41:00Z
    """
    from pipeline.wiring import query as wired
    from pipeline.wiring.export import Talk
    from pipeline.wiring.reading import Question

    with progress() as line:
        talk = Talk(read_so_far(line), lambda items: line.say(f"loading: {items:,} items"))
        found = wired.query(settings, Question(topology, table, zone, unproven, reveal), sql, at, rows, talk)
    if form == "json":
        answer = found.answer._asdict()
        put_json(
            {"at": found.at, **answer, "left_out": found.left_out, "gaps": found.gaps}
            | ({"still_encrypted": found.still_encrypted} if reveal else {})
        )
        return DONE
    click.echo(_csv(found.answer), nl=False) if form == "csv" else _show(found.answer, f"as of {found.at}")
    if found.answer.more:
        click.echo(f"there are more rows than {rows}: give --rows", err=True)
    if found.left_out or found.gaps:
        click.echo(f"left out: {found.left_out} items in quarantine, and what was lost in {found.gaps} gaps", err=True)
    if found.still_encrypted:
        names = ", ".join(found.still_encrypted)
        click.echo(f"encrypted with a key that attributes_key_file does not have: {names}", err=True)
    return DONE


def _show(answer: "Answer", title: str) -> None:
    put_table(title, [dict(zip(answer.columns, map(_text, row), strict=True)) for row in answer.rows])


def _csv(answer: "Answer") -> str:
    """Return rows as CSV; text that a spreadsheet would take for a formula has an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_harmless, answer.columns))
    writer.writerows([_harmless(_text(value)) for value in row] for row in answer.rows)
    return out.getvalue()


def _text(value: Any) -> Any:
    """Return lists and structures as JSON."""
    return orjson.dumps(value).decode() if isinstance(value, (dict, Sequence)) and not isinstance(value, str) else value


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
