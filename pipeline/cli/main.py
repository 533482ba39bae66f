"""The command `fanout`: its group, and the one place where errors become words and exit codes."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import click

from pipeline.cli.archive import archive
from pipeline.cli.attributes import attributes
from pipeline.cli.audit import audit
from pipeline.cli.bootstrap import bootstrap
from pipeline.cli.capture import capture
from pipeline.cli.check import check
from pipeline.cli.demo import demo
from pipeline.cli.diff import diff
from pipeline.cli.drill import drill
from pipeline.cli.export import export
from pipeline.cli.failures import DONE, INTERRUPTED, NOT_READ, tell
from pipeline.cli.gaps import gaps
from pipeline.cli.health import health
from pipeline.cli.history import history
from pipeline.cli.invocation import Invocation, shared_options
from pipeline.cli.quarantine import quarantine
from pipeline.cli.query import query
from pipeline.cli.reference import reference
from pipeline.cli.replicate import replicate
from pipeline.cli.restore import restore
from pipeline.cli.run import run
from pipeline.cli.setup import setup
from pipeline.cli.status import status
from pipeline.cli.verify import verify
from pipeline.cli.version import version
from pipeline.cli.worker import worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fanout", message="%(prog)s %(version)s")
@shared_options
def fanout() -> None:
    """Every change of a DynamoDB table, in order, to a replica, an archive, an audit log and any sink of yours."""


COMMANDS = (
    run,
    capture,
    worker,
    check,
    setup,
    replicate,
    bootstrap,
    verify,
    status,
    health,
    restore,
    history,
    diff,
    drill,
    export,
    query,
    gaps,
    archive,
    audit,
    attributes,
    quarantine,
    demo,
    version,
    reference,
)

for command in COMMANDS:
    fanout.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; no error leaves here as a traceback unless --debug asks for it."""
    shared = Invocation()
    try:
        with _ending_like_ctrl_c():
            code = fanout.main(arguments, prog_name="fanout", standalone_mode=False, obj=shared)
    except click.Abort:
        click.echo("ended before it was done; what was done stays, and the same command can be given again", err=True)
        return INTERRUPTED
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # so click ends when nobody reads on
            return NOT_READ
        raise
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except Exception as error:  # noqa: BLE001  # the last line of defence: whatever it is, it is told in one line
        return tell(error, debug=shared.debug)
    return code if isinstance(code, int) else DONE


def _interrupted(number: int, frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a script began it in the background, deaf to Ctrl-C alone
        signal.default_int_handler(number, frame)
    signal.raise_signal(signal.SIGINT)  # to whoever handles it: a running event loop does


@contextmanager
def _ending_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, and the closing of the terminal, clean up as Ctrl-C does; a service has handlers of its own."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    ours = [each for each, handler in before.items() if handler is signal.SIG_DFL]  # not where nohup has it ignored
    for each in ours:
        signal.signal(each, _interrupted)
    try:
        yield
    finally:
        for each in ours:
            signal.signal(each, before[each])
