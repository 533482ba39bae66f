"""Names of AWS resources as people give them: a plain name, an ARN, or region/table."""

import re
from typing import NamedTuple

from pipeline.model.errors import Misconfigured
from pipeline.settings.convert import convert
from pipeline.settings.forms import Region, TableName

_ARN = re.compile(r"^arn:[a-z-]+:(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*):(?P<account>[0-9]*):(?P<rest>.+)\Z")


class TablePlace(NamedTuple):
    """A table and the region it is in."""

    region: str
    table: str


def resolve(text: str, field: str, *, service: str, kind: str) -> tuple[str, str]:
    """Return (region, name) of a resource given by ARN, or ("", the text) when it is no ARN.

    Raises Misconfigured for an ARN of something else, such as the stream of a table.
    """
    if not text.startswith("arn:"):
        return "", text
    match = _ARN.match(text)
    if match is None:
        raise Misconfigured(f"{field}: is not a complete ARN", hint=f"give the name of the {kind}, or its whole ARN")
    what, _, name = match["rest"].partition("/")
    if (match["service"], what) != (service, kind):
        raise Misconfigured(
            f"{field}: is an ARN of {match['service']}, not that of a {service} {kind}",
            hint=f"give the name of the {kind}, or an ARN like arn:aws:{service}:<region>:<account>:{kind}/<name>",
        )
    name, _, below = name.partition("/")
    if below:
        raise Misconfigured(
            f"{field}: is the ARN of a {below.partition('/')[0]} of a {kind}",
            hint=f"give the {kind} itself, {name}: the stream of a table is found from its table",
        )
    return match["region"], name


def agree(region: object, found: str, field: str) -> object:
    """Return the region, from the setting or else from an ARN. Raises Misconfigured when both are given and differ."""
    if not found or region == found:
        return region
    if not region:
        return found
    section = field.rpartition(".")[0]
    raise Misconfigured(
        f"{field}: its ARN says region {found}, {section}.region says {region}",
        hint=f"remove {section}.region, or correct one of the two",
    )


def table_place(text: str, field: str) -> TablePlace:
    """Return the place of a table given as `region/table` or as ARN. Raises Misconfigured for anything else."""
    region, table = resolve(text, field, service="dynamodb", kind="table")
    if not region:
        region, slash, table = text.partition("/")
        if not slash:
            raise Misconfigured(f"{field}: names no region", hint="write region/table, such as us-east-1/orders")
    return TablePlace(convert(region, Region, f"{field} (region)"), convert(table, TableName, f"{field} (table)"))
