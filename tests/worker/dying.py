"""`python -m tests.worker.dying TASK HOW`: a worker process over fakes, of which one task ends as it never should."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from pipeline.capture.packing import Packing, WireForm
from pipeline.wiring.core import capture_of
from pipeline.worker.consumer import Consumer
from pipeline.worker.process import run
from tests.worker.test_faust import Scripted, Stage, nothing

SOON_SECONDS = 0.5


def how_to_die(how: str) -> Callable[..., Awaitable[None]]:
    """Return what takes the task's place: it lives for a moment, then ends."""

    async def die(*_: Any) -> None:
        await asyncio.sleep(SOON_SECONDS)
        if how == "raises":
            raise KeyError("a defect")
        if how == "loop":
            raise RuntimeError("Event loop is closed")
        if how == "cancelled":
            raise asyncio.CancelledError

    return die


def main(task: str, how: str) -> int:
    """Run until the process ends by itself; return its exit code."""
    logging.basicConfig(level=logging.ERROR)
    stage, die = Stage(), how_to_die(how)
    app = stage.app({"a": Scripted(nothing)})
    packing = Packing(WireForm.OPEN, 1, 100_000, "us-east-1")
    work = replace(app.work, captures=[capture_of(stage.around("capture"), stage.table.stream(), packing)])
    places: dict[str, tuple[Any, str]] = {
        "capture": (work.captures[0], "run"),
        "delivery": (work.delivery, "run"),
        "assignment": (Consumer, "_keep_assignment"),
        "hand-over": (Consumer, "_hand_over"),
        "copy": (SimpleNamespace(), "run"),
    }
    place, name = places[task]
    setattr(place, name, die)
    if task == "copy":
        work = replace(work, copies=[place.run])
    return run(work)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
