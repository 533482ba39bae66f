"""The look before the start: does what the configuration names exist, fit, and open."""

from collections.abc import Awaitable, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeVar

from pipeline.model.errors import PipelineError
from pipeline.model.facts import LogFacts, TableFacts
from pipeline.ports import Inspector
from pipeline.settings.declaration import Settings
from pipeline.settings.destinations import Place, PlaceKind, destinations
from pipeline.wire.attributes import must_be_no_keys

BOTH_IMAGES = "NEW_AND_OLD_IMAGES"
CREATE = "fanout setup creates it"
CORRECT = "correct the name, the region or the credentials"
CREATE_SOURCE = "for development `fanout setup --source-keys id:S` creates it"

Facts = TypeVar("Facts")


class Severity(StrEnum):
    """Whether the pipeline can start in spite of a finding."""

    ERROR = "error"
    WARNING = "warning"


class Finding(NamedTuple):
    """One thing that is wrong, with the setting it belongs to and what to do about it."""

    severity: Severity
    field: str
    reason: str
    fix: str


async def findings(settings: Settings, inspector: Inspector) -> list[Finding]:
    """Return what is wrong with the resources a configuration names, in the order of a change's way; [] is all right.

    A resource that cannot be looked at is a finding too, and does not keep the others from being looked at.
    """
    look = _Look(inspector)
    sources = await _look_at_sources(look, settings)
    _look_at_attributes(look, settings, sources)
    await _look_at_stream(look, settings)
    await look.table("state.table", settings.state.region, settings.state.table, CREATE)
    if settings.quarantine.bucket:
        await look.bucket("quarantine.bucket", settings.quarantine.bucket)
    for field, place in destinations(settings):
        await _look_at_destination(look, settings, sources, field, place)
    for name, topology in settings.topologies.items():
        if getattr(topology.options, "retention_days", 0):
            for key in ("bucket", "witness_bucket"):
                if bucket := getattr(topology.options, key, ""):
                    await look.lock(f"topologies.{name}.retention_days", bucket)
    if not settings.topologies:
        look.warn("topologies", "none is configured", "add a section such as [topologies.replica]")
    return look.found


class _Look:
    """Asks the inspector and gathers findings; an answer of None means that there was one."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self.found: list[Finding] = []

    def fail(self, field: str, reason: str, fix: str) -> None:
        self.found.append(Finding(Severity.ERROR, field, reason, fix))

    def warn(self, field: str, reason: str, fix: str) -> None:
        self.found.append(Finding(Severity.WARNING, field, reason, fix))

    async def table(self, field: str, region: str, name: str, fix: str) -> TableFacts | None:
        what = f"table {region}/{name}"
        facts = await self._ask(self._inspector.table(region, name), field, what, fix)
        if facts is not None:
            self._usable(field, what, facts.status)
        return facts

    async def log(self, field: str, region: str, name: str, fix: str) -> LogFacts | None:
        what = f"Kinesis data stream {region}/{name}"
        facts = await self._ask(self._inspector.log(region, name), field, what, fix)
        if facts is not None:
            self._usable(field, what, facts.status)
        return facts

    async def bucket(self, field: str, name: str) -> None:
        await self._ask(self._inspector.bucket(name), field, f"bucket {name}", CREATE)

    async def lock(self, field: str, bucket: str) -> None:
        has = await self._ask(self._inspector.has_lock(bucket), field, f"bucket {bucket}", CREATE)
        if has is False:
            fix = "make a bucket with Object Lock: an existing one gets it from AWS support only; or remove the setting"
            self.fail(field, f"bucket {bucket} has no Object Lock, so that every write would be refused", fix)

    async def _ask(self, question: Awaitable[Facts | None], field: str, what: str, fix: str) -> Facts | None:
        try:
            facts = await question
        except PipelineError as error:
            self.fail(field, f"cannot look at {what}: {error.reason}", error.hint or "try again")
            return None
        if facts is None:
            self.fail(field, f"there is no {what} in this account", fix)
        return facts

    def _usable(self, field: str, what: str, status: str) -> None:
        if status != "ACTIVE":
            self.fail(field, f"{what} is {status}", "wait until it is ACTIVE")


async def _look_at_sources(look: _Look, settings: Settings) -> Mapping[str, TableFacts]:
    sources = {}
    for name in settings.source.tables:
        region = settings.source.region
        facts = await look.table("source.tables", region, name, f"{CORRECT}; {CREATE_SOURCE}")
        if facts is not None:
            sources[name] = facts
            _look_at_view(look, region, name, facts.stream_view)
    return sources


def _look_at_attributes(look: _Look, settings: Settings, sources: Mapping[str, TableFacts]) -> None:
    for topology in settings.topologies.values():
        for table in topology.tables:
            names = [name for name, _ in sources[table].keys] if table in sources else []
            try:
                must_be_no_keys(topology.attributes, table, names)
            except PipelineError as error:
                look.fail(f"topologies.{topology.name}", error.reason, error.hint)


def _look_at_view(look: _Look, region: str, table: str, view: str) -> None:
    target = f"--region {region} --table-name {table}"
    switch_off = f"aws dynamodb update-table {target} --stream-specification StreamEnabled=false"
    switch_on = (
        f"aws dynamodb update-table {target} --stream-specification StreamEnabled=true,StreamViewType={BOTH_IMAGES}"
    )
    if not view:
        look.fail("source.tables", f"the stream of table {region}/{table} is off", switch_on)
    elif view != BOTH_IMAGES:
        look.fail(
            "source.tables",
            f"the stream of table {region}/{table} carries {view}, not {BOTH_IMAGES}",
            "a view cannot be changed, and what changes while the stream is off is in no stream: pause the writers,"
            f" then {switch_off} && aws dynamodb wait table-exists {target} && {switch_on}",
        )


async def _look_at_stream(look: _Look, settings: Settings) -> None:
    stream = settings.stream
    facts = await look.log("stream.name", stream.region, stream.name, CREATE)
    if facts is not None:
        _look_at_fit(look, settings, facts)
    if stream.claim_bucket:
        await look.bucket("stream.claim_bucket", stream.claim_bucket)
    else:
        look.warn(
            "stream.claim_bucket",
            "none is given: a change that does not fit into a record, even compressed, stops its shard",
            "name a bucket in the region of the stream",
        )


def _look_at_fit(look: _Look, settings: Settings, facts: LogFacts) -> None:
    stream = settings.stream
    if not facts.obeys_hash_keys:
        look.fail(
            "stream.name",
            "the stream distributes records as it likes, which breaks the order of a key",
            "set its RecordDistributionStrategy to USER_PARTITION_KEY",
        )
    if stream.record_bytes_max > facts.record_bytes_max:
        look.fail(
            "stream.record_bytes_max",
            f"the stream takes records of up to {facts.record_bytes_max} bytes",
            "lower it, or raise the stream's MaxRecordSizeInKiB",
        )
    if facts.shards > stream.lanes:
        look.warn(
            "stream.lanes",
            f"{stream.lanes} lanes leave some of the {facts.shards} shards without work",
            "start a new stream with more lanes, or merge shards",
        )


async def _look_at_destination(
    look: _Look, settings: Settings, sources: Mapping[str, TableFacts], field: str, place: Place
) -> None:
    match place.kind:
        case PlaceKind.TABLE:
            facts = await look.table(field, place.region, place.name, CREATE)
            if facts is not None:
                feeding = _fed_by(settings, field, place)
                _look_at_keys(look, {name: sources[name] for name in feeding if name in sources}, field, facts)
        case PlaceKind.STREAM:
            await look.log(field, place.region, place.name, "create it, or correct the name")
        case PlaceKind.BUCKET:
            await look.bucket(field, place.name)
        case PlaceKind.FOLDER:
            pass  # its topology creates it


def _fed_by(settings: Settings, field: str, place: Place) -> tuple[str, ...]:
    """Return the source tables whose changes go to a table: all of the topology's, or the one of the same name."""
    topology = settings.topologies[field.split(".")[1]]
    return topology.tables if getattr(topology.options, "table", "") else (place.name,)


def _look_at_keys(look: _Look, sources: Mapping[str, TableFacts], field: str, facts: TableFacts) -> None:
    for name, source in sources.items():
        if source.keys != facts.keys:
            look.fail(
                field,
                f"its table has the key {_key(facts)}, source table {name} has {_key(source)}",
                "create it anew with the key of the source table, or name another table",
            )
        for index in sorted({*source.indexes} - {*facts.indexes}):
            look.warn(
                field,
                f"its table has no index {index}, as source table {name} has it",
                "add it to the replica if something reads it there; a local index needs a new table",
            )


def _key(facts: TableFacts) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in facts.keys)
