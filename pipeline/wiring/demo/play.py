"""The demo's course: start, write, kill on the way, wait until all has arrived, stop, look."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pipeline.aws.items import DynamoDBItemStore
from pipeline.local.child import Child
from pipeline.model.errors import PipelineError, RetryLater
from pipeline.wiring.build import Parts
from pipeline.wiring.demo.evidence import Photograph, Reading
from pipeline.wiring.demo.gauges import Gauges
from pipeline.wiring.demo.proof import Proof, prove
from pipeline.wiring.demo.scene import Counts, Scene
from pipeline.wiring.demo.stage import LEASE_SECONDS, SOURCE_REGION, TABLE, Stage
from pipeline.wiring.demo.workload import Workload, plan

LOOK_SECONDS = 0.25
PER_SECOND_MIN = 400
WRITING_SECONDS = 15
"""A larger demo writes faster, to last about as long."""
KILLS = (("capture", "captured", 0.2), ("worker", "replica", 0.4))
"""Whom to kill once a stage has come to such a part of all changes."""
HELD_BACK = 0.1
"""Part of the changes that is written after the kills only: whoever is killed had still work to do."""
STOP_SECONDS = 15.0
FLOWING = "changes flow"
ECHO_SECONDS = 0.3
"""How long a call of a killed process may go on inside the emulator."""


class Play:
    """One run of the demo on a stage."""

    def __init__(self, stage: Stage, parts: Parts, gauges: Gauges, scene: Scene) -> None:
        self._stage = stage
        self._parts = parts
        self._scene = scene
        self._gauges = gauges
        self._clock = parts.around.clock
        self._began = parts.around.clock.monotonic()
        self._running: dict[str, Child] = {}
        self._problems: list[str] = []
        self._sink_repeats = 0
        self._reading = Reading(parts)
        self._photograph: Photograph | None = None
        source = DynamoDBItemStore(parts.aws, SOURCE_REGION, parts.around.clock)
        self._workload = Workload(source, parts.around.clock, parts.around.chance, plan(TABLE, scene.changes))
        self._writing: asyncio.Task[None] | None = None
        scene.shards = len(gauges.groups["worker"].shards)

    async def run(self, seconds_max: float) -> Proof:
        """Play it and return the proof. Raises PipelineError when it cannot even be played."""
        try:
            async with asyncio.timeout(seconds_max):
                await self._flow()
        except TimeoutError:
            await self._finish_writing()
            self._problems.append(f"not all changes had arrived after {seconds_max:g} seconds")
        finally:
            if self._writing is not None:
                self._writing.cancel()
        seconds = self._clock.monotonic() - self._began
        await self._stop()
        self._scene.phase = "reading everything back"
        found = await self._reading.everything(self._sink_repeats, self._photograph)
        found.problems[:0] = self._problems
        made, changes = self._workload.journal, self._workload.written
        proof = prove(made, found, changes=changes, kills=self._scene.kills, seconds=seconds)
        self._scene.phase = "something is wrong" if proof.problems else "proven"
        return proof

    async def _flow(self) -> None:
        scene = self._scene
        scene.phase = "starting capture and worker"
        await asyncio.gather(self._start("capture"), self._start("worker"))
        scene.phase = FLOWING
        per_second = max(PER_SECOND_MIN, scene.changes / WRITING_SECONDS)
        wait_at = math.ceil(scene.changes * (1 - HELD_BACK))
        self._writing = asyncio.create_task(self._workload.run(per_second, wait_at))
        for command, stage, part in KILLS:
            await self._until(partial(self._has_come, stage, part * scene.changes))
            await self._kill(command)
        await self._until(partial(self._has_come, "written", wait_at))
        self._photograph = await self._reading.photograph()
        scene.happened("the source was quiet for a second: the archive will have to show it as it was then")
        self._workload.go_on.set()
        await self._until(self._arrived)

    async def _finish_writing(self) -> None:
        """End the workload after the batch that is under way, so that the journal has what the table has."""
        self._workload.end()
        if self._writing is not None:
            await self._writing

    async def _start(self, command: str) -> None:
        child = self._running[command] = await self._stage.start(command)
        self._scene.processes[command] = f"{child.name}, process {child.pid}"

    async def _kill(self, command: str) -> None:
        """Kill as `kill -9` does, count what will come again, start a successor, wait until it has taken over."""
        scene, child = self._scene, self._running.pop(command)
        pid = child.pid
        child.close()
        killed_at = self._clock.monotonic()
        scene.kills += 1
        scene.processes[command] = f"{child.name} killed"
        scene.phase = f"no {command}: its leases run out in {LEASE_SECONDS} s"
        scene.happened(f"kill -9 {pid}: {child.name} is gone", alarming=True)
        starting = asyncio.ensure_future(self._start(command))
        await self._clock.sleep(ECHO_SECONDS)
        if command == "worker":
            await self._count_repeats()
        await self._until(_done(starting))
        await starting
        await self._until(partial(self._gauges.owned, command, self._running[command].name))
        seconds = self._clock.monotonic() - killed_at
        scene.phase = FLOWING
        scene.happened(f"{self._running[command].name} has taken over, {seconds:.1f} s later")

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Look again and again until it is so. Raises PipelineError when it never will be."""
        while True:
            try:
                await self._look()
                if await condition():
                    return
            except RetryLater:
                pass  # the emulator is busy: the next look may succeed, and the whole run has a limit
            await self._clock.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        for child in self._running.values():
            if child.ended is not None:
                raise PipelineError(
                    f"{child.name} ended by itself, with exit code {child.ended}", hint=f"see {child.log}"
                )
        if self._writing is not None and self._writing.done():
            self._writing.result()
        captured, settled = await self._gauges.captured(), await self._gauges.settled()
        self._scene.look(self._clock.monotonic() - self._began, Counts(self._workload.written, captured, settled))

    async def _has_come(self, stage: str, count: float) -> bool:
        return self._scene.counts.of(stage) >= count

    async def _arrived(self) -> bool:
        counts = self._scene.counts
        return min(counts.written, counts.captured, *counts.settled.values()) >= self._scene.changes

    async def _count_repeats(self) -> None:
        for topology, ahead in (await self._reading.ahead_of_checkpoints(self._gauges.groups["worker"])).items():
            if ahead < 0:
                self._problems.append(f"{topology}: the checkpoint was {-ahead:,} changes ahead of what is written")
            self._sink_repeats += max(0, ahead)

    async def _stop(self) -> None:
        """Stop the processes as a container would; they must drain and end with 0."""
        self._scene.phase = "stopping capture and worker"
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(len(KILLS)) as threads:
            stops = [loop.run_in_executor(threads, child.stop, STOP_SECONDS) for child in self._running.values()]
            codes = await asyncio.gather(*stops)
        for child, code in zip(self._running.values(), codes, strict=True):
            if code != 0:
                self._problems.append(f"{child.name} ended with exit code {code} after SIGTERM")


def _done(future: asyncio.Future[None]) -> Callable[[], Awaitable[bool]]:
    async def done() -> bool:
        return future.done()

    return done
