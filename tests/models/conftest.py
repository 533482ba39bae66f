"""What the run says of the models at its end: how many states were searched, or that none was."""

from collections.abc import Callable

import pytest

from tests.models import spin

_lines: list[str] = []


@pytest.fixture
def say() -> Callable[[str], None]:
    """Return a function that adds a line to the summary."""
    return _lines.append


@pytest.fixture(autouse=True)
def _needs_spin(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("needs_spin") and spin.missing():
        line = f"NOT PROVEN in this run, because {spin.missing()} is missing: the models. apt-get install spin gcc"
        if line not in _lines:
            _lines.append(line)
        pytest.skip(f"needs {spin.missing()}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines."""
    for line in _lines:
        loud = line.startswith("NOT PROVEN")
        terminalreporter.write_line(line, red=loud, bold=loud)
