"""What a run of the tests says at its end beside passed and failed, also of tests that ran in another process."""

import pytest

KEY = "said"
NOT_PROVEN = "NOT PROVEN"

_lines: dict[str, None] = {}
"""The lines in the order they were said, each once."""


def say(line: str) -> None:
    """Add a line to the summary; one that starts with NOT PROVEN is printed so that it cannot be missed."""
    _lines[line] = None


class Summary:
    """A pytest plugin: a worker process hands its lines to the process that prints."""

    @staticmethod
    def pytest_sessionfinish(session: pytest.Session) -> None:
        """Hand over, when this is a worker of pytest-xdist."""
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output[KEY] = list(_lines)

    @staticmethod
    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(node: object) -> None:
        """Take over what a worker said."""
        for line in getattr(node, "workeroutput", {}).get(KEY, []):
            say(line)

    @staticmethod
    def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
        """Print the lines."""
        for line in _lines:
            loud = line.startswith(NOT_PROVEN)
            terminalreporter.write_line(line, red=loud, bold=loud)
