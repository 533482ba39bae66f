"""`fanout attributes`: the key with which attributes are hashed and encrypted."""

from pathlib import Path

import click

from pipeline.cli.failures import DONE
from pipeline.cli.invocation import shared_options
from pipeline.cli.render import put_json, put_report


@click.group()
def attributes() -> None:
    """Keep attributes from topologies: left out, hashed or encrypted."""


@attributes.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared_options
def keygen(file: Path, *, as_json: bool) -> int:
    """Make a key for hash_attributes and encrypt_attributes, and write it to FILE.

    Only the owner of FILE may read it. Give its name as `attributes_key_file`. To change the key, put the line of a new
    one above the old: the first is used, all are tried to reveal. What a destroyed key encrypted, nobody can read.
    """
    from pipeline.wiring.attributes import make_key

    (put_json if as_json else put_report)(make_key(file))
    return DONE
