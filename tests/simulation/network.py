"""Between a host and a service: requests and answers that take time, are lost, or arrive after everybody gave up.

The effect of a call happens at the service, in no host's context: a host that is killed after it sent a request does
not take the request back, and one that gave up waiting may still see its request carried out, later, after its retry.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Generic, NamedTuple, TypeVar

from pipeline.model.errors import IteratorExpired, Misconfigured, PipelineError, RetryLater
from tests.simulation.loop import SimLoop
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
        self._service = contextvars.Context()
        """Where effects happen: on no host."""

    def heal(self) -> None:
        """End all trouble."""
        self.loss = self.throttle = self.stall = self.late = self.denied = 0.0
        self.latency_seconds = 0.005

    async def call(self, effect: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Make a call from the current host; RetryLater when it was refused, lost, or its answer did not come."""
        self.calls += 1
        loop = self._loop
        answer: asyncio.Future[T] = loop.create_future()
        sent = Sent(effect, answer, loop.time() + TIMEOUT_SECONDS, loop.random.random())
        loop.call_later(self._latency(), self._arrive, sent, context=self._service)
        return await answer

    def _latency(self) -> float:
        return self._loop.random.expovariate(1 / self.latency_seconds)

    def _arrive(self, sent: "Sent[Any]") -> None:
        """Have the request meet its fate at the service."""
        loop, met, fate = self._loop, self._loop.met, sent.fate
        if fate < self.throttle:
            met[Trouble.THROTTLED] += 1
            _settle(sent.answer, RetryLater("throttled"))
            return
        fate -= self.throttle
        if fate < self.denied:
            met[Trouble.DENIED] += 1
            _settle(sent.answer, Misconfigured("access denied"))
            return
        fate -= self.denied
        if fate < self.stall:
            met[Trouble.REQUEST_LATE] += 1
            self._give_up(sent)
            seconds = TIMEOUT_SECONDS + loop.random.uniform(0, 25)
            loop.call_later(seconds, self._take_effect, sent, context=self._service)
        elif fate - self.stall < self.loss / 2:
            met[Trouble.REQUEST_LOST] += 1
            self._give_up(sent)
        else:
            self._take_effect(sent)

    def _take_effect(self, sent: "Sent[Any]") -> None:
        """Do what was asked, and answer, perhaps late, perhaps never."""
        loop, met, draw = self._loop, self._loop.met, self._loop.random
        try:
            result = _done_at_once(sent.effect())
        except PipelineError as error:
            met[Trouble.ITERATOR_EXPIRED] += isinstance(error, IteratorExpired)
            _settle(sent.answer, error)
            return
        except Exception as error:  # noqa: BLE001  # a broken promise, or a call that no service would take
            loop.fail(error)
            return
        if draw.random() < self.loss / 2:
            met[Trouble.ANSWER_LOST] += 1
            self._give_up(sent)
            return
        seconds = self._latency()
        if draw.random() < self.late:
            met[Trouble.ANSWER_LATE] += 1
            self._give_up(sent)
            seconds += draw.uniform(0.5, TIMEOUT_SECONDS)
        loop.finish_later(seconds, sent.answer, result)

    def _give_up(self, sent: "Sent[Any]") -> None:
        """Let the caller wait no longer than it does; only who may not hear in time needs that."""
        seconds = sent.deadline - self._loop.time()
        self._loop.call_later(seconds, _settle, sent.answer, RetryLater("no answer"), context=self._service)


class Sent(NamedTuple, Generic[T]):
    """A call on its way."""

    effect: Callable[[], Coroutine[Any, Any, T]]
    answer: "asyncio.Future[T]"
    deadline: float
    """Until when the caller waits for the answer."""
    fate: float


def _done_at_once(effect: Coroutine[Any, Any, T]) -> T:
    """Return what a service returns: what takes time lies between it and the caller."""
    try:
        effect.send(None)
    except StopIteration as returned:
        result: T = returned.value
        return result
    msg = "a simulated service waits for something"
    raise AssertionError(msg)


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
