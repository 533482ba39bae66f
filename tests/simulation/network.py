"""Between a host and a service: requests and answers that take time, are lost, or arrive after everybody gave up.

The effect of a call happens at the service, in no host's context: a host that is killed after it sent a request does
not take the request back, and one that gave up waiting may still see its request carried out, later, after its retry.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from pipeline.model.errors import IteratorExpired, Misconfigured, PipelineError, RetryLater
from tests.simulation.loop import HOST, SimLoop
from tests.simulation.troubles import Trouble

T = TypeVar("T")
TIMEOUT_SECONDS = 5.0


class Network:
    """Latency and loss, drawn anew for each call; `heal` makes it fast and sound."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        draw = loop.random
        self.loss = draw.choice((0.0, 0.0, 0.01, 0.05, 0.15))
        self.throttle = draw.choice((0.0, 0.02, 0.1))
        self.stall = draw.choice((0.0, 0.0, 0.005, 0.02))
        """Rate of requests that arrive only after the caller has given up."""
        self.late = draw.choice((0.0, 0.0, 0.02, 0.1))
        """Rate of answers that come seconds after they were true."""
        self.denied = draw.choice((0.0, 0.0, 0.0, 0.0005, 0.003))
        """Rate of requests refused as a missing permission is: what needs a person, who is quick."""
        self.latency_seconds = draw.choice((0.002, 0.02, 0.1))
        self.calls = 0

    def heal(self) -> None:
        """End all trouble."""
        self.loss = self.throttle = self.stall = self.late = self.denied = 0.0
        self.latency_seconds = 0.005

    async def call(self, effect: Callable[[], Awaitable[T]]) -> T:
        """Make a call from the current host; RetryLater when it was refused, lost, or its answer did not come."""
        self.calls += 1
        draw = self._loop.random
        answer: asyncio.Future[T] = self._loop.create_future()
        service = contextvars.copy_context()
        service.run(HOST.set, None)
        self._loop.create_task(self._serve(effect, answer, draw.random()), context=service)
        timeout = self._loop.call_later(TIMEOUT_SECONDS, self._settle, answer, RetryLater("no answer"))
        try:
            return await answer
        finally:
            timeout.cancel()

    async def _serve(self, effect: Callable[[], Awaitable[T]], answer: "asyncio.Future[T]", fate: float) -> None:
        draw = self._loop.random
        await self._loop.nap(draw.expovariate(1 / self.latency_seconds))
        met = self._loop.met
        if fate < self.throttle:
            met[Trouble.THROTTLED] += 1
            self._settle(answer, RetryLater("throttled"))
            return
        fate -= self.throttle
        if fate < self.denied:
            met[Trouble.DENIED] += 1
            self._settle(answer, Misconfigured("access denied"))
            return
        fate -= self.denied
        if fate < self.stall:
            met[Trouble.REQUEST_LATE] += 1
            await self._loop.nap(TIMEOUT_SECONDS + draw.uniform(0, 25))
        elif fate - self.stall < self.loss / 2:
            met[Trouble.REQUEST_LOST] += 1
            return  # the request is lost
        try:
            result = await effect()
        except PipelineError as error:
            met[Trouble.ITERATOR_EXPIRED] += isinstance(error, IteratorExpired)
            self._settle(answer, error)
            return
        except Exception as error:  # noqa: BLE001  # a broken promise, or a call that no service would take
            self._loop.fail(error)
            return
        if draw.random() < self.loss / 2:
            met[Trouble.ANSWER_LOST] += 1
            return  # the answer is lost
        if draw.random() < self.late:
            met[Trouble.ANSWER_LATE] += 1
            await self._loop.nap(draw.uniform(0.5, TIMEOUT_SECONDS))
        await self._loop.nap(draw.expovariate(1 / self.latency_seconds))
        if not answer.done():
            answer.set_result(result)

    @staticmethod
    def _settle(answer: "asyncio.Future[Any]", error: Exception) -> None:
        if not answer.done():
            answer.set_exception(error)
            answer.exception()  # looked at, also when the caller is dead


class Remote:
    """A port whose calls go over the network."""

    def __init__(self, network: Network, service: Any) -> None:
        self._network = network
        self._service = service

    def __getattr__(self, name: str) -> Any:
        """Return the service's attribute; a method as a call over the network."""
        found = getattr(self._service, name)
        if not callable(found):
            return found
        if name in {"names", "scan"}:
            return lambda *args: self._listing(found, *args)

        async def call(*args: Any) -> Any:
            return await self._network.call(lambda: found(*args))

        return call

    async def _listing(self, found: Callable[..., AsyncIterator[Any]], *args: Any) -> AsyncIterator[Any]:
        async def collect() -> list[Any]:
            return [each async for each in found(*args)]

        for each in await self._network.call(collect):
            yield each
