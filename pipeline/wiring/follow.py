"""`fanout restore --follow`: a table kept warm from the archive alone."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.session import CONTROL, Aws
from pipeline.aws.tables import POSITIONS_KEY, Tables
from pipeline.history.moment import text_of
from pipeline.history.standby import Round, Standby
from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.settings import Settings
from pipeline.wiring.archive import archive_of
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.destination import table_place
from pipeline.wiring.reading import Question, Source, aside, source_of

POLL_SECONDS = 5.0
POSITIONS_SUFFIX = "-standby"
"""What the name of the table ends with that keeps how far a standby is; it lies beside it."""

Tell = Callable[[Round], None]
logger = logging.getLogger(__name__)


def follow(settings: Settings, question: Question, into: str, *, once: bool, tell: Tell) -> dict[str, Any]:
    """Fill the standby and follow the archive until interrupted, or with `once` until it has what the archive has now.

    Returns the report of what was done. Raises PipelineError; whatever was written then, a second call goes on.
    """
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_follow(parts_of(settings, aws), question, into, once, tell))


async def _follow(parts: Parts, question: Question, into: str, once: bool, tell: Tell) -> dict[str, Any]:
    home = parts.settings.source.region
    region, table = table_place(into, home)
    archive_of(parts, question.topology)
    with aside(parts) as folder:
        source = await source_of(parts, question, folder)
        if (region, table) == (home, source.table):
            raise Misconfigured("the source table cannot be its own standby", hint="give --into another table")
        await _tables(parts, source, region, table)
        standby = _standby(parts, question, source, region, table)
        await standby.open()
        total = Round()
    while True:
        with aside(parts) as folder:
            done = await standby.round(folder)
        _add(total, done)
        tell(total)
        if once:
            return _report(total, source, region, table)
        await parts.around.clock.sleep(POLL_SECONDS)


async def _tables(parts: Parts, source: Source, region: str, table: str) -> None:
    """Create the standby and the table beside it where they are missing. Raises Misconfigured for other keys."""
    tables = Tables(parts.aws.dynamodb(region, CONTROL), parts.around.clock)
    keys = source.key_attributes
    known = await tables.describe(table)
    if known is not None and known.keys != tuple(keys):
        raise Misconfigured(
            f"the table {region}/{table} has other key attributes than {source.schema}", hint="give another name"
        )
    await tables.create(table + POSITIONS_SUFFIX, [POSITIONS_KEY])
    await tables.create(table, keys)


def _standby(parts: Parts, question: Question, source: Source, region: str, table: str) -> Standby:
    options = parts.settings.topologies[question.topology].options
    return Standby(
        source.objects,
        f"s3://{options.bucket}/{options.prefix.strip('/')}",
        source.table,
        DynamoDBItemStore(parts.aws, region, parts.around.clock),
        table,
        table + POSITIONS_SUFFIX,
        parts.around.clock,
        parts.around.chance,
        _waits,
    )


def _waits(error: RetryLater, attempt: int) -> None:
    logger.warning("the standby waits (attempt %d): %s", attempt, error)


def _add(total: Round, done: Round) -> None:
    for name in ("segments", "put", "deleted"):
        setattr(total, name, getattr(total, name) + getattr(done, name))
    total.incomplete = done.incomplete
    total.last_ms = max(total.last_ms, done.last_ms)


def _report(total: Round, source: Source, region: str, table: str) -> dict[str, Any]:
    counts = {name: count for name, count in asdict(total).items() if name != "last_ms"}
    last = text_of(total.last_ms) if total.last_ms else None
    return {"table": source.table, "standby": f"{region}/{table}", **counts, "last_change": last}
