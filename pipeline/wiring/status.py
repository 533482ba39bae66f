"""`fanout status`: who works on which shard and how far, read from the state table."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.aws.session import CONTROL, Aws
from pipeline.aws.tables import Tables
from pipeline.coordination.checkpoints import read_many
from pipeline.coordination.leases import lease_key
from pipeline.model.progress import Checkpoint
from pipeline.model.shard import Shard, by_lineage
from pipeline.ports import StateRow, StateStore
from pipeline.settings import Settings
from pipeline.wiring.build import Parts, parts_of, stream_of
from pipeline.wiring.core import CAPTURE, checkpoint_key, group_of


def collect(settings: Settings) -> dict[str, Any]:
    """Return the report: a list of rows for the capture, one for the delivery."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_collect(parts_of(settings, aws)))


async def _collect(parts: Parts) -> dict[str, Any]:
    settings = parts.settings
    tables = Tables(parts.aws.dynamodb(settings.source.region, CONTROL), parts.around.clock)
    capture: list[dict[str, Any]] = []
    newest_ms = 0
    for name in settings.source.tables:
        table = await tables.describe(name)
        if table is None or not table.stream_arn:
            capture.append({"table": name, "shard": "", "owner": "", "state": "no table or no stream"})
            continue
        shards = by_lineage(await stream_of(parts, table).shards())
        group = group_of(parts.around.log.name, table.name, table.stream_label)
        rows = await _rows(parts.around.store, group, shards, [CAPTURE])
        capture += [{"table": name, **row} for row in rows]
        newest_ms = max([newest_ms, *(row["time_ms"] for row in rows)])
    shards = by_lineage(await parts.around.log.shards())
    delivery = await _rows(parts.around.store, parts.around.log.name, shards, list(settings.topologies))
    now_ms = parts.around.clock.now_ms()
    for row in capture:
        _add_age(row, now_ms)
    for row in delivery:
        _add_lag(row, newest_ms)
    return {
        "tables": list(settings.source.tables),
        "stream": parts.around.log.name,
        "capture": capture,
        "delivery": delivery,
    }


async def _rows(store: StateStore, group: str, shards: Sequence[Shard], names: Sequence[str]) -> list[dict[str, Any]]:
    leases = await store.read([lease_key(group, shard.id) for shard in shards])
    checkpoints = await read_many(store, [checkpoint_key(group, shard.id, n) for shard in shards for n in names])
    return [
        _row(
            shard, name, leases.get(lease_key(group, shard.id)), checkpoints.get(checkpoint_key(group, shard.id, name))
        )
        for shard in shards
        for name in names
    ]


def _row(shard: Shard, name: str, lease: StateRow | None, checkpoint: Checkpoint | None) -> dict[str, Any]:
    fields: Mapping[str, Any] = lease.fields if lease else {}
    row: dict[str, Any] = {} if name == CAPTURE else {"topology": name}
    settled = checkpoint or Checkpoint()
    return {
        **row,
        "shard": shard.id,
        "state": "ended" if settled.ended else "working" if fields.get("leaseOwner") else "nobody works on it",
        "owner": fields.get("leaseOwner", ""),
        "lease_counter": lease.version if lease else 0,
        "changes": settled.position,
        "sequence": str(settled.sequence or ""),
        "time_ms": settled.time_ms,
    }


def _add_age(row: dict[str, Any], now_ms: int) -> None:
    """Add how old the last captured change is: old on a quiet shard, or on one nobody reads."""
    time_ms = row.pop("time_ms", 0)
    row["last_change_age_seconds"] = round((now_ms - time_ms) / 1000) if time_ms else ""


def _add_lag(row: dict[str, Any], newest_ms: int) -> None:
    """Add how far, in creation times, the topology is behind the newest captured change of any shard."""
    time_ms = row.pop("time_ms", 0)
    ended = row["state"] == "ended"
    row["behind_capture_seconds"] = "" if ended or not time_ms else max(0, round((newest_ms - time_ms) / 1000))
