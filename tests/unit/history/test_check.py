"""The archive's check: each kind of damage is found, named with its object and remedy, and nothing sound is blamed."""

import asyncio
from collections.abc import Callable

import pytest

from pipeline.history.archive import Problem
from pipeline.history.check import ArchiveReport, check
from pipeline.testing.changes import SHARD, STREAM, batches, history
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire import segment
from pipeline.wire.packed import Link
from pipeline.wire.rangelog import RangeLog

CHANGES = history(["a", "b", "a", "-b", "c", "a", "c", "d"])
FULL = {f"{STREAM}/{SHARD}": 8}
Damage = Callable[[dict[str, bytes]], None]


def name_of(first: int) -> str:
    """Return the name of the segment that starts at a position."""
    return segment.KIND.name(STREAM, SHARD, first)


def archive() -> FakeObjectStore:
    """Return an archive of four segments of two changes."""
    objects = FakeObjectStore()

    async def write() -> None:
        log = RangeLog(objects, segment.SegmentForm())
        for each in batches(CHANGES, 2, 4, 6):
            await log.append(each)

    asyncio.run(write())
    return objects


def checked(objects: FakeObjectStore, delivered: dict[str, int] = FULL) -> ArchiveReport:
    """Return the report on an archive."""
    return asyncio.run(check(objects, delivered))


def cut(objects: dict[str, bytes]) -> None:
    """Cut the end off an object."""
    objects[name_of(3)] = objects[name_of(3)][:-5]


def flip(objects: dict[str, bytes]) -> None:
    """Change one bit of an object."""
    data = bytearray(objects[name_of(3)])
    data[len(data) // 2] ^= 4
    objects[name_of(3)] = bytes(data)


def fork(objects: dict[str, bytes]) -> None:
    """Put an object over positions that are in another one too."""
    link = segment.decode(name_of(3), objects[name_of(3)]).header.previous
    wide = batches(CHANGES, 2, 6)[1]
    objects[name_of(3)] = segment.encode(wide, Link(2, link.name, link.seal))


def replace(objects: dict[str, bytes]) -> None:
    """Put another history's object, sound in itself, in the place of one."""
    link = segment.decode(name_of(3), objects[name_of(3)]).header.previous
    other = batches(history(["z"] * 8), 2, 4)[1]
    objects[name_of(3)] = segment.encode(other, Link(2, link.name, link.seal))


def move(objects: dict[str, bytes]) -> None:
    """Store an object under another's name."""
    objects[name_of(3)] = objects[name_of(5)]


def add_stranger(objects: dict[str, bytes]) -> None:
    """Add an object that no archive writes."""
    objects[f"segments/{STREAM}/{SHARD}/notes.txt"] = b"hello"


def drop(first: int) -> Damage:
    """Return a damage that removes an object."""

    def damage(objects: dict[str, bytes]) -> None:
        del objects[name_of(first)]

    return damage


DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "cut": (cut, name_of(3), "damaged"),
    "flipped": (flip, name_of(3), "damaged"),
    "missing": (drop(3), name_of(5), f"positions 3 to 4 are missing, up to object {name_of(3)}"),
    "first missing": (drop(1), name_of(3), "positions 1 to 2 are missing"),
    "end missing": (drop(7), name_of(7), "its checkpoint says 8"),
    "forked": (fork, name_of(5), "positions 5 to 6 are in"),
    "replaced": (replace, name_of(3), f"not the one that {name_of(5)} follows"),
    "moved": (move, name_of(3), "stored under another name"),
    "foreign": (add_stranger, f"segments/{STREAM}/{SHARD}/notes.txt", "no segment"),
}


def test_a_whole_archive_is_sound() -> None:
    """Objects, changes, range and times are counted, and there is no complaint."""
    report = checked(archive())
    assert (report.sound, report.objects, report.changes) == (True, 4, 8)
    assert (report.first_ms, report.last_ms) == (CHANGES[0].time_ms, CHANGES[-1].time_ms)
    assert (report.shards[f"{STREAM}/{SHARD}"].first, report.shards[f"{STREAM}/{SHARD}"].last) == (1, 8)


@pytest.mark.parametrize("kind", DAMAGES)
def test_each_damage_is_one_problem_with_object_and_remedy(kind: str) -> None:
    """One edit is one problem, which names the object, what is wrong and what to do."""
    damage, name, reason = DAMAGES[kind]
    objects = archive()
    damage(objects.objects)
    report = checked(objects)
    (problem,) = report.problems
    assert (problem.object, report.problems_count) == (name, 1)
    assert reason in problem.reason
    assert problem.remedy


def test_nothing_stored_is_only_sound_while_nothing_was_delivered() -> None:
    """An emptied archive is found by its checkpoint; a new one is no error."""
    assert checked(FakeObjectStore(), {}).sound
    assert [type(p) for p in checked(FakeObjectStore()).problems] == [Problem]


def test_many_problems_are_counted_and_the_rest_is_read_on() -> None:
    """After a problem the check goes on: every second object gone is told as often."""
    objects = archive()
    drop(1)(objects.objects)
    drop(5)(objects.objects)
    report = checked(objects)
    assert [problem.object for problem in report.problems] == [name_of(3), name_of(7)]
    assert report.changes == 4
