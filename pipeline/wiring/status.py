"""`fanout status`: who works on which shard and how far, read from the state table."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.aws.session import CONTROL, Aws
from pipeline.aws.tables import Tables
from pipeline.coordination.checkpoints import read_many
from pipeline.coordination.gaps import Gaps
from pipeline.coordination.leases import lease_key
from pipeline.delivery.roots import roots_key
from pipeline.model.gap import GapRecord, GapState
from pipeline.model.progress import Checkpoint
from pipeline.model.retention import retention
from pipeline.model.shard import Shard, by_lineage
from pipeline.ports import StateRow
from pipeline.settings import Settings
from pipeline.verification.passage import Standing
from pipeline.wire import lease as form
from pipeline.wiring.build import Parts, parts_of, stream_of
from pipeline.wiring.core import CAPTURE, Surroundings, checkpoint_key, group_of

NOBODY = "nobody works on it"
SILENT_LEASES = 2
"""An owner that has not renewed for so many lease times, by the wall clocks of both, is shown as silent."""


def collect(settings: Settings) -> dict[str, Any]:
    """Return the report: a list of rows for the capture, one for the delivery."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_collect(parts_of(settings, aws)))


async def _collect(parts: Parts) -> dict[str, Any]:
    settings = parts.settings
    tables = Tables(parts.aws.dynamodb(settings.source.region, CONTROL), parts.around.clock)
    capture: list[dict[str, Any]] = []
    newest_ms = 0
    gaps = await Gaps(parts.around.store, parts.around.log.name, parts.around.clock).all()
    for name in settings.source.tables:
        table = await tables.describe(name)
        if table is None or not table.stream_arn:
            capture.append({"table": name, "shard": "", "owner": "", "state": "no table or no stream"})
            continue
        shards = by_lineage(await stream_of(parts, table).shards())
        group = group_of(parts.around.log.name, table.name, table.stream_label)
        rows = await _rows(parts, group, shards, [CAPTURE])
        add_gaps(rows, shards, [gap for gap in gaps if (gap.table, gap.epoch) == (name, table.stream_label)])
        capture += [{"table": name, **row} for row in rows]
        newest_ms = max([newest_ms, *(row["time_ms"] for row in rows)])
    shards = by_lineage(await parts.around.log.shards())
    delivery = await _rows(parts, parts.around.log.name, shards, list(settings.topologies))
    kept_ms, now_ms = await parts.around.log.kept_ms(), parts.around.clock.now_ms()
    for row in capture:
        _add_age(row, now_ms)
    for row in delivery:
        _add_lag(row, newest_ms)
        add_time_to_loss(row, kept_ms, now_ms)
    return {
        "tables": list(settings.source.tables),
        "stream": parts.around.log.name,
        "capture": capture,
        "delivery": delivery,
        "roots": await _roots(parts),
    }


async def _roots(parts: Parts) -> list[dict[str, Any]]:
    """Return a row for each audit log whose roots are signed: the newest, and why none follows."""
    stream, topologies = parts.around.log.name, parts.settings.topologies
    signing = ("signing_key_file", "signing_kms_key")
    names = [name for name, each in topologies.items() if any(getattr(each.options, key, "") for key in signing)]
    stored = await parts.around.store.read([roots_key(stream, name) for name in names])
    return [roots_row(name, stored.get(roots_key(stream, name))) for name in names]


def roots_row(name: str, row: StateRow | None) -> dict[str, Any]:
    """Return what the row of a log's roots says."""
    fields: Mapping[str, Any] = row.fields if row else {}
    signed_at = _moment(fields["time_ms"]) if "time_ms" in fields else ""
    trouble = fields.get("trouble", "") if row else "no worker has looked yet"
    return {"topology": name, "newest": fields.get("number", 0), "signed_at": signed_at, "waits": trouble}


async def _rows(parts: Parts, group: str, shards: Sequence[Shard], names: Sequence[str]) -> list[dict[str, Any]]:
    store, now_ms, lease_seconds = parts.around.store, parts.around.clock.now_ms(), parts.around.lease_seconds
    leases = await store.read([lease_key(group, shard.id) for shard in shards])
    checkpoints = await read_many(store, [checkpoint_key(group, shard.id, n) for shard in shards for n in names])
    return [
        row_of(
            shard.id,
            name,
            leases.get(lease_key(group, shard.id)),
            checkpoints.get(checkpoint_key(group, shard.id, name)),
            now_ms,
            lease_seconds,
        )
        for shard in shards
        for name in names
    ]


async def standing(around: Surroundings, name: str, shard: str) -> Standing:
    """Return how a topology stands on a shard, as the report has it."""
    key = lease_key(around.log.name, shard)
    lease = (await around.store.read([key])).get(key)
    row = row_of(shard, name, lease, None, around.clock.now_ms(), around.lease_seconds)
    return Standing(row["state"], row["reason"])


def row_of(
    shard: str, name: str, lease: StateRow | None, checkpoint: Checkpoint | None, now_ms: int, lease_seconds: float
) -> dict[str, Any]:
    """Return what the rows of a shard say of the capture, or of a topology: names, counts, times, never content."""
    fields: Mapping[str, Any] = lease.fields if lease else {}
    settled, owner = checkpoint or Checkpoint(), fields.get("leaseOwner", "")
    silent_seconds = max(0.0, (now_ms - fields["renewedMs"]) / 1000) if owner and "renewedMs" in fields else None
    owners = [f"{each.owner} since {_moment(each.since_ms)}" for each in form.owners_of(fields)]
    state, trouble = _state(fields, name, ended=settled.ended)
    if state != "ended" and silent_seconds is not None and silent_seconds > SILENT_LEASES * lease_seconds:
        state, trouble = f"owner silent for {silent_seconds:.0f} s", None
    return {
        **({} if name == CAPTURE else {"topology": name}),
        "shard": shard,
        "state": state,
        "reason": trouble.reason if trouble else "",
        "since": _moment(trouble.since_ms) if trouble else "",
        "owner": owner,
        "owners": owners,
        "lease_counter": lease.version if lease else 0,
        "changes": settled.position,
        **({} if name == CAPTURE else {"parked_keys": 0 if settled.ended else len(settled.parked)}),
        "sequence": str(settled.sequence or ""),
        "time_ms": settled.time_ms,
        "through_ms": settled.through_ms,
    }


def _state(fields: Mapping[str, Any], name: str, *, ended: bool) -> tuple[str, form.Trouble | None]:
    """Return the state in a word, and what is wrong: with the topology itself, or else with the reading for all."""
    if ended or not fields.get("leaseOwner"):
        return "ended" if ended else NOBODY, None
    troubles = form.troubles_of(fields)
    own, reading = troubles.get(name), troubles.get("")
    if own is None and reading is not None:
        return reading.flow if name == CAPTURE else f"reading {reading.flow}", reading
    return (own.flow, own) if own else ("working", None)


def add_gaps(rows: Sequence[dict[str, Any]], shards: Sequence[Shard], gaps: Sequence[GapRecord]) -> None:
    """Add at which gap a shard waits that nobody may work on: one of the whole stream, or of a parent that is gone."""
    waiting = {gap.shard: gap for gap in gaps if gap.state is GapState.OPEN}
    for row, shard in zip(rows, shards, strict=True):
        gap = next((waiting[place] for place in ("", *shard.parents) if place in waiting), None)
        if gap is not None and row["state"] == NOBODY:
            row |= {"reason": f"gap {gap.id}: {gap.reason}", "since": _moment(gap.noticed_ms)}


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _add_age(row: dict[str, Any], now_ms: int) -> None:
    """Add how old the last captured change is: old on a quiet shard, or on one nobody reads."""
    time_ms = row.pop("time_ms", 0)
    row.pop("through_ms", 0)  # a capture stores when the last change was made, not up to when there was none
    row["last_change_age_seconds"] = round((now_ms - time_ms) / 1000) if time_ms else ""


def _add_lag(row: dict[str, Any], newest_ms: int) -> None:
    """Add how far, in creation times, the topology is behind the newest captured change of any shard."""
    time_ms = row.pop("time_ms", 0)
    ended = row["state"] == "ended"
    row["behind_capture_seconds"] = "" if ended or not time_ms else max(0, round((newest_ms - time_ms) / 1000))


def add_time_to_loss(row: dict[str, Any], kept_ms: int, now_ms: int) -> None:
    """Add how long until the oldest change that is not settled may be trimmed, also where nobody works.

    By what is stored, which on an idle shard is up to a quarter of an hour behind: never longer than it is.
    """
    left = retention(row.pop("through_ms", 0), kept_ms, now_ms).time_to_loss_seconds
    row["time_to_loss_hours"] = "" if left is None or row["state"] == "ended" else round(left / 3600, 1)
