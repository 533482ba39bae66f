"""What is logged, in which form, and what never is."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from pipeline.telemetry.logs import LEAST_LEVELS, LEVELS, configure, log_config, printable


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a test configures."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.captureWarnings(capture=False)
    for name in LEAST_LEVELS:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def lines() -> io.StringIO:
    """Return what the configured handler will write to."""
    return io.StringIO()


def log_to(lines: io.StringIO, level: str, form: str) -> logging.Logger:
    """Configure logging and catch what it writes."""
    configure(level, form)
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(lines)
    return logging.getLogger("pipeline.test")


def test_text_lines(lines: io.StringIO) -> None:
    """A text line has time in UTC, level, logger and message."""
    log_to(lines, "info", "text").info("shard %s ended", "s-1")
    assert lines.getvalue().endswith("Z INFO    pipeline.test: shard s-1 ended\n")


def test_json_lines(lines: io.StringIO) -> None:
    """A JSON line is one object; the traceback is a field of it."""
    log = log_to(lines, "info", "json")
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        log.exception("stopped\nhere")
    (line,) = lines.getvalue().splitlines()
    record = json.loads(line)
    assert (record["level"], record["logger"], record["message"]) == ("error", "pipeline.test", "stopped\\nhere")
    assert "ZeroDivisionError" in record["traceback"]


def test_a_message_cannot_forge_a_line(lines: io.StringIO) -> None:
    """A line break or an escape sequence in a message, or in an exception's text, is spelled out or indented."""
    log = log_to(lines, "info", "text")
    forged = ValueError("x\n2026-01-01T00:00:00.000Z INFO    root: forged\x1b[2J")
    log.error("a\n2026-01-01 forged\x1b[31m\u202e\x85", exc_info=forged)
    first, *below = lines.getvalue().splitlines()
    assert first.endswith("a\\n2026-01-01 forged\\x1b[31m\\u202e\\x85")
    assert all(line.startswith("    ") for line in below)
    assert "\x1b" not in lines.getvalue()


def test_printable_leaves_words_alone() -> None:
    """Letters of all scripts stay as they are."""
    assert printable("Größe 注文 orders") == "Größe 注文 orders"


@pytest.mark.parametrize("level", LEVELS)
def test_libraries_stay_quiet_at_debug(lines: io.StringIO, level: str) -> None:
    """The AWS SDK and the like never log at DEBUG, where they would print tokens and items."""
    log_to(lines, level, "text")
    for name in LEAST_LEVELS:
        logging.getLogger(f"{name}.parsers").debug("token and item")
    assert lines.getvalue() == ""


def test_the_level_asked_for_holds_for_libraries_too() -> None:
    """At error, a library's information is not shown either."""
    loggers = log_config("error", "text")["loggers"]
    assert {entry["level"] for entry in loggers.values()} == {logging.ERROR}
    assert log_config("debug", "text")["root"]["level"] == logging.DEBUG
