"""`fanout audit`: proves the audit log."""

from pathlib import Path

import click

from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import shared_options, with_settings
from pipeline.cli.render import put_json, put_report
from pipeline.settings import Settings


@click.group()
def audit() -> None:
    """Prove the audit log."""


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
