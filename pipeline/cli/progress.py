"""Progress for a person at a terminal, on standard error; nothing for anybody else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status


class Line:
    """One line that says how far the work is."""

    def __init__(self, status: Status | None) -> None:
        self._status = status

    def say(self, text: str) -> None:
        """Show a text in place of the last one."""
        if self._status is not None:
            self._status.update(text)

    def pause(self) -> None:
        """Take the line away, to ask a question."""
        if self._status is not None:
            self._status.stop()

    def go_on(self) -> None:
        """Show the line again."""
        if self._status is not None:
            self._status.start()


@contextmanager
def progress(begins: str = "reading the archive") -> Iterator[Line]:
    """Show a line while the work goes on, when somebody is watching."""
    if not sys.stderr.isatty():
        yield Line(None)
        return
    with Console(stderr=True).status(begins) as status:
        yield Line(status)
