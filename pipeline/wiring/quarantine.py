"""`fanout quarantine`: what waits, what it is, and having it put through by the workers that own the shards."""

import asyncio
import getpass
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.aws.session import Aws
from pipeline.coordination.persist import persist
from pipeline.delivery.asking import Asking, Waiting
from pipeline.delivery.parking import Quarantine
from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.ports import ObjectStore
from pipeline.settings import Settings
from pipeline.wire import parked as form
from pipeline.wiring.build import Parts, parts_of, quarantine_of
from pipeline.wiring.core import checkpoint_key
from pipeline.wiring.resources import pipeline_name

LOOK_SECONDS = 1.0
CHANGES_SHOWN_MAX = 100

Rows = Sequence[Mapping[str, Any]]


def listed(settings: Settings, *, topology: str = "") -> dict[str, Any]:
    """Return the parked keys, oldest first. Raises Misconfigured."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        parts = parts_of(settings, aws)
        waiting = asyncio.run(asking_of(parts, topology).waiting())
        return {"parked": _rows(waiting, parts.around.clock.now_ms())}


def shown(settings: Settings, digest: str, *, topology: str = "", content: bool = False) -> dict[str, Any]:
    """Return what is known of one parked key; of its items only with `content`. Raises Misconfigured or Corrupt."""
    with Aws(settings.aws.plain_http_hosts) as aws:
        return asyncio.run(_shown(parts_of(settings, aws), digest, topology, content=content))


def redrive(
    settings: Settings,
    digest: str,
    *,
    topology: str = "",
    wait_seconds: float,
    confirm: Callable[[Rows], object],
    tell: Callable[[int, int], None],
) -> dict[str, Any]:
    """Ask for a parked key, or for all when `digest` is "", to be put through; wait until that is answered.

    `confirm` is shown them first and may raise; `tell` is told how many of how many are answered. Raises Misconfigured
    for a key that is not parked, RetryLater when not all are answered within `wait_seconds`: the request stands then.
    """
    with Aws(settings.aws.plain_http_hosts) as aws:
        parts = parts_of(settings, aws)
        asking = asking_of(parts, topology)
        waiting = _chosen(asyncio.run(asking.waiting()), digest)
        if waiting:
            confirm(_rows(waiting, parts.around.clock.now_ms()))
        return asyncio.run(_answered(parts, asking, waiting, wait_seconds, tell))


async def _answered(
    parts: Parts, asking: Asking, waiting: Sequence[Waiting], wait_seconds: float, tell: Callable[[int, int], None]
) -> dict[str, Any]:
    clock = parts.around.clock
    deadline = clock.monotonic() + wait_seconds
    asking.left = {each.parking for each in waiting}
    while asking.left:
        await persist(asking.step, clock, parts.around.chance, retried=lambda *_: None)
        tell(len(waiting) - len(asking.left), len(waiting))
        if asking.left and clock.monotonic() >= deadline:
            raise RetryLater(
                f"{len(asking.left)} of {len(waiting)} keys were not put through within {wait_seconds:g} s",
                hint="is a worker with the section [quarantine] running, or is it busy? `fanout status` shows it."
                " The request stands: it is done between two batches",
            )
        if asking.left:
            await clock.sleep(LOOK_SECONDS)
    done = [each for each in waiting if each.parking not in asking.refused]
    return {
        "keys": len(done),
        "changes": sum(each.key.count for each in done),
        "refused": [
            {"id": each.digest, "topology": each.topology, "reason": asking.refused[each.parking]}
            for each in waiting
            if each.parking in asking.refused
        ],
    }


def asking_of(parts: Parts, topology: str = "") -> Asking:
    """Return who looks for parked keys, of one topology or of all. Raises Misconfigured."""
    known = list(parts.settings.topologies)
    if topology and topology not in known:
        msg = f"topologies.{topology}: there is no such topology"
        raise Misconfigured(msg, hint=f"configured: {', '.join(known) or 'none'}")
    around, asked_by = parts.around, f"{getpass.getuser()}@{socket.gethostname()}"
    key_of = partial(checkpoint_key, around.log.name)
    return Asking(around.log, around.store, [topology] if topology else known, key_of, asked_by)


def _chosen(waiting: Sequence[Waiting], digest: str) -> list[Waiting]:
    found = [each for each in waiting if digest in ("", each.digest)]
    if digest and not found:
        msg = f"no key of the ID {digest} is parked"
        raise Misconfigured(msg, hint="`fanout quarantine list` shows what is")
    return found


def _rows(waiting: Sequence[Waiting], now_ms: int) -> list[dict[str, Any]]:
    return [_row(each, now_ms) for each in waiting]


def _row(each: Waiting, now_ms: int) -> dict[str, Any]:
    return {
        "id": each.digest,
        "topology": each.topology,
        "shard": each.shard,
        "why": str(each.key.why),
        "changes": each.key.count,
        "oldest_seconds": max(0, round((now_ms - each.key.time_ms) / 1000)),
    }


async def _shown(parts: Parts, digest: str, topology: str, *, content: bool) -> dict[str, Any]:
    quarantine = await _quarantine(parts)
    found = _chosen(await asking_of(parts, topology).waiting(), digest)
    now_ms = parts.around.clock.now_ms()
    return {
        "parked": [{**_row(each, now_ms), "held": await _changes(quarantine, each, content=content)} for each in found]
    }


async def _quarantine(parts: Parts) -> Quarantine:
    name = await pipeline_name(parts.around.store, parts.around.log.name)
    quarantine = quarantine_of(parts, name)
    if quarantine is None:
        raise Misconfigured("quarantine.bucket: is not set", hint="use the configuration of the workers")
    return quarantine


async def _changes(quarantine: Quarantine, each: Waiting, *, content: bool) -> list[dict[str, Any]]:
    """Return the first changes of a parked key, from the objects."""
    objects: ObjectStore = quarantine.objects
    folder, found = quarantine.folder(each.topology, each.digest), []
    first = f"{folder}{form.place_of(*each.key.first)}"
    async for name in objects.names(folder):
        if name < first:
            continue
        header, change = form.decode(name, await objects.read(name) or b"")
        row: dict[str, Any] = {
            "position": header.position,
            "kind": str(change.kind),
            "sequence": str(change.sequence),
            "time_ms": change.time_ms,
            "why": header.why,
            "reason": header.reason,
            "bytes": len(change.before or b"") + len(change.after or b""),
        }
        if content:
            images = {"keys": change.keys, "before": change.before, "after": change.after}
            row |= {part: None if image is None else image.decode() for part, image in images.items()}
        found.append(row)
        if len(found) == CHANGES_SHOWN_MAX:
            break
    return found
