"""Work that ends only when it is told to: whatever else ends it is a crash of its service, which its process sees."""

import asyncio
from collections.abc import Awaitable, Callable

from pipeline.model.errors import PipelineError, kind_and_place

_HINT = "the process ends, and its leases with it; please report it"


async def for_good(what: str, work: Awaitable[None], stopping: Callable[[], bool]) -> None:
    """Await work; return when it has ended and `stopping()` is True. Raises PipelineError when it ended before.

    Faust's services see a task that raises, but take for a proper end one that returns, one that is cancelled, and some
    errors by their text: the process would live on, renew its leases, and do nothing.
    """
    try:
        await work
    except asyncio.CancelledError:
        if stopping():
            raise
        raise PipelineError(f"{what} was cancelled", hint=_HINT) from None
    except PipelineError:
        raise
    except Exception as error:
        raise PipelineError(f"{what} died of {kind_and_place(error)}", hint=_HINT) from error
    if not stopping():
        raise PipelineError(f"{what} ended by itself", hint=_HINT)
