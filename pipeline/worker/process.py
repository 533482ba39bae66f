"""One process: Faust's worker, its signals, its exit code."""

import logging
from typing import Any

from faust.worker import Worker

from pipeline.worker.app import Work, create_app, side_services

logger = logging.getLogger(__name__)


class FanoutWorker(Worker):
    """Faust's worker without what a service must not have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.spinner = None  # it sends a terminal's codes to whatever standard output is, amid the lines of the log

    def _enter_debugger(self) -> None:
        """Refuse: SIGUSR2 would stop the whole service in a debugger nobody sees."""
        logger.warning("SIGUSR2 is ignored")

    def _setup_logging(self) -> None:
        """Leave logging as the command line set it up."""


def run(work: Work) -> int:
    """Run until SIGTERM or SIGINT; return the exit code: 0 after a drain, 1 after a crash."""
    app = create_app(work)
    worker: Any = FanoutWorker(app, *side_services(work), quiet=True, redirect_stdouts=False, override_logging=False)
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
