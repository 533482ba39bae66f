"""`fanout demo`: the whole job on an embedded AWS, with proof at the end."""

import click

from pipeline.cli.amount import Amount
from pipeline.cli.invocation import invocation, shared_options

CHANGES_DEFAULT = 5_000
SECONDS_MAX_DEFAULT = 150.0


@click.command()
@click.option(
    "--changes", type=click.IntRange(1, 10_000_000), default=CHANGES_DEFAULT, show_default=True, help="Writes to make."
)
@click.option(
    "--seconds-max",
    type=Amount(1, 86_400),
    default=SECONDS_MAX_DEFAULT,
    show_default=True,
    help="Give up when changes have not arrived by then.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared_options
def demo(changes: int, seconds_max: float, *, as_json: bool) -> int:
    """Run the whole job on an embedded AWS and prove the result.

    A workload runs, a worker is killed on the way; at the end replica, archive and audit log are compared with the
    source. Needs nothing but this package with its demo extra: no account, no network.
    """
    from pipeline.wiring import demo as wired

    invocation().log(level="warning")
    return wired.run(changes=changes, seconds_max=seconds_max, as_json=as_json)
