"""`fanout check`: what would keep the pipeline from starting, or from keeping its promises."""

from collections import Counter
from collections.abc import Sequence

import click

from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import with_settings
from pipeline.cli.render import put_json
from pipeline.settings import Settings
from pipeline.settings.preflight import Finding, Severity
from pipeline.telemetry.logs import printable

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings
def check(settings: Settings, *, as_json: bool) -> int:
    """Look at what the configuration names; change nothing.

    Exit code 0: it can start; 1: there are errors, each with its fix.
    """
    from pipeline.wiring import inspect

    return report(inspect.findings(settings), as_json=as_json)


def report(findings: Sequence[Finding], *, as_json: bool) -> int:
    """Write the findings; return 1 when one of them is an error."""
    count = Counter(finding.severity for finding in findings)
    code = PROBLEM_FOUND if count[Severity.ERROR] else DONE
    if as_json:
        put_json({"ok": code == DONE, "findings": [finding._asdict() for finding in findings]})
        return code
    for severity, field, reason, fix in findings:
        click.echo(f"{click.style(f'{severity:<7}', fg=_COLOURS[severity])}  {field}: {printable(reason)}")
        click.echo(f"{'':7}  fix: {printable(fix)}")
    click.echo(f"{count[Severity.ERROR]} errors, {count[Severity.WARNING]} warnings")
    return code
