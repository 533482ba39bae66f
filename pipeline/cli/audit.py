"""`fanout audit`: proves and shows the audit log, and makes the key that signs it."""

import json
from pathlib import Path
from typing import Any

import click

from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import shared_options, with_settings
from pipeline.cli.progress import progress
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings


@click.group()
def audit() -> None:
    """Prove and show the audit log."""


@audit.command()
@click.option("--topology", default="audit", show_default=True, help="Name of the topology that writes the log.")
@click.option(
    "--public-key",
    "key_files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File of public keys in PEM, old ones too; may be repeated. Default: that of the configured signing key.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def verify(settings: Settings, *, topology: str, key_files: tuple[Path, ...], as_json: bool) -> int:
    """Read the whole log, and hold it against its hashes and its signed roots.

    Gaps that the log tells of are listed: changes that were lost before anybody could read them.

    Exit code 0: every hash fits, the log is what its roots vouch for, and no chain ends before its checkpoint; 1: the
    report names what does not. What no root vouches for yet is followed by its hashes alone: there, somebody who may
    write to the bucket and computes all later hashes anew is not found.
    """
    from pipeline.wiring import audit as wired

    report = wired.verify(settings, topology=topology, key_files=key_files)
    (put_json if as_json else put_report)(report)
    return DONE if report["verified"] else PROBLEM_FOUND


@audit.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared_options
def keygen(file: Path, *, as_json: bool) -> int:
    """Make a key that signs roots: write it to FILE, and print its public half.

    Only the owner of FILE may read it. Give its name as `signing_key_file`, and the public half to those who verify.
    """
    from pipeline.aws.signing import make_key

    key = make_key(file)
    if as_json:
        put_json({"file": str(file), "fingerprint": key.id, "public_key": key.pem})
    else:
        click.echo(f"{key.pem}fingerprint: {key.id}\nprivate key: {file}")
    return DONE


@audit.command()
@click.argument("key", default="")
@click.option("--topology", default="audit", show_default=True, help="Name of the topology that writes the log.")
@click.option("--table", default="", help="Only this source table; needed with KEY when there are several.")
@click.option("--from", "begin", default="", help="First second, such as 2026-11-24T10:41:07Z.")
@click.option("--to", "end", default="", help="Last second.")
@click.option("--zone", default="", help="Zone of times that have no offset, such as Europe/Oslo.")
@click.option("--actor", default="", help="Only changes this actor made; ttl: those of time-to-live.")
@click.option(
    "--last", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="Show so many entries, the last."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, one for each entry.")
@with_settings
def show(
    settings: Settings,
    *,
    key: str,
    topology: str,
    table: str,
    begin: str,
    end: str,
    zone: str,
    actor: str,
    last: int,
    as_json: bool,
) -> int:
    """Show entries with what each changed, by whom and when: content of items is printed.

    KEY names an item: pk=…,sk=… with the names of the table's key attributes, or JSON. The hashes inside each object
    are checked; whether the log is complete is for `fanout audit verify`.

    Example: fanout audit show customer=customer-001,order=3 --from 2026-11-24T10:00:00Z
    """
    from pipeline.wiring import audit_show

    with progress() as line:
        report = audit_show.show(
            settings,
            topology=topology,
            key=key,
            table=table,
            times=(begin, end),
            zone=zone,
            actor=actor,
            entries_max=last,
            progress=lambda objects: line.say(f"reading the log: {objects:,} objects"),
        )
    if not as_json:
        put_report({**report, "entries": [_spread(row) for row in report["entries"]]})
    for row in report["entries"] if as_json else ():
        put_json(row)
    return DONE


def _spread(row: dict[str, Any]) -> dict[str, str]:
    """Return an entry as one row of text: its key and what it changed as JSON."""
    spread = {name: row[name] for name in ("time", "kind", "table")}
    spread |= {"key": json.dumps(row["key"]), "actor": row["actor"]}
    return {
        **spread,
        "changed": json.dumps({name: [each["old"], each["new"]] for name, each in row["changed"].items()}),
    }
