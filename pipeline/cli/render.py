"""Reports: JSON for machines, plain columns for pipes, tables for a person at a terminal."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.telemetry.logs import printable


def put_json(report: object) -> None:
    """Write one JSON document on one line."""
    click.echo(json.dumps(report))


def put_report(report: Mapping[str, object], path: str = "") -> None:
    """Write a report: rows as a table under their name, a mapping of rows likewise, anything else as `name: value`."""
    for name, value in report.items():
        title = f"{path} {name}".strip().replace("_", " ")
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            put_table(title, value)
        elif isinstance(value, dict) and value and all(_is_row(row) for row in value.values()):
            put_table(title, [{"": key, **row} for key, row in value.items()])
        elif isinstance(value, dict):
            put_report(value, title)
        else:
            click.echo(f"{printable(title)}: {cell(value)}")


def _is_row(value: object) -> bool:
    return isinstance(value, dict) and not any(isinstance(inner, dict) for inner in value.values())


def put_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows under a title; their keys, in order of appearance, are the columns."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[cell(row.get(name)) for name in columns] for row in rows]
    headings = [name.replace("_", " ") for name in columns]
    if sys.stdout.isatty():
        table = Table(title=Text(title), title_justify="left")
        for heading in headings:
            table.add_column(Text(heading))
        for row_cells in cells:
            table.add_row(*map(Text, row_cells))
        Console().print(table)
        return
    click.echo(f"{title}: {'none' if not rows else ''}".rstrip())
    for line in _aligned([headings, *cells] if rows else []):
        click.echo("  " + line)


def cell(value: object) -> str:
    """Return a value as one cell of a table: "-" for what is not known, one decimal for a fraction."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(cell, value)) or "-"
    return f"{value:.1f}" if isinstance(value, float) else printable(str(value))


def _aligned(lines: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
