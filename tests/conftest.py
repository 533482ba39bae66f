"""Fixtures for all tests: emulators, and AWS clients that can reach nothing else."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.aws.session import Aws
from tests.emulators import Emulators, opened
from tests.faults.catalogue import coverage

_session: list[Emulators] = []
_numbers = itertools.count(1)


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
    for found in opened(tmp_path_factory.mktemp("emulators")):
        _session.append(found)
        yield found


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults have a test, and, in one line that cannot be missed, what this run did not prove."""
    terminalreporter.write_line(coverage())
    missing = {name: why for found in _session for name, why in found.unavailable.items()}
    if missing:
        what = "; ".join(f"{name}: {why}" for name, why in sorted(missing.items()))
        terminalreporter.write_line(
            f"NOT PROVEN in this run, because an emulator is missing: {what}", red=True, bold=True
        )
