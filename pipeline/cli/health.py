"""`fanout health`: asks the process on this machine, for container health checks."""

import http.client

import click

from pipeline.cli.amount import Amount
from pipeline.cli.failures import DONE, PROBLEM_FOUND
from pipeline.cli.invocation import invocation, shared_options
from pipeline.settings import load_worker
from pipeline.telemetry.logs import printable

PATH = "/health"
BODY_BYTES_MAX = 64 * 1024
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nothing is bound here: where a server listens on all, ask loopback
"""Where to ask a server that listens on every address."""


@click.command()
@click.option("--timeout-seconds", type=Amount(0.1, 60), default=3.0, show_default=True, help="Longest wait.")
@shared_options
def health(timeout_seconds: float) -> int:
    """Ask the running process whether it is healthy.

    Exit code 0: it is; 1: it says why not, or does not answer. A topology that its destination halts is named, and the
    process is healthy: to start it again would not help. Alarm on `fanout_topology_halted`, or ask `fanout status`.
    """
    worker = load_worker(invocation().file)
    host = ANY_ADDRESS.get(worker.web_host, worker.web_host)
    connection = http.client.HTTPConnection(host, worker.web_port, timeout=timeout_seconds)
    try:
        connection.request("GET", PATH)
        response = connection.getresponse()
        body = response.read(BODY_BYTES_MAX).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        click.echo(f"no answer from {host}:{worker.web_port}: {type(error).__name__}", err=True)
        return PROBLEM_FOUND
    finally:
        connection.close()
    click.echo(printable(body.strip()))
    return DONE if response.status == http.client.OK else PROBLEM_FOUND
