"""`fanout setup`: create what the configuration names and does not exist yet; change nothing that does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from pipeline.aws.clock import SystemClock
from pipeline.aws.kinesis import KinesisControl
from pipeline.aws.objects import bucket_exists, create_bucket
from pipeline.aws.session import CONTROL, Aws
from pipeline.aws.tables import KeyAttribute, TableDescription, Tables
from pipeline.model.errors import Misconfigured
from pipeline.ports import Clock
from pipeline.settings import Settings
from pipeline.settings.destinations import Place, PlaceKind, destinations

KEYS_MAX = 2


class Step(NamedTuple):
    """One thing that is missing, and how to make it."""

    what: str
    make: Callable[[], Awaitable[Any]]


def create(settings: Settings, *, yes: bool, source_keys: str = "") -> list[str]:
    """Return what is missing, and create it when `yes`.

    `source_keys` ("id:S" or "pk:S,sk:N") gives the keys of source tables that do not exist; without it a missing source
    is Misconfigured, for it is more likely a wrong name than a wish.
    """
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_create(settings, aws, source_keys, yes=yes))


async def _create(settings: Settings, aws: Aws, source_keys: str, *, yes: bool) -> list[str]:
    done: list[str] = []
    async for step in _missing(settings, aws, SystemClock(), key_attributes(source_keys)):
        done.append(step.what)
        if yes:
            await step.make()
    return done


def key_attributes(text: str) -> tuple[KeyAttribute, ...]:
    """Return the key attributes of "pk:S,sk:N"; () for an empty text. Raises Misconfigured."""
    try:
        keys = msgspec.convert([part.split(":") for part in text.split(",") if part], tuple[KeyAttribute, ...])
    except msgspec.ValidationError as error:
        msg = f"source keys: {text!r} are no key attributes"
        raise Misconfigured(msg, hint="write name:type, hash key first, such as id:S or pk:S,sk:N") from error
    if len(keys) > KEYS_MAX:
        msg = f"source keys: {text!r} are more than two"
        raise Misconfigured(msg, hint="a table has a hash key and at most one range key")
    return keys


async def _missing(settings: Settings, aws: Aws, clock: Clock, keys: Sequence[KeyAttribute]) -> AsyncIterator[Step]:
    """Yield each missing thing in an order in which it can be made: what it is like depends on what was made before."""
    state = Tables(aws.dynamodb(settings.state.region, CONTROL), clock)
    if await state.describe(settings.state.table) is None:
        yield _step("state table", settings.state, partial(state.create_state, settings.state.table))
    sources = Tables(aws.dynamodb(settings.source.region, CONTROL), clock)
    for name in settings.source.tables:
        async for step in _source(sources, name, settings.source.region, keys):
            yield step
    log = KinesisControl(aws.kinesis(settings.stream.region, CONTROL), clock)
    if await log.describe(settings.stream.name) is None:
        what = f"Kinesis data stream {settings.stream.region}/{settings.stream.name}"
        yield Step(what, partial(log.create, settings.stream.name))
    async for step in _destinations(settings, aws, clock, sources):
        yield step
    async for step in _buckets(settings, aws):
        yield step


def _step(kind: str, place: Any, make: Callable[[], Awaitable[Any]]) -> Step:
    return Step(f"{kind} {place.region}/{place.table}", make)


async def _source(tables: Tables, name: str, region: str, keys: Sequence[KeyAttribute]) -> AsyncIterator[Step]:
    table = await tables.describe(name)
    if table is None and not keys:
        msg = f"source.tables: there is no table {name} in {region}"
        raise Misconfigured(msg, hint="correct the name or the region; to create it, give --source-keys")
    if table is None:
        yield Step(f"source table {region}/{name}", partial(tables.create, name, keys, stream=True))
    elif not table.stream_enabled:
        yield Step(f"stream of table {region}/{name}", partial(tables.enable_stream, name))


async def _destinations(settings: Settings, aws: Aws, clock: Clock, sources: Tables) -> AsyncIterator[Step]:
    """Yield missing replicas, with their source's keys, and the tables of their positions."""
    for topology in settings.topologies.values():
        places = [place for field, place in destinations(settings) if field.startswith(f"topologies.{topology.name}.")]
        for place in (place for place in places if place.kind is PlaceKind.TABLE):
            tables = Tables(aws.dynamodb(place.region, CONTROL), clock)
            if await tables.describe(place.name) is None:
                source = place.name if place.name in topology.tables else topology.tables[0]
                yield await _replica(tables, place, sources, source)
            positions = getattr(topology.options, "positions_table", "")
            if positions and getattr(topology.options, "mode", "") == "exact" and not await tables.describe(positions):
                yield Step(f"table {place.region}/{positions}", partial(tables.create_positions, positions))


async def _replica(tables: Tables, place: Place, sources: Tables, source: str) -> Step:
    """Return the step that makes a replica like its source; one that is made in the same run has keys only."""
    what = f"table {place.region}/{place.name}"
    if await sources.describe(source) is None:
        return Step(what, partial(_alike, tables, place.name, sources, source))
    like = await sources.likeness(source)
    told = [f"with {', '.join(like.taken)}"] if like.taken else []
    told += [f"without {'; '.join(like.left)}"] if like.left else []
    return Step("; ".join([f"{what}, like {source}", *told]), partial(tables.create_like, place.name, like))


async def _alike(tables: Tables, name: str, sources: Tables, source: str) -> TableDescription:
    return await tables.create_like(name, await sources.likeness(source))


def _locked(settings: Settings) -> set[str]:
    """Return the buckets whose objects are to be kept, which needs Object Lock from the start."""
    keeping = [each.options for each in settings.topologies.values() if getattr(each.options, "retention_days", 0)]
    return {getattr(options, key, "") for options in keeping for key in ("bucket", "witness_bucket")}


async def _buckets(settings: Settings, aws: Aws) -> AsyncIterator[Step]:
    wanted = {place.name: place.region for _, place in destinations(settings) if place.kind is PlaceKind.BUCKET}
    if settings.stream.claim_bucket:
        wanted.setdefault(settings.stream.claim_bucket, settings.stream.region)
    if settings.quarantine.bucket:
        wanted.setdefault(settings.quarantine.bucket, settings.quarantine.region)
    for name, region in wanted.items():
        home = region or settings.stream.region
        if not await bucket_exists(aws, home, name):
            yield Step(f"bucket {name}", partial(create_bucket, aws, home, name, lock=name in _locked(settings)))
