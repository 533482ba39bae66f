"""Options that every command has that reads the archive."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pipeline.cli.progress import Line
from pipeline.history.reading import Pass

Command = TypeVar("Command", bound=Callable[..., Any])

KEY_FORM = "pk=…,sk=…, or JSON"


def archive_options(command: Command) -> Command:
    """Add --topology and --table."""
    for option in (
        click.option("--table", default="", help="The source table, when the archive has several."),
        click.option("--topology", default="archive", show_default=True, help="Name of the archive's topology."),
    ):
        command = option(command)
    return command


def reveal_option(command: Command) -> Command:
    """Add --reveal."""
    text = "Decrypt what the archive has encrypted; needs its attributes_key_file."
    return click.option("--reveal", is_flag=True, help=text)(command)


def time_options(command: Command) -> Command:
    """Add --zone and --unproven."""
    for option in (
        click.option("--unproven", is_flag=True, help="Do not ask the pipeline whether the archive is complete."),
        click.option("--zone", default="", help="Zone of times that have no offset, such as Europe/Oslo."),
    ):
        command = option(command)
    return command


def scope_options(command: Command) -> Command:
    """Add --keys and --prefix."""
    for option in (
        click.option(
            "--prefix", "prefix", multiple=True, help="Only items whose key attribute starts so: ATTRIBUTE=TEXT."
        ),
        click.option("--keys", "keys", multiple=True, help=f"Only this item: {KEY_FORM}; @FILE has one a line."),
    ):
        command = option(command)
    return command


def read_so_far(line: Line) -> Callable[[Pass], None]:
    """Return what tells a person how much of the archive was read."""
    return lambda met: line.say(f"reading the archive: {met.segments:,} segments, {met.changes:,} changes")
