"""The archive's check of snapshots: each damage is found by name, with its remedy, and what is sound is not blamed."""

import asyncio
from collections.abc import Callable

import pytest

from pipeline.history.check import ArchiveReport, check
from pipeline.testing.changes import SHARD, STREAM, batches, history
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire import manifest, segment
from pipeline.wire.rangelog import RangeLog
from tests.compacted import compacted

BEGAN_MS = 1_700_000_000_000
FIRST_MS, SECOND_MS = BEGAN_MS + 3_000, BEGAN_MS + 6_000
FIRST, SECOND = manifest.name_of(FIRST_MS), manifest.name_of(SECOND_MS)
STEPS = ["a", "b", "a", "-b", "c", "a", "c", "d"]
FULL = {f"{STREAM}/{SHARD}": 8}
Damage = Callable[[dict[str, bytes]], object]


async def archived(steps: list[str] = STEPS) -> FakeObjectStore:
    """Return an archive of four segments, with a change a second, and two snapshots."""
    objects = FakeObjectStore()
    changes = tuple(c._replace(time_ms=BEGAN_MS + 1000 * n) for n, c in enumerate(history(steps)))
    log = RangeLog(objects, segment.SegmentForm())
    for each in batches(changes, 2, 4, 6):
        await log.append(each)
    await compacted(objects, FIRST_MS)
    await compacted(objects, SECOND_MS)
    return objects


def checked(objects: FakeObjectStore) -> ArchiveReport:
    """Return the report on an archive."""
    return asyncio.run(check(objects, FULL))


def part_of(objects: dict[str, bytes], at_ms: int) -> str:
    """Return the name of the part of a snapshot."""
    return next(name for name in objects if manifest.moment_of_part(name) == at_ms)


def flip(objects: dict[str, bytes], name: str) -> None:
    """Change one bit of an object."""
    data = bytearray(objects[name])
    data[len(data) // 2] ^= 4
    objects[name] = bytes(data)


def fork(objects: dict[str, bytes]) -> None:
    """Put a snapshot of another history in the place of the second one."""
    other = asyncio.run(archived(["x", "y", "z", "-x", "-y", "x", "x", "x"])).objects
    for name in [name for name in objects if manifest.moment_of_part(name) == SECOND_MS]:
        del objects[name]
    objects |= {name: other[name] for name in other if manifest.moment_of_part(name) == SECOND_MS}
    objects[SECOND] = other[SECOND]


DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "manifest flipped": (lambda objects: flip(objects, SECOND), SECOND, "does not fit its hash"),
    "manifest cut": (lambda objects: objects.update({SECOND: objects[SECOND][:-9]}), SECOND, "does not fit its hash"),
    "part missing": (lambda o: o.pop(part_of(o, FIRST_MS)), "part", f"a part of snapshot {FIRST}"),
    "part flipped": (lambda o: flip(o, part_of(o, FIRST_MS)), "part", f"does not fit the hash in snapshot {FIRST}"),
    "part cut": (lambda o: o.update({part_of(o, SECOND_MS): b""}), "part", "does not fit the hash"),
    "foreign manifest": (lambda o: o.update({"snapshots/notes.txt": b"x"}), "snapshots/notes.txt", "is no snapshot"),
    "foreign part": (
        lambda o: o.update({f"snapshot-parts/{manifest.stamp(FIRST_MS)}/orders/000009-0123456789abcdef.part": b"x"}),
        f"snapshot-parts/{manifest.stamp(FIRST_MS)}/orders/000009-0123456789abcdef.part",
        "is no part of any snapshot",
    ),
    "moved": (lambda o: o.update({SECOND: o[FIRST]}), SECOND, "stored under another name"),
}


def test_a_whole_archive_with_snapshots_is_sound() -> None:
    """Both snapshots are listed, and there is no complaint."""
    report = checked(asyncio.run(archived()))
    assert report.sound, report.problems
    assert [each.at_ms for each in report.snapshots.manifests] == [FIRST_MS, SECOND_MS]


@pytest.mark.parametrize("kind", DAMAGES)
def test_each_damage_names_its_object_and_a_remedy(kind: str) -> None:
    """Whatever was done to a snapshot, the first problem names the object and what to do."""
    damage, name, reason = DAMAGES[kind]
    objects = asyncio.run(archived())
    damage(objects.objects)
    problem = checked(objects).problems[0]
    assert problem.object == name or (name == "part" and problem.object.endswith(".part"))
    assert reason in problem.reason
    assert problem.remedy


def test_a_forked_snapshot_is_named() -> None:
    """A snapshot of another history, sound in itself, contradicts the one before it and the segments."""
    objects = asyncio.run(archived())
    fork(objects.objects)
    reasons = [problem.reason for problem in checked(objects).problems if problem.object == SECOND]
    assert any("was made from another" in reason for reason in reasons)
    assert any("was made of another segment" in reason for reason in reasons)


def test_snapshots_that_go_apart_are_a_fork() -> None:
    """Two snapshots that name different segments at one position cannot both be of this archive."""
    objects = asyncio.run(archived())
    other = asyncio.run(archived(["x", "y", "z", "-x", "-y", "x", "x", "x"]))
    later = SECOND_MS + 1000
    asyncio.run(compacted(other, later, alone=True))
    objects.objects |= {
        name: data
        for name, data in other.objects.items()
        if later in {manifest.moment_of(name), manifest.moment_of_part(name)}
    }
    reasons = [problem.reason for problem in checked(objects).problems]
    assert any("forks" in reason and manifest.name_of(later) in reason for reason in reasons)


def test_a_segment_that_a_snapshot_names_is_missed_at_the_end() -> None:
    """Though its checkpoint were lost, the end of a shard is known from the snapshots."""
    objects = asyncio.run(archived())
    for first in (3, 5, 7):
        del objects.objects[segment.KIND.name(STREAM, SHARD, first)]
    report = asyncio.run(check(objects, {}))
    assert [problem.object for problem in report.problems] == [segment.KIND.name(STREAM, SHARD, 3)]
    assert "a snapshot says" in report.problems[0].reason


def test_parts_without_a_manifest_are_no_problem() -> None:
    """A compaction that is under way, or was killed, is counted and not blamed."""
    objects = asyncio.run(archived())
    del objects.objects[SECOND]
    report = checked(objects)
    assert (report.sound, report.snapshots.unfinished) == (True, 1)
