"""Fixtures for all tests: emulators, and AWS clients that can reach nothing else."""

import asyncio
import itertools
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from pipeline.aws.session import Aws
from tests.emulators import Emulators, opened
from tests.faults.catalogue import coverage
from tests.said import Summary

ON_EMULATORS = {"blackbox", "contracts", "nemesis"}
"""Folders whose tests take turns in one process: they mostly wait, and side by side they would wait for each other."""

_numbers = itertools.count(1)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Keeps the tests of a file together, and all that need emulators."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return "emulators" if file.split("/")[1] in ON_EMULATORS else file


@pytest.fixture
def run() -> Iterator[Callable[[Any], Any]]:
    """Return a function that runs a coroutine to its end, all on one event loop."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def name() -> str:
    """Return a name for a table, stream or bucket of this test alone."""
    return f"contract-{next(_numbers)}"


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    """Emulators, started on demand."""
    yield from opened(tmp_path_factory.mktemp("emulators"))


@pytest.fixture
def aws_on(emulators: Emulators, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Aws]]:
    """Return a function that makes the clients of emulators by their names; a later one wins a service both have."""
    opened_clients: list[Aws] = []

    def on(*names: str) -> Aws:
        for variable, value in emulators.settings(*names).items():
            monkeypatch.setenv(variable, value)
        opened_clients.append(Aws())
        return opened_clients[-1]

    yield on
    for clients in opened_clients:
        clients.close()


def pytest_configure(config: pytest.Config) -> None:
    """Have what tests say printed; let Ctrl-C reach their processes, also where the run itself is deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(Summary())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Deal the tests out by file, but those on emulators to one process."""
    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults have a test."""
    terminalreporter.write_line(coverage())
