"""What a process must know of its AWS resources before it starts."""

import logging
import secrets

from pipeline.aws.kinesis import KinesisControl
from pipeline.aws.session import CONTROL
from pipeline.aws.tables import TableDescription, Tables
from pipeline.model.errors import Misconfigured
from pipeline.ports import FieldValue, StateRow, StateStore
from pipeline.settings.declaration import Stream
from pipeline.settings.preflight import CREATE_SOURCE
from pipeline.wiring.build import Parts

BOTH_IMAGES = "NEW_AND_OLD_IMAGES"

logger = logging.getLogger(__name__)


async def source_tables(parts: Parts) -> list[TableDescription]:
    """Return the source tables, each with a stream of both images. Raises Misconfigured with the fix."""
    source = parts.settings.source
    tables = Tables(parts.aws.dynamodb(source.region, CONTROL), parts.around.clock)
    return [_captured(await tables.describe(name), name, source.region) for name in source.tables]


def _captured(table: TableDescription | None, name: str, region: str) -> TableDescription:
    """Return a table whose changes can be captured whole."""
    if table is None:
        msg = f"source.tables: there is no table {name} in {region}"
        raise Misconfigured(msg, hint=f"correct the name or the region, or create the table; {CREATE_SOURCE}")
    if not table.stream_enabled:
        msg = f"source.tables: the table {name} has no stream"
        raise Misconfigured(msg, hint=stream_fix(name, region))
    if table.view_type != BOTH_IMAGES:
        msg = f"source.tables: the stream of {name} carries {table.view_type}, not both images"
        raise Misconfigured(
            msg, hint=f"a view type cannot be changed: disable the stream, then {stream_fix(name, region)}"
        )
    return table


def stream_fix(name: str, region: str) -> str:
    """Return the command that gives a table the stream it needs."""
    return (
        f"aws dynamodb update-table --region {region} --table-name {name}"
        f" --stream-specification StreamEnabled=true,StreamViewType={BOTH_IMAGES}"
    )


async def check_stream(parts: Parts) -> None:
    """Raise Misconfigured when the Kinesis stream is missing, or cannot keep the order of lanes."""
    stream = parts.settings.stream
    described = await KinesisControl(parts.aws.kinesis(stream.region, CONTROL), parts.around.clock).describe(
        stream.name
    )
    if described is None:
        msg = f"stream.name: there is no Kinesis stream {stream.name} in {stream.region}"
        raise Misconfigured(msg, hint="`fanout setup` creates it")


async def begin(parts: Parts) -> str:
    """Return the pipeline's own name, made the first time; refuse another count of lanes later: order depends on it.

    The name is random and lives in the state table, with the checkpoints: where these are new, so is the name, and no
    position an earlier pipeline left at a destination is taken for one of this.
    """
    stream = parts.settings.stream
    fields: dict[str, FieldValue] = {"lanes": stream.lanes, "pipeline": secrets.token_hex(8), "entityType": "STREAM"}
    await parts.around.store.write(StateRow(pipeline_key(stream.name), 0, fields), None)
    row = (await parts.around.store.read([pipeline_key(stream.name)]))[pipeline_key(stream.name)]
    must_have_lanes(row, stream)
    return _own_name(row, stream.name)


def must_have_lanes(row: StateRow, stream: Stream) -> None:
    """Raise Misconfigured where the settings have another count of lanes than a pipeline was begun with."""
    begun = row.fields.get("lanes")
    if begun != stream.lanes:
        msg = f"stream.lanes is {stream.lanes}, but {stream.name} was begun with {begun!r}"
        raise Misconfigured(msg, hint="set it back; to change it, drain the stream and begin a new one")


async def pipeline_name(store: StateStore, stream: str) -> str:
    """Return the own name of a pipeline that was begun. Raises Misconfigured when none was."""
    row = (await store.read([pipeline_key(stream)])).get(pipeline_key(stream))
    if row is None:
        msg = f"no pipeline was ever begun on the stream {stream} with this state table"
        raise Misconfigured(msg, hint="are stream.name and state.table those of the workers?")
    return _own_name(row, stream)


async def must_still_be(store: StateStore, stream: str, name: str) -> None:
    """Raise Misconfigured when the state table does not know the pipeline by this name any more.

    It was emptied or made anew then. What is begun in it has a new name, under which a destination keeps no position
    yet; a process that goes on under the old one would store checkpoints that do not fit to either.
    """
    row = (await store.read([pipeline_key(stream)])).get(pipeline_key(stream))
    if row is None or _own_name(row, stream) != name:
        msg = f"the state table was emptied or made anew: it does not know the pipeline {name}"
        raise Misconfigured(msg, hint="restart every worker and capture: they begin anew at the oldest change there is")


def _own_name(row: StateRow, stream: str) -> str:
    return f"{stream}/{row.fields['pipeline']!s}"


def pipeline_key(stream: str) -> str:
    """Return the key of the state row of a Kinesis stream."""
    return f"stream:{stream}"
