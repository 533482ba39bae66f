"""The snapshots' part of `fanout archive check`: each whole, each of these segments, none contradicting another."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from pipeline.history.archive import FORK, LOST_OBJECT, STRANGER, Problem, Step
from pipeline.history.base import checked
from pipeline.model.errors import Corrupt
from pipeline.ports import ObjectStore
from pipeline.wire import manifest
from pipeline.wire.manifest import Manifest, Part, Pruned
from pipeline.wire.packed import Link

FOREIGN = "delete it: the restore then reads the snapshot before it, and `fanout archive compact` makes it again"


@dataclass(slots=True)
class Snapshots:
    """The manifests that can be read, and what they say of segments."""

    manifests: list[Manifest] = field(default_factory=list)
    pruned: Pruned | None = None
    unfinished: int = 0
    """Parts without a manifest: a compaction is under way, or was killed."""
    _named: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Seal and manifest, by the segment they name."""

    @property
    def starts(self) -> dict[str, Link]:
        """Return the last segment of each shard that was pruned on purpose."""
        return {} if self.pruned is None else self.pruned.links

    def reached(self) -> dict[str, int]:
        """Return up to which position the snapshots say that each shard was stored."""
        found: dict[str, int] = {}
        for each in self.manifests:
            for shard, link in each.links.items():
                found[shard] = max(found.get(shard, 0), link.last)
        return found

    def expect(self) -> None:
        """Take note of what the manifests say of segments."""
        for each in self.manifests:
            for link in each.links.values():
                self._named.setdefault(link.name, []).append((link.seal, manifest.name_of(each.at_ms)))

    def contradictions(self, step: Step) -> list[Problem]:
        """Return a problem for each snapshot that was made of another segment than is stored under the name."""
        if step.segment is None:
            return []
        header = step.segment.header
        reason = "was made of another segment than {} is: it belongs to another archive, or the segment was replaced"
        return [
            Problem(name, header.first, header.last, f"snapshot {name} {reason.format(step.name)}", FOREIGN)
            for seal, name in self._named.get(step.name, ())
            if seal != step.segment.seal
        ]


async def look(objects: ObjectStore, found: Snapshots) -> AsyncIterator[Problem]:
    """Read every manifest and every part once into `found`; yield what is wrong with them."""
    async for problem in _pruned(objects, found):
        yield problem
    async for problem in _manifests(objects, found):
        yield problem
    for problem in _forks(found.manifests):
        yield problem
    async for problem in _parts(objects, found):
        yield problem
    found.expect()


async def _pruned(objects: ObjectStore, found: Snapshots) -> AsyncIterator[Problem]:
    async for name in objects.names(manifest.PRUNED_FOLDER):
        if not manifest.moment_of(name):
            yield Problem(name, 0, 0, f"object {name} is no record of pruning", STRANGER)
            continue
        try:
            found.pruned = manifest.decode_pruned(name, await objects.read(name) or b"")
        except Corrupt as error:
            yield Problem(name, 0, 0, error.reason, error.hint)


async def _manifests(objects: ObjectStore, found: Snapshots) -> AsyncIterator[Problem]:
    pruned_ms = found.pruned.at_ms if found.pruned else 0
    names = [name async for name in objects.names(manifest.FOLDER)]
    seals: dict[str, str] = {}
    for name in names:
        at_ms = manifest.moment_of(name)
        if not at_ms:
            yield Problem(name, 0, 0, f"object {name} is no snapshot of an archive", STRANGER)
        if not at_ms or at_ms < pruned_ms:
            continue
        try:
            each, seals[name] = manifest.decode(name, await objects.read(name) or b"")
        except Corrupt as error:
            yield Problem(name, 0, 0, error.reason, error.hint)
            continue
        found.manifests.append(each)
        if seals.get(each.previous, each.previous_seal) != each.previous_seal:
            reason = f"snapshot {name} was made from another {each.previous} than is stored"
            yield Problem(name, 0, 0, reason, FOREIGN)
    if found.pruned and found.pruned.snapshot not in names:
        reason = f"object {found.pruned.snapshot} is missing: the archive was pruned up to it, and begins with it"
        yield Problem(found.pruned.snapshot, 0, 0, reason, LOST_OBJECT)


def _forks(manifests: Iterable[Manifest]) -> list[Problem]:
    """Return a problem for each snapshot that contradicts the one before it."""
    problems = []
    for earlier, later in pairwise(manifests):
        name = manifest.name_of(later.at_ms)
        for shard, was in earlier.links.items():
            now = later.links.get(shard, Link(0, "", ""))
            if now.last < was.last or (now.last == was.last and now.seal != was.seal):
                reason = f"snapshot {name} forks: {manifest.name_of(earlier.at_ms)} has other segments of shard {shard}"
                problems.append(Problem(name, now.last, was.last, reason, FORK))
                break
    return problems


async def _parts(objects: ObjectStore, found: Snapshots) -> AsyncIterator[Problem]:
    named: dict[str, tuple[Part, str]] = {}
    moments = {each.at_ms for each in found.manifests}
    for each in found.manifests:
        at = manifest.name_of(each.at_ms)
        named |= {part.name: (part, at) for table in each.tables for part in table.parts}
    async for name in objects.names(manifest.PARTS_FOLDER):
        if name in named:
            part, at = named.pop(name)
            try:
                checked(part, await objects.read(name), at)
            except Corrupt as error:
                yield Problem(name, 0, 0, error.reason, error.hint)
        elif manifest.moment_of_part(name) not in moments and manifest.moment_of_part(name):
            found.unfinished += 1
        else:
            yield Problem(name, 0, 0, f"object {name} is no part of any snapshot", STRANGER)
    for name, (_, at) in sorted(named.items()):
        remedy = f"restore the object from a version or a copy of the bucket, or delete {at}"
        yield Problem(name, 0, 0, f"object {name} is missing: it is a part of snapshot {at}", remedy)
