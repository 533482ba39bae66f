"""`fanout quarantine`: changes that a destination refused, which wait with the later changes of their keys."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from pipeline.cli.amount import Amount
from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.render import put_json, put_report, put_table
from pipeline.settings import Settings

topology_option = click.option("--topology", default="", help="Of this topology only.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def quarantine() -> None:
    """List, show and put through what destinations have refused."""


@quarantine.command("list")
@topology_option
@json_option
@with_settings
def list_(settings: Settings, *, topology: str, as_json: bool) -> int:
    """List the parked keys, oldest first.

    The ID stands for a key and tells nothing of it. All changes of the key since the refused one wait.
    """
    from pipeline.wiring import quarantine as wired

    report = wired.listed(settings, topology=topology)
    (put_json if as_json else put_report)(report)
    return DONE


@quarantine.command()
@click.argument("id_", metavar="ID")
@topology_option
@click.option("--content", is_flag=True, help="Show keys and items too.")
@json_option
@with_settings
def show(settings: Settings, *, id_: str, topology: str, content: bool, as_json: bool) -> int:
    """Show why a key is parked and which of its changes wait, up to 100.

    An ID stands for a key: it is shown for every topology that has the key parked, unless --topology names one.
    """
    from pipeline.wiring import quarantine as wired

    report = wired.shown(settings, id_, topology=topology, content=content)
    if as_json:
        put_json(report)
    else:
        for parked in report["parked"]:
            put_report({f"changes of {parked['id']} for {parked['topology']}": parked["held"]})
    return DONE


@quarantine.command()
@click.argument("id_", metavar="ID", required=False, default="")
@click.option("--all", "all_", is_flag=True, help="All parked keys.")
@topology_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait-seconds", type=Amount(0), default=600.0, show_default=True, help="How long to wait for the workers."
)
@json_option
@with_settings
def redrive(
    settings: Settings, *, id_: str, all_: bool, topology: str, yes: bool, wait_seconds: float, as_json: bool
) -> int:
    """Put a parked key through: its changes go to the destination in order, then the key flows again.

    An ID stands for a key: it is put through for every topology that has it parked, unless --topology names one. The
    workers do it, each on its shards, between two batches. What is refused again stays parked: exit code 1.
    """
    from pipeline.wiring import quarantine as wired

    if bool(id_) == all_:
        raise click.UsageError("give an ID, or --all")
    report = wired.redrive(
        settings,
        id_,
        topology=topology,
        wait_seconds=wait_seconds,
        confirm=lambda rows: None if yes else _confirm(rows),
        tell=_tell,
    )
    (put_json if as_json else put_report)(report)
    return PROBLEM_FOUND if report["refused"] else DONE


def _confirm(rows: Sequence[Mapping[str, Any]]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked: give --yes; nothing was put through")
    put_table("parked", rows)
    click.confirm("Put them through?", abort=True, err=True)


def _tell(done: int, total: int) -> None:
    """Show progress when a person is watching."""
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {total} keys answered", err=True, nl=done == total)
