"""What a call of a sink raised, judged once: behind this every error has the fields that its class promises."""

import math
from collections.abc import Mapping

from pipeline.model.change import Batch
from pipeline.model.errors import (
    AFTER_SECONDS_MAX,
    TEXT_CHARACTERS_MAX,
    Defect,
    PipelineError,
    Rejected,
    RetryLater,
    kind_and_place,
)

TEXT = (str, "a text")
NUMBER = (int, "a number")
SECONDS = ((int, float), "a number of seconds")
POSITIONS = (Mapping, "a mapping of positions to reasons")

Kind = tuple[type | tuple[type, ...], str]
"""What a field must be, and how that is said."""


class _Wrong(Exception):
    """What is wrong with an error."""


def judged(error: BaseException, batch: Batch | None, topology: str) -> PipelineError:
    """Return what to raise for what a plugin raised: the error itself, or the Defect that it is.

    `batch` is what the sink was offered, None while it was opened. A plugin makes its errors of whatever it has at
    hand; a field of another type would end whoever reads it first.
    """
    hint = f"a defect of topology {topology}; the batch is offered again"
    if not isinstance(error, PipelineError):
        return Defect(kind_and_place(error), hint=hint)
    try:
        _settle(error, batch)
    except _Wrong as wrong:
        return Defect(f"it raised {type(error).__name__}: {wrong}", hint=hint)
    except Exception as unforeseen:  # noqa: BLE001  # a field may be code of the plugin, which may raise anything
        return Defect(kind_and_place(unforeseen), hint=hint)
    return error


def _settle(error: PipelineError, batch: Batch | None) -> None:
    """Refuse wrong fields, and bound the others."""
    for name in ("reason", "hint"):
        setattr(error, name, _text(name, getattr(error, name, None)))
    if isinstance(error, RetryLater):
        _must_be("after_seconds", getattr(error, "after_seconds", None), SECONDS)
        error.after_seconds = _pause(error.after_seconds)
    if isinstance(error, Rejected):
        _must_be("positions", getattr(error, "positions", None), POSITIONS)
        error.positions = _refused(error.positions, batch)


def _must_be(name: str, value: object, kind: Kind) -> None:
    """Refuse a value of another type, which is not repeated: it may be content of an item."""
    types, told = kind
    if not isinstance(value, types):
        raise _Wrong(f"{name} is a {type(value).__name__}, not {told}")


def _text(name: str, value: object) -> str:
    """Return a text in a length, and in characters, in which it can be stored."""
    _must_be(name, value, TEXT)
    text = str(value).encode(errors="backslashreplace").decode()
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[: TEXT_CHARACTERS_MAX - 1]}\N{HORIZONTAL ELLIPSIS}"


def _pause(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise _Wrong(f"after_seconds is {seconds:g}, not a finite number of 0 or more")
    return min(seconds, AFTER_SECONDS_MAX)


def _refused(positions: Mapping[int, str], batch: Batch | None) -> Mapping[int, str]:
    """Refuse what names no change of the batch: nothing could be parked for it, and it would halt without a cause."""
    if batch is None:
        raise _Wrong("it was offered no change to refuse")
    said, offered = dict(positions), set(batch.positions)
    if not said:
        raise _Wrong("it refused no change")
    refused = {}
    for position, reason in said.items():
        _must_be("a position", position, NUMBER)
        if position not in offered:
            known = "no change of" if batch.first <= position <= batch.last else "not in"
            raise _Wrong(f"position {position} is {known} the batch {batch.first}-{batch.last}")
        refused[position] = _text(f"the reason at position {position}", reason)
    return refused
