"""Logs: lines for people or JSON for machines, to standard error, one record a line, no control characters.

What libraries would tell at DEBUG is held back: botocore prints session tokens and whole items there.
"""

import json
import logging
import logging.config
import re
from datetime import UTC, datetime
from typing import Any

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

LEAST_LEVELS = {
    "aiokafka": logging.WARNING,
    "boto3": logging.INFO,
    "botocore": logging.INFO,
    "faust": logging.INFO,
    "kafka": logging.WARNING,
    "mode": logging.INFO,
    "pipeline.worker": logging.INFO,
    "s3transfer": logging.INFO,
    "urllib3": logging.INFO,
}
"""Loggers of libraries (`pipeline.worker` speaks with Faust's voice), and the least severe they say at level debug.

At any other level they say warnings and worse: what they call information is their own coming and going.
"""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""C0 and C1 controls, line and paragraph separators, and marks that reverse the direction of text."""


def printable(text: str) -> str:
    """Return text with control characters spelled out: nothing from outside moves a cursor or forges a line."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def log_config(level: str, form: str) -> dict[str, Any]:
    """Return the configuration of logging for `logging.config.dictConfig`, as a value: Faust takes it too.

    `level` is a key of LEVELS, `form` is "text" or "json".
    """
    least = LEVELS[level]
    chatter = logging.DEBUG if level == "debug" else logging.WARNING
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": JsonLines if form == "json" else TextLines}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "loggers": {name: {"level": max(least, floor, chatter)} for name, floor in LEAST_LEVELS.items()},
        "root": {"level": least, "handlers": ["stderr"]},
    }


def configure(level: str, form: str) -> None:
    """Set up logging for the process; a second call replaces the first."""
    logging.config.dictConfig(log_config(level, form))
    logging.captureWarnings(capture=True)


class TextLines(logging.Formatter):
    """`2026-11-23T10:41:07.123Z INFO  pipeline.capture: message`, a traceback indented below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, more only when it carries a traceback."""
        line = f"{_time(record)} {record.levelname:<7} {record.name}: {printable(record.getMessage())}"
        if record.exc_info:
            traced = self.formatException(record.exc_info).splitlines()
            line += "".join(f"\n    {printable(part)}" for part in traced)
        return line


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of ASCII."""
        fields = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
