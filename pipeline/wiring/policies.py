"""Attribute policies as readers of an archive meet them: what was kept from it, and what can be shown of it."""

import logging
from functools import partial
from pathlib import Path

from pipeline.coordination.persist import persist
from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.ports import ObjectStore
from pipeline.settings import ConfiguredTopology, Settings
from pipeline.wire.attributes import POLICIES, AttributePolicy, Image, Revealing, must_be_open
from pipeline.wiring.archive import archive_of
from pipeline.wiring.attributes import read_keys
from pipeline.wiring.build import Parts

logger = logging.getLogger(__name__)


def revealing_of(settings: Settings, topology: str, *, reveal: bool) -> Revealing | None:
    """Return what shows an archive's items as they were, None where they are shown as stored. Raises Misconfigured."""
    if not reveal:
        return None
    policy = settings.topologies[topology].attributes
    if not policy.key_file:
        raise Misconfigured(
            f"topologies.{topology}.attributes_key_file: is missing, to reveal what is encrypted",
            hint="name the file of the key, or leave out --reveal",
        )
    return Revealing(read_keys(Path(policy.key_file)))


def closed(shown: Revealing | None) -> dict[str, list[str]]:
    """Return what a report says of attributes that could not be revealed; nothing where that was not asked for."""
    return {} if shown is None else {"still_encrypted": sorted(shown.closed)}


async def note_policies(parts: Parts) -> None:
    """Leave in each archive which attributes are kept from it, for whoever reads it when the setting is another.

    Raises PipelineError: nothing may be stored under a policy of which readers would not know.
    """
    for name, configured in parts.settings.topologies.items():
        if configured.topology.name == "archive" and configured.attributes.names:
            objects = archive_of(parts, name)
            await persist(
                partial(objects.create, *configured.attributes.note),
                parts.around.clock,
                parts.around.chance,
                retried=partial(_waits, name),
            )


def _waits(name: str, error: RetryLater, _attempt: int) -> None:
    logger.warning("the note of the policy of %s waits: %s", name, error)


async def kept_from(objects: ObjectStore, configured: ConfiguredTopology) -> AttributePolicy:
    """Return what is, or ever was, kept from an archive. Raises RetryLater or Corrupt."""
    policy = configured.attributes
    async for name in objects.names(POLICIES):
        policy = policy.joined(name, await objects.read(name) or b"")
    return policy


def restoring_of(kept: AttributePolicy, shown: Revealing | None) -> Image:
    """Return what an item goes through on its way into the live table. Raises Misconfigured where that cannot be.

    What it returns raises Misconfigured for an item with an attribute that is encrypted still.
    """
    for name in (*kept.drop, *kept.hash):
        raise Misconfigured(
            f"the archive does not have the attribute {name} of all items: the live table would lose it",
            hint="restore into a table of its own, or --file, and take from there what you need",
        )
    if shown is None:
        return lambda image: must_be_open(image, kept.encrypt)
    return lambda image: must_be_open(shown(image), kept.encrypt)
