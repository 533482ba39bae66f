"""What a call of a sink raised, judged once: behind this every error has the fields that its class promises."""

import math

from pipeline.model.errors import AFTER_SECONDS_MAX, Defect, PipelineError, RetryLater, kind_and_place

TEXT = (str, "a text")
SECONDS = ((int, float), "a number of seconds")

Kind = tuple[type | tuple[type, ...], str]
"""What a field must be, and how that is said."""


class _Wrong(Exception):
    """What is wrong with a field."""


def judged(error: BaseException, topology: str) -> PipelineError:
    """Return what to raise for what a plugin raised: the error itself, or the Defect that it is.

    A plugin makes its errors of whatever it has at hand; a field of another type would end whoever reads it first.
    """
    hint = f"a defect of topology {topology}; the batch is offered again"
    if not isinstance(error, PipelineError):
        return Defect(kind_and_place(error), hint=hint)
    try:
        _settle(error)
    except _Wrong as wrong:
        return Defect(f"it raised {type(error).__name__}, of which {wrong}", hint=hint)
    except Exception as unforeseen:  # noqa: BLE001  # a field may be code of the plugin, which may raise anything
        return Defect(kind_and_place(unforeseen), hint=hint)
    return error


def _settle(error: PipelineError) -> None:
    """Refuse wrong fields, and bound the others."""
    _field(error, "reason", TEXT)
    _field(error, "hint", TEXT)
    if isinstance(error, RetryLater):
        _field(error, "after_seconds", SECONDS)
        error.after_seconds = _pause(error.after_seconds)


def _pause(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise _Wrong(f"after_seconds is {seconds:g}, not a finite number of 0 or more")
    return min(seconds, AFTER_SECONDS_MAX)


def _field(error: PipelineError, name: str, kind: Kind) -> None:
    """Refuse a field that is missing, or of another type: its value is not repeated, it may be content of an item."""
    value, (types, told) = getattr(error, name, None), kind
    if not isinstance(value, types):
        raise _Wrong(f"{name} is a {type(value).__name__}, not {told}")
