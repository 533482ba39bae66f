"""A deterministic event loop: the order of ready callbacks is drawn from a seed, time passes only when nobody can run.

Every task belongs to the host in whose context it was made. A killed host's tasks never run again, not even their
`finally` blocks (they stay referenced, or the garbage collector would run these); a paused host's callbacks wait.
"""

import asyncio
import contextvars
import random
from asyncio import events
from collections import Counter
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from typing import Any

from pipeline.model.errors import PipelineError
from tests.simulation.troubles import Trouble

STEPS_MAX = 3_000_000


class Stuck(Exception):
    """Nothing can run and nothing is due: the system under test waits for ever."""


class Livelock(Exception):
    """The run took more steps than any sound run takes."""


class Host:
    """One simulated machine: alive or not, standing still until a time, with a clock of its own."""

    def __init__(self, name: str, skew_ms: int = 0) -> None:
        self.name = name
        self.alive = True
        self.paused_until = 0.0
        self.skew_ms = skew_ms
        self.stopping = asyncio.Event()
        """Set by SIGTERM."""
        self.tasks: set[asyncio.Task[Any]] = set()
        """Those that have not ended."""
        self.work: list[Any] = []
        """Its captures, or its delivery."""


HOST: contextvars.ContextVar[Host | None] = contextvars.ContextVar("host", default=None)


class Handle:
    """A callback that is ready, or due at a time; without asyncio's checks for debugging, which cost half a run."""

    __slots__ = ("_when", "args", "callback", "context", "dropped")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Any, when: float) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.dropped = False
        self._when = when

    def cancel(self) -> None:
        """See to it that the callback is not called."""
        self.dropped = True

    def cancelled(self) -> bool:
        """Return True after `cancel`."""
        return self.dropped

    def when(self) -> float:
        """Return the virtual time it is due."""
        return self._when


_Loop: Any = asyncio.AbstractEventLoop
"""As Any, because a simulation needs neither sockets nor subprocesses, which the stubs call abstract."""


class SimLoop(_Loop):  # type: ignore[misc]  # of Any, as said above
    """Just enough of an event loop for tasks, futures, timers, locks, events and queues."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.steps = 0
        self.steps_max = STEPS_MAX
        self.met: Counter[Trouble] = Counter()
        """How often each kind of trouble has happened."""
        self.trace = 0
        self.failure: BaseException | None = None
        """What ends the run: a broken promise, or an error nobody foresaw."""
        self.graveyard: list[Host] = []
        self.before_step: Callable[[Host], None] | None = None
        """Asked before every step of a living host, which it may kill."""
        self._now = 0.0
        self._ready: list[Handle] = []
        self._timers: list[tuple[float, int, Handle | asyncio.Future[Any], Any]] = []
        """When, in which order, what is called, or the future that is done then, and its result."""
        self._count = 0

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Handle:
        """Make a callback ready."""
        handle = Handle(callback, args, contextvars.copy_context() if context is None else context, self._now)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Handle:
        """Make a callback ready after a virtual delay."""
        return self.call_at(self._now + max(0.0, delay), callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Handle:
        """Make a callback ready at a virtual time."""
        handle = Handle(callback, args, contextvars.copy_context() if context is None else context, when)
        self._push(when, handle)
        return handle

    def finish_later(self, delay: float, future: "asyncio.Future[Any]", result: Any = None) -> None:
        """Let a future be done after a virtual delay, unless it is by then: whoever awaits it is ready at once."""
        self._push(self._now + max(0.0, delay), future, result)

    def nap(self, seconds: float) -> "asyncio.Future[None]":
        """Return what to await in order to wait in virtual time: `asyncio.sleep` in fewer steps."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)
        self.finish_later(seconds, future)
        return future

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> "asyncio.Task[Any]":
        """Return a task that belongs to the host of its context."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        host = HOST.get() if context is None else context.get(HOST)
        if host is not None:
            host.tasks.add(task)
            task.add_done_callback(self._look)
        return task

    def spawn(self, host: Host, coro: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start a task on a host."""
        context = contextvars.copy_context()
        context.run(HOST.set, host)
        return self.create_task(coro, context=context)

    def kill(self, host: Host) -> None:
        """End a host as kill -9 does: between two steps, without a word."""
        host.alive = False
        for task in host.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch
        self.graveyard.append(host)

    def pause(self, host: Host, seconds: float) -> None:
        """Let a host stand still: it wakes up with everybody else further on."""
        host.paused_until = self._now + seconds

    def run_until_complete(self, future: Any) -> Any:
        """Run until a coroutine has returned. Raises Stuck, Livelock, or what it raised."""
        events._set_running_loop(self)
        try:
            main = self.create_task(future) if asyncio.iscoroutine(future) else future
            step = self._step
            while not main.done() and self.failure is None:
                step()
            if self.failure is not None:
                raise self.failure
            return main.result()
        finally:
            events._set_running_loop(None)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Do nothing: what a task raised was looked at when it ended."""

    def fail(self, error: BaseException) -> None:
        """End the run: the first error stands."""
        self.failure = self.failure or error

    def _look(self, task: "asyncio.Task[Any]") -> None:
        """End the run when a host's task died of what the core does not raise on purpose: that is a defect."""
        host = HOST.get()
        if host is not None:
            host.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, PipelineError):
            self.fail(error)

    def get_debug(self) -> bool:
        """Return False."""
        return False

    def is_running(self) -> bool:
        """Return True."""
        return True

    def is_closed(self) -> bool:
        """Return False."""
        return False

    def _push(self, when: float, due: "Handle | asyncio.Future[Any]", result: Any = None) -> None:
        self._count += 1
        heappush(self._timers, (when, self._count, due, result))

    def _step(self) -> None:
        ready = self._ready
        while not ready:
            self._pass_time()
        number = len(ready)
        if number == 1:
            index = 0
            handle = ready.pop()
        else:
            index = int(self.random.random() * number)
            handle = ready[index]
            ready[index] = ready[-1]
            ready.pop()
        self.trace = (self.trace * 1_000_003 ^ (index + 31 * number)) & 0xFFFFFFFFFFFF
        if handle.dropped:
            return
        host: Host | None = handle.context.get(HOST)
        if host is not None and not self._may_run(host, handle):
            return
        self.steps += 1
        if self.steps > self.steps_max:
            raise Livelock(self.steps)
        handle.context.run(handle.callback, *handle.args)

    def _may_run(self, host: Host, handle: Handle) -> bool:
        """Return False when the host is dead, or stands still and runs this later."""
        if not host.alive:
            return False
        if host.paused_until > self._now:
            self._push(host.paused_until, handle)
            return False
        if self.before_step is not None:
            self.before_step(host)
        return host.alive

    def _pass_time(self) -> None:
        """Let all happen that is due next; what is dropped passes no time."""
        timers, passed = self._timers, False
        while timers and not (passed and timers[0][0] > self._now):
            when, _, due, result = heappop(timers)
            if due.dropped if isinstance(due, Handle) else due.done():
                continue
            self._now, passed = max(self._now, when), True
            if isinstance(due, Handle):
                self._ready.append(due)
            else:
                due.set_result(result)
        if not passed:
            raise Stuck(f"at {self._now:.3f} s")


class SimClock:
    """The clock of whichever host asks."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        """Return virtual seconds: every host's own, so they need not agree with another's wall clock."""
        return self._loop._now

    def now_ms(self) -> int:
        """Return the host's wall clock, which may be wrong."""
        host = HOST.get()
        return 1_763_800_000_000 + round(self._loop._now * 1000) + (host.skew_ms if host else 0)

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await self._loop.nap(seconds)


class SimChance:
    """Chance from the loop's seed."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def fraction(self) -> float:
        """Return a float in [0, 1)."""
        return self._loop.random.random()
