"""What a call of a sink raised, judged once: behind this every error has the fields that its class promises."""

import math
from collections.abc import Mapping

from pipeline.model.change import Batch
from pipeline.model.errors import AFTER_SECONDS_MAX, Defect, PipelineError, Rejected, RetryLater, kind_and_place

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
        _must_be(name, getattr(error, name, None), TEXT)
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


def _pause(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise _Wrong(f"after_seconds is {seconds:g}, not a finite number of 0 or more")
    return min(seconds, AFTER_SECONDS_MAX)


def _refused(positions: Mapping[int, str], batch: Batch | None) -> Mapping[int, str]:
    """Refuse what names no change of the batch: nothing could be parked for it, and it would halt without a cause."""
    if batch is None:
        raise _Wrong("it was offered no change to refuse")
    refused, offered = dict(positions), set(batch.positions)
    if not refused:
        raise _Wrong("it refused no change")
    for position, reason in refused.items():
        _must_be("a position", position, NUMBER)
        _must_be(f"the reason at position {position}", reason, TEXT)
        if position not in offered:
            known = "no change of" if batch.first <= position <= batch.last else "not in"
            raise _Wrong(f"position {position} is {known} the batch {batch.first}-{batch.last}")
    return refused
