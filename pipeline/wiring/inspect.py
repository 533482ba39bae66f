"""`fanout check`: the look before the start, through the AWS adapters."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

from pipeline.aws.inspector import AwsInspector
from pipeline.aws.session import Aws
from pipeline.delivery.follower import KEEP_QUARANTINE
from pipeline.model.errors import Misconfigured, PipelineError
from pipeline.settings import Settings, preflight
from pipeline.settings.preflight import Finding, Severity
from pipeline.wiring.attributes import key_findings
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.quarantine import asking_of
from pipeline.wiring.resources import must_have_lanes, pipeline_key
from pipeline.wiring.roots import signer_of

STATE = "state.table"
STREAM = "stream.name"


def findings(settings: Settings) -> list[Finding]:
    """Return what is wrong with the resources the configuration names; nothing is written."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        return [*key_findings(settings), *asyncio.run(_findings(parts_of(settings, aws)))]


async def _findings(parts: Parts) -> list[Finding]:
    inspector = AwsInspector(parts.aws, parts.around.clock, parts.settings.stream.region)
    found = await preflight.findings(parts.settings, inspector)
    if not any(each.field == STATE for each in found):  # where the state table is not there, nothing was begun
        found += [each async for each in _begun_otherwise(parts)]
    if not any(each.field in (STATE, STREAM) for each in found):
        found += [each async for each in _parked_without_place(parts)]
    return [*found, *[each async for each in _unsigned(parts)]]


async def _begun_otherwise(parts: Parts) -> AsyncIterator[Finding]:
    """Yield what does not fit the pipeline that was begun, and why that cannot be seen."""
    key = pipeline_key(parts.settings.stream.name)
    try:
        row = (await parts.around.store.read([key])).get(key)
    except PipelineError as error:
        yield Finding(Severity.ERROR, STATE, error.reason, error.hint)
        return
    try:
        if row is not None:
            must_have_lanes(row, parts.settings.stream)
    except Misconfigured as error:
        yield Finding(Severity.ERROR, "stream.lanes", error.reason, error.hint)


async def _parked_without_place(parts: Parts) -> AsyncIterator[Finding]:
    """Yield what would halt, since keys are parked and no place for them is configured; and why that cannot be seen."""
    if parts.settings.quarantine.wanted:
        return
    try:
        waiting = await asking_of(parts).waiting()
    except PipelineError as error:
        yield Finding(Severity.ERROR, STATE, error.reason, error.hint)
        return
    for name, keys in sorted(Counter(each.topology for each in waiting).items()):
        reason = f"{keys} key(s) of topology {name} are parked, and no place for them is configured: it would halt"
        yield Finding(Severity.ERROR, "quarantine.bucket", reason, KEEP_QUARANTINE)


async def _unsigned(parts: Parts) -> AsyncIterator[Finding]:
    """Yield the audit logs whose roots would wait for their key."""
    for name, configured in parts.settings.topologies.items():
        signer = signer_of(parts.settings, parts.aws, configured)
        try:
            if signer is not None:
                await signer.public_key()
        except PipelineError as error:
            field = "signing_kms_key" if configured.options.signing_kms_key else "signing_key_file"
            yield Finding(Severity.WARNING, f"topologies.{name}.{field}", error.reason, error.hint)
