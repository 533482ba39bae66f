"""Case 50: counters, secrets, and nothing that piles up or is changed."""

import asyncio
import gc
import logging
import os
import threading
from pathlib import Path

from pipeline.model.change import Batch
from pipeline.testing.changes import CHANGES, OVERSIZE, batch, history, put
from pipeline.testing.faults import Faults, Trouble, refuse
from pipeline.testing.keep import reachable_bytes
from pipeline.testing.rig import Rig, live_changes, offer

CANARY = "canary-7c1e04d9"
FAR_BATCHES = int(os.environ.get("FANOUT_CONTRACT_BATCHES", "200"))
"""How many batches the case of growth writes; `make contract` writes 10,000."""
GROWTH_MAX = 2_048
"""Bytes that a sink may hold more at the end than after a tenth of the batches."""


class Safety(Rig):
    """Case 50: counters, secrets, and nothing that piles up or is changed."""

    def test_50_nothing_piles_up(self) -> None:
        """Changes, images, tasks, threads and files of batches that are written are not kept."""

        async def case() -> None:
            stores, sink = await self.start()
            held = {}
            for start in range(1, FAR_BATCHES + 1):
                changes = history(["a"], start=start)
                await sink.write(Batch("changes", "shard", start, start, changes, (start,)))
                del changes
                if start in {FAR_BATCHES // 10, FAR_BATCHES}:
                    gc.collect()
                    held[start] = (_resources(), reachable_bytes(sink, besides=stores))
            (early, early_bytes), (late, late_bytes) = held.values()
            assert late <= early, f"changes, tasks, threads or files are kept: {early} became {late}"
            assert late_bytes - early_bytes <= GROWTH_MAX, f"the sink grew from {early_bytes} to {late_bytes} bytes"

        asyncio.run(case())

    def test_50_no_content_in_logs_and_errors(self) -> None:
        """Whatever goes wrong, what an item holds is in no log line and in no error."""

        async def unknown() -> None:
            raise ValueError("unknown")

        async def work(trouble: Trouble, skip: int) -> list[BaseException | None]:
            faults, stores = Faults(), self.make_stores()
            sink = await self.open(stores, faults)
            faults.at_next_call("after", trouble, skip=skip)
            given = [batch(changes, 1, 2), batch(changes, 1, len(changes)), batch(CHANGES, 1, 3)]
            return [(await asyncio.gather(offer(sink, each), return_exceptions=True))[0] for each in given]

        changes = [put(f"{CANARY}-{n}", n, {"secret": {"S": CANARY}}) for n in (1, 2)]
        changes.append(put(f"{CANARY}-3", 3, {"secret": {"S": CANARY}, **OVERSIZE}))
        heard = _Hearing()
        with heard:
            for skip in range(4):
                for trouble in (refuse, unknown):
                    for error in asyncio.run(work(trouble, skip)):
                        heard.texts.append(f"{error} {error!r} {getattr(error, 'hint', '')}")
        assert not [text for text in heard.texts if CANARY in text]

    def test_50_a_batch_is_not_changed(self) -> None:
        """What a sink is given is as it was afterwards: other topologies get the same changes."""

        async def case() -> None:
            _, sink = await self.start()
            given = batch(CHANGES, 1, 12)
            before = (given.changes, list(given.positions), [tuple(change) for change in given.changes])
            await sink.write(given)
            assert before == (given.changes, list(given.positions), [tuple(change) for change in given.changes])
            assert isinstance(given.positions, list)

        asyncio.run(case())


class _Hearing(logging.Handler):
    """Keeps every log line of any logger while it is entered."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line with its traceback."""
        self.texts.append(logging.Formatter().format(record))

    def __enter__(self) -> None:
        self._level = logging.root.level
        logging.root.addHandler(self)
        logging.root.setLevel(logging.DEBUG)

    def __exit__(self, *_: object) -> None:
        logging.root.setLevel(self._level)
        logging.root.removeHandler(self)


def _resources() -> tuple[int, int, int]:
    """Return how many changes, tasks and threads with open files there are."""
    descriptors = Path("/proc/self/fd")
    files = len(list(descriptors.iterdir())) if descriptors.is_dir() else 0
    return live_changes(), len(asyncio.all_tasks()), threading.active_count() + files
