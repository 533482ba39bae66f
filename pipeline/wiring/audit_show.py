"""`fanout audit show`: entries of the log, read through the AWS adapters."""

import asyncio
from collections.abc import Callable
from typing import Any

from pipeline.aws.session import Aws
from pipeline.history.entries import Wanted, row_of, select
from pipeline.history.moment import moment
from pipeline.model.errors import Misconfigured
from pipeline.settings import Settings
from pipeline.wiring.audit import log_of
from pipeline.wiring.roots import places_of


def show(
    settings: Settings,
    *,
    topology: str,
    key: str,
    table: str,
    times: tuple[str, str],
    zone: str,
    actor: str,
    entries_max: int,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Return the latest entries asked for, with their content. Raises Misconfigured or Corrupt."""
    configured = log_of(settings, topology)
    if table and table not in configured.tables:
        raise Misconfigured(f"--table: {table} is not in this log", hint=f"one of {', '.join(configured.tables)}")
    if key and not table:
        if len(configured.tables) > 1:
            raise Misconfigured("the log has several tables", hint=f"give --table: {', '.join(configured.tables)}")
        table = configured.tables[0]
    begin, end = (moment(text, zone) if text else None for text in times)
    if begin and end and begin > end:
        raise Misconfigured("--from lies after --to", hint="exchange them")
    wanted = Wanted(table, key, begin.second_ms if begin else None, end.end_ms if end else None, actor)
    with Aws(settings.aws.plain_http_hosts) as aws:
        found = asyncio.run(select(places_of(settings, aws, configured).log, wanted, entries_max, progress))
    return {"older_entries_not_shown": found.older, "entries": [row_of(each) for each in found.entries]}
