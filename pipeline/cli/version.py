"""`fanout version`: this software and what its behaviour depends on most."""

import platform
from importlib.metadata import version as version_of

import click

from pipeline.cli.failures import DONE
from pipeline.cli.render import put_json

PACKAGES = ("fanout", "boto3", "faust-streaming")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def version(*, as_json: bool) -> int:
    """Show the versions of fanout, Python, boto3 and Faust."""
    versions = {**{name: version_of(name) for name in PACKAGES}, "python": platform.python_version()}
    if as_json:
        put_json(versions)
    else:
        for name, number in versions.items():
            click.echo(f"{name} {number}")
    return DONE
