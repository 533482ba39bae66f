"""`fanout audit verify`: the chains of a log against themselves, and their ends against the checkpoints."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.aws.session import Aws
from pipeline.coordination.checkpoints import read_many
from pipeline.delivery.roots import roots_key
from pipeline.history.moment import text_of
from pipeline.model.errors import Misconfigured
from pipeline.settings import ConfiguredTopology, Settings
from pipeline.verification.audit import Report, verify_chain
from pipeline.verification.roots import Remembered, RootReader, Trust
from pipeline.wire.signature import PublicKey, public_keys
from pipeline.wiring.build import Parts, parts_of
from pipeline.wiring.core import checkpoint_key
from pipeline.wiring.gaps import gap_row
from pipeline.wiring.roots import KIND, places_of, signer_of


def verify(settings: Settings, *, topology: str, key_files: Sequence[Path] = ()) -> dict[str, Any]:
    """Return the report; `verified` says whether the log is complete and unaltered. Raises Misconfigured.

    Signatures are checked with the public keys of the files; without any with that of the configured signing key.
    """
    configured = log_of(settings, topology)
    given = [key for file in key_files for key in _keys_in(file)]
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_verify(parts_of(settings, aws), configured, given))


def log_of(settings: Settings, topology: str) -> ConfiguredTopology:
    """Return the configured audit log of a name. Raises Misconfigured when there is none: others have no chain."""
    configured = settings.topologies.get(topology)
    if configured is None or configured.topology.name != KIND:
        what = "is not configured" if configured is None else f"is of kind {configured.topology.name}"
        logs = ", ".join(name for name, each in settings.topologies.items() if each.topology.name == KIND)
        msg = f"topologies.{topology}: {what}, so that it has no audit log to verify"
        raise Misconfigured(msg, hint=f"give --topology; those of kind {KIND}: {logs or 'none'}")
    return configured


def _keys_in(file: Path) -> list[PublicKey]:
    try:
        return public_keys(file.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{file}: cannot be read: {error.strerror}", hint="give a file of public keys") from error
    except Misconfigured as error:
        raise Misconfigured(f"{file}: {error.reason}", hint=error.hint) from error


async def _verify(parts: Parts, configured: ConfiguredTopology, given: Sequence[PublicKey]) -> dict[str, Any]:
    # The checkpoints first: what is appended after they were read can only put a chain further ahead.
    delivered = await _delivered(parts, configured.name)
    remembered = await _remembered(parts, configured.name)
    keys = given or await _own_key(parts, configured)
    log, witness = places_of(parts.settings, parts.aws, configured)
    heard = Report()
    roots = RootReader(parts.around.log.name, log, witness, keys, heard, remembered)
    report = await verify_chain(log, roots.trusted(), heard)
    _look_at_ends(report, delivered)
    return {
        "verified": report.sound,
        "entries": report.entries,
        "vouched_entries": report.vouched,
        "parked": report.parked,
        "objects": report.objects,
        "roots": _roots_row(roots.trust, remembered),
        "chains": [{"chain": name, **asdict(head)} for name, head in sorted(report.heads.items())],
        "gaps": [gap_row(gap) for gap in sorted(report.gaps.values(), key=lambda gap: gap.noticed_ms)],
        "problems_count": report.problems_count,
        "problems": [asdict(problem) for problem in report.problems],
    }


async def _own_key(parts: Parts, configured: ConfiguredTopology) -> list[PublicKey]:
    """Return the public half of the key that signs, when it can be had: whoever verifies need not hold it."""
    signer = signer_of(parts.settings, parts.aws, configured)
    try:
        return [] if signer is None else [PublicKey.of(await signer.public_key())]
    except Misconfigured as error:
        raise Misconfigured(error.reason, hint="give the public half instead: --public-key FILE") from error


async def _remembered(parts: Parts, topology: str) -> Remembered | None:
    key = roots_key(parts.around.log.name, topology)
    row = (await parts.around.store.read([key])).get(key)
    number = row.fields.get("number") if row else None
    return Remembered(int(str(number)), str(row.fields.get("digest"))) if row and number else None


def _roots_row(trust: Trust, remembered: Remembered | None) -> dict[str, Any]:
    """Return what vouches for the log: roots, keys, until when; and what is missing for it."""
    newest = trust.newest.root if trust.newest else None
    note = "" if trust.checked or remembered is None else "not looked at: give --public-key"
    return {
        "trusted": trust.count,
        "newest": newest.number if newest else 0,
        "signed_at": text_of(newest.time_ms) if newest else "",
        "keys": sorted(trust.keys),
        "note": note if trust.count or note else "nothing is vouched for: there are no signed roots",
    }


async def _delivered(parts: Parts, topology: str) -> dict[str, int]:
    """Return the position up to which each chain must reach, by `chain/<stream>/<shard>`."""
    log = parts.around.log
    keys = {shard.id: checkpoint_key(log.name, shard.id, topology) for shard in await log.shards()}
    stored = await read_many(parts.around.store, list(keys.values()))
    return {f"chain/{log.name}/{shard}": stored[key].delivered for shard, key in keys.items() if key in stored}


def _look_at_ends(report: Report, delivered: dict[str, int]) -> None:
    """Add a problem for every chain that ends before its topology's checkpoint: its last objects were removed."""
    for name, position in sorted(delivered.items()):
        head = report.heads.get(name)
        reached = head.position if head else 0
        if reached < position:
            report.add(name, reached + 1, position, "the chain ends before what its checkpoint says was written")
