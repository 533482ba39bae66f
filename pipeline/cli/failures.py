"""How a command ends when it cannot do what it was asked: a reason, a fix, and an exit code by cause."""

import errno
import traceback
from collections.abc import Mapping

import click

from pipeline.model.errors import (
    Corrupt,
    Defect,
    Gap,
    IteratorExpired,
    LeaseLost,
    Misconfigured,
    PipelineError,
    Rejected,
    RetryLater,
)
from pipeline.telemetry.logs import printable

DONE = 0
PROBLEM_FOUND = 1
DEFECT = 70
INTERRUPTED = 130
NOT_READ = 141
"""As of a process that SIGPIPE ended."""

CODES: Mapping[type[PipelineError], int] = {
    Misconfigured: 2,
    Gap: 3,
    Corrupt: 4,
    Rejected: 5,
    Defect: DEFECT,
    RetryLater: 75,
    LeaseLost: 75,
    IteratorExpired: 75,
}

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

MEANINGS: Mapping[int, str] = {
    DONE: "done",
    PROBLEM_FOUND: "ran, and found a problem: a finding, a difference, a process that is not healthy",
    2: "wrong use or wrong configuration: nothing was done",
    3: "changes were lost before they could be read: see `fanout gaps list`",
    4: "stored bytes are not what was written: a person has to look",
    5: "a destination refuses changes for good",
    DEFECT: "a defect in this software or in a topology: --debug shows where",
    75: "no answer now, or another worker owns the work: the same call may succeed later",
    INTERRUPTED: "interrupted by Ctrl-C or SIGTERM",
    NOT_READ: "nobody read the output to its end, as with `| head`",
}


def tell(error: Exception, *, debug: bool) -> int:
    """Write what went wrong and what to do about it to standard error; return the exit code.

    The text of an error nobody foresaw is not shown, because it may quote an item: its kind and place are.
    """
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if isinstance(error, PipelineError):
        _say(error.reason, error.hint)
        return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), PROBLEM_FOUND)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        _say(f"{error.filename or 'standard output'}: {error.strerror}", "make room, and run it again")
        return CODES[RetryLater]
    frame = traceback.extract_tb(error.__traceback__)[-1]
    _say(
        f"unexpected {type(error).__name__} in {frame.filename}:{frame.lineno}, {frame.name}",
        "" if debug else "run it again with --debug to see the traceback, which may quote items",
    )
    return DEFECT


def _say(reason: str, fix: str) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(reason)}", err=True)
    if fix:
        click.echo(f"{click.style('fix:', bold=True)} {printable(fix)}", err=True)
