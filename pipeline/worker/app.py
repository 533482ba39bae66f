"""The Faust application: an agent for each topology, pages, metrics, and a shutdown that keeps its word."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.sensors.prometheus import setup_prometheus_sensors
from faust.web import Request, Response, View
from mode import Service
from mode.supervisors import CrashingSupervisor
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.registry import Collector

from pipeline.capture.table import TableCapture
from pipeline.coordination.alone import Alone
from pipeline.coordination.persist import HALT_SECONDS
from pipeline.delivery.stream import StreamDelivery
from pipeline.delivery.topology import TopologyRunner
from pipeline.model.errors import PipelineError
from pipeline.worker.desk import Desk
from pipeline.worker.guard import HEALTH, guarded, middlewares
from pipeline.worker.owner import for_good
from pipeline.worker.parcel import topic_of

COMMIT_SECONDS_MIN = 0.2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Work:
    """What one process does: captures, a delivery, or both; `delivery` is None for a capture alone."""

    stream: str
    captures: Sequence[TableCapture]
    delivery: StreamDelivery | None
    topologies: Mapping[str, TopologyRunner]
    step_seconds: float
    checkpoint_seconds: float
    drain_seconds: float
    web_host: str
    web_port: int
    health: Callable[[], Mapping[str, Any]]
    """Returns at least `healthy`; the page answers 503 when it is False."""
    status: Callable[[], Mapping[str, Any]]
    metrics: Collector
    web_token: str = field(default="", repr=False)
    """What opens the pages from other machines, where `web_host` lets those in; without one they stay shut."""
    chores: Sequence[Alone] = ()
    """What one worker of all does beside its shards."""
    copies: Sequence[Callable[[], Awaitable[None]]] = ()
    """Each brings what a source table has already and returns when that is done; after a failure it is called again."""


class Boot(BootStrategy):
    """Starts no consumer, agents and conductor in a process that only captures."""

    def server(self) -> Any:
        """Return the services of this process."""
        if self.app.delivery is None:
            return self._chain(self.sensors(), self.web_server())
        return super().server()


class FanoutApp(faust.App):
    """A Faust app over `Work`. Faust's tables, replies and transactions need Kafka and are not offered."""

    BootStrategy = Boot

    def __init__(self, work: Work, **options: Any) -> None:
        self.work = work
        self.delivery = work.delivery
        self.stream_name = work.stream
        self.step_seconds = work.step_seconds
        self.desks = {name: Desk(runner, self.crash) for name, runner in work.topologies.items()}
        super().__init__(
            "fanout",
            broker=f"kinesis://{work.stream}",
            store="memory://",
            topic_disable_leader=True,
            topic_allow_declare=False,
            processing_guarantee="at_least_once",
            stream_wait_empty=False,  # Faust's own wait has no end; `drain` has
            broker_commit_interval=max(work.checkpoint_seconds, COMMIT_SECONDS_MIN),
            agent_supervisor=CrashingSupervisor,  # an agent that dies is our defect: stop, never go on with the next
            web_enabled=work.web_port > 0,
            web_host=work.web_host,
            web_bind=work.web_host,
            web_port=work.web_port or 1,
            web_application_options={"middlewares": middlewares(work.web_host, work.web_token)},
            web_router_enabled=False,
            web_tables_enabled=False,
            web_metrics_enabled=False,
            worker_redirect_stdouts=False,
            **options,
        )

    async def on_stop(self) -> None:
        """Drain before anything is taken down: agents and consumer still run while this waits.

        The captures are drained at the same time: their shards need not wait for what is still being written. So are
        sinks closed: those that take long do not add up.
        """
        await asyncio.gather(self._drain(), *(capture.drain() for capture in self.work.captures))
        await asyncio.gather(*(runner.close() for runner in self.work.topologies.values()))
        await super().on_stop()

    async def _drain(self) -> None:
        if self.delivery is not None:
            await self.consumer.drain(0.0 if self.crashed else self.work.drain_seconds)


class CaptureService(Service):
    """One table's capture as a service of the app."""

    def __init__(self, capture: TableCapture, step_seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._capture = capture
        self._step_seconds = step_seconds

    @Service.task
    async def _run(self) -> None:
        work = self._capture.run(self._step_seconds)
        await for_good(f"the capture of table {self._capture.table}", work, self._stops)

    def _stops(self) -> bool:
        """Return True when it may end: the app drains the captures before it stops their services."""
        return self.should_stop or self._capture.stopping

    async def on_stop(self) -> None:
        """Give the leases back, unless the app has done so: it is stopped first where it was started."""
        await self._capture.drain()


class CopyService(Service):
    """The copy of one table as a service of the app: it ends by itself."""

    def __init__(self, copy: Callable[[], Awaitable[None]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._copy = copy

    @Service.task
    async def _run(self) -> None:
        while not self.should_stop:
            try:
                await self._copy()
            except PipelineError as error:
                logger.warning("a table is not copied yet, it is tried again: %s", error)
                await self.sleep(HALT_SECONDS)
            else:
                return


class ChoreService(Service):
    """What one worker of all does, as a service of the app."""

    def __init__(self, chore: Alone, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._chore = chore

    @Service.task
    async def _run(self) -> None:
        await self._chore.run()

    async def on_stop(self) -> None:
        """Give the lease back."""
        await self._chore.release()


def create_app(work: Work) -> FanoutApp:
    """Return the app of a process."""
    app = FanoutApp(work)
    registry = CollectorRegistry()
    registry.register(work.metrics)
    ProcessCollector(registry=registry)
    setup_prometheus_sensors(app, pattern="/metrics", registry=registry, name_prefix="fanout_faust")
    for name in work.topologies:
        _add_agent(app, name)
    _add_pages(app)
    return app


def side_services(work: Work) -> list[Service]:
    """Return a service for each table captured, each copied, and each chore, in this process."""
    captures = [CaptureService(capture, work.step_seconds) for capture in work.captures]
    chores = [ChoreService(chore) for chore in work.chores]
    return [*captures, *chores, *(CopyService(copy) for copy in work.copies)]


def _add_agent(app: FanoutApp, name: str) -> None:
    """Give a topology its agent: it takes batches as they come, its desk has them written."""
    topic = app.topic(topic_of(app.stream_name, name), key_serializer="raw", value_serializer="raw")
    desk = app.desks[name]

    async def deliver(stream: Any) -> None:
        manual = stream.noack()  # Faust's own acknowledgement comes even when the agent has failed
        async for event in manual.events():
            desk.accept(event, manual.ack)

    app.agent(topic, name=name)(deliver)


def _add_pages(app: FanoutApp) -> None:
    @app.page(HEALTH)
    async def health(view: View, _request: Request) -> Response:
        state = app.work.health()
        shown = {"healthy": state["healthy"]} if guarded(app.work.web_host) else state
        return view.json(shown, status=200 if state["healthy"] else 503)

    @app.page("/status")
    async def status(view: View, _request: Request) -> Response:
        return view.json(app.work.status())
