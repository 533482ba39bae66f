"""`fanout run`, `capture` and `worker`: one process from settings to exit code."""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pipeline.aws.session import Aws
from pipeline.model.errors import Misconfigured
from pipeline.settings import Settings
from pipeline.settings.environment import WEB_TOKEN
from pipeline.telemetry.metrics import PipelineCollector
from pipeline.telemetry.reports import health_of, status_of
from pipeline.wiring.bootstrap import copies_of
from pipeline.wiring.build import Parts, capture_of, parts_of, quarantine_of, topologies_of
from pipeline.wiring.compactor import compactors_of
from pipeline.wiring.core import delivery_of
from pipeline.wiring.policies import note_policies
from pipeline.wiring.resources import begin, check_stream, must_still_be, source_tables
from pipeline.wiring.roots import root_writers_of, signers_of
from pipeline.worker.app import Work
from pipeline.worker.guard import guarded
from pipeline.worker.process import run as run_worker

logger = logging.getLogger(__name__)


def run(settings: Settings, *, capture: bool, worker: bool, copy: bool = False) -> int:
    """Run until stopped; return the exit code. Raises PipelineError before anything has begun.

    With `copy`, what the source tables have already is copied first, unless it was before.
    """
    with Aws(settings.aws.plain_http_hosts) as aws:
        parts = parts_of(settings, aws)
        work = asyncio.run(_prepare(parts, capture=capture, worker=worker))
        if copy:
            work = replace(work, copies=copies_of(parts, asyncio.run(source_tables(parts))))
        _must_be_free(work.web_host, work.web_port)
        _announce(work, parts.around.owner)
        code = run_worker(work)
        logger.info("stopped")
        return code


def _must_be_free(host: str, port: int) -> None:
    """Raise Misconfigured when the status page cannot have its place."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            msg = f"worker.web_port: {host}:{port} cannot be had: {error.strerror}"
            raise Misconfigured(msg, hint="stop what uses it, or give another with FANOUT_WORKER_WEB_PORT") from None


def _announce(work: Work, owner: str) -> None:
    """Say in one line each what this process does, and where to look at it."""
    for capture in work.captures:
        logger.info("captures %s into the Kinesis stream %s", capture.table, work.stream)
    for name in work.topologies:
        logger.info("delivers %s to %s", work.stream, name)
    logger.info("is %s; status at http://%s:%d/status", owner, work.web_host, work.web_port)
    if guarded(work.web_host) and not work.web_token:
        logger.warning("other machines may ask for /health only: status and metrics need %s to be set", WEB_TOKEN)


async def _prepare(parts: Parts, *, capture: bool, worker: bool) -> Work:
    """Look at every resource first, so that a wrong one is said at once and nothing is half begun."""
    await check_stream(parts)
    tables = await source_tables(parts) if capture else []
    captures = [capture_of(parts, table) for table in tables]
    pipeline = await begin(parts)  # the first write: nothing above was wrong
    topologies = topologies_of(parts, pipeline) if worker else {}
    if worker:
        await note_policies(parts)
    admitted = partial(must_still_be, parts.around.store, parts.around.log.name, pipeline)
    delivery = delivery_of(parts.around, topologies, quarantine_of(parts, pipeline), admitted) if worker else None
    roots = root_writers_of(parts) if worker else {}

    def status() -> Mapping[str, Any]:
        return status_of(parts.around.owner, captures, delivery, topologies, roots)

    settings = parts.settings.worker
    return Work(
        parts.around.log.name,
        captures,
        delivery,
        topologies,
        step_seconds=settings.lease_seconds / 3,
        checkpoint_seconds=settings.checkpoint_seconds,
        drain_seconds=settings.drain_seconds,
        web_host=settings.web_host,
        web_port=settings.web_port,
        health=lambda: health_of(captures, delivery),
        status=status,
        metrics=PipelineCollector(captures, delivery, topologies),
        chores=[*compactors_of(parts, parts.settings.topologies), *signers_of(parts, roots)] if worker else (),
        web_token=os.environ.get(WEB_TOKEN, "").strip(),
    )
