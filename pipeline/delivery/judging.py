"""What a call of a sink raised, judged once: behind this every error has the fields that its class promises."""

from pipeline.model.errors import Defect, PipelineError, RetryLater, kind_and_place

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
        _check(error)
    except _Wrong as wrong:
        return Defect(f"it raised {type(error).__name__}, of which {wrong}", hint=hint)
    except Exception as unforeseen:  # noqa: BLE001  # a field may be code of the plugin, which may raise anything
        return Defect(kind_and_place(unforeseen), hint=hint)
    return error


def _check(error: PipelineError) -> None:
    _field(error, "reason", TEXT)
    _field(error, "hint", TEXT)
    if isinstance(error, RetryLater):
        _field(error, "after_seconds", SECONDS)


def _field(error: PipelineError, name: str, kind: Kind) -> None:
    """Refuse a field that is missing, or of another type: its value is not repeated, it may be content of an item."""
    value, (types, told) = getattr(error, name, None), kind
    if not isinstance(value, types):
        raise _Wrong(f"{name} is a {type(value).__name__}, not {told}")
