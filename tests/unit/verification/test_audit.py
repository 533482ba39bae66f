"""Verifying the audit log: every edit is found, and found in the right place."""

import asyncio

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.testing.changes import SHARD, STREAM, batches, history
from pipeline.testing.fakes import FakeObjectStore
from pipeline.verification import audit
from pipeline.verification.audit import Head, Report, verify_chain
from pipeline.wire import chain, packed
from pipeline.wire.rangelog import RangeLog

CHANGES = history(["a", "b", "a", "-b", "c", "a", "b", "c", "d", "-a"])


def log() -> FakeObjectStore:
    """Return two chains of three objects each."""
    objects = FakeObjectStore()

    async def write() -> None:
        for shard in (SHARD, "shardId-000000000001"):
            writer = RangeLog(objects, chain.ChainForm())
            for each in batches(CHANGES, 3, 7, shard=shard):
                await writer.append(each)

    asyncio.run(write())
    return objects


def name_of(first: int, shard: str = SHARD) -> str:
    """Return the name of an object."""
    return chain.KIND.name(STREAM, shard, first)


def lines_of(objects: FakeObjectStore, first: int) -> list[bytes]:
    """Return the lines of an object."""
    return zstandard.ZstdDecompressor().decompress(objects.objects[name_of(first)]).splitlines()


def verify(objects: FakeObjectStore) -> Report:
    """Return the report."""
    return asyncio.run(verify_chain(objects))


def test_an_untouched_log_is_sound() -> None:
    """All chains, objects and entries are counted, and the heads say where each chain ends."""
    report = verify(log())
    assert (report.sound, report.objects, report.entries, report.problems) == (True, 6, 20, [])
    assert {head.position for head in report.heads.values()} == {10}
    assert len({head.seal for head in report.heads.values()}) == 2


def test_an_empty_log_is_sound() -> None:
    """Nothing was written yet: that is no problem, and no chain."""
    assert verify(FakeObjectStore()).heads == {}


@pytest.mark.fault("A3", "S5")
@settings(max_examples=200, deadline=None)
@given(first=st.sampled_from([1, 4, 8]), data=st.data())
def test_any_changed_byte_is_found(first: int, data: st.DataObject) -> None:
    """Any byte of any line, changed by somebody who packs the object again, is found in that object or the next."""
    objects = log()
    lines = lines_of(objects, first)
    number = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[number]) - 1))
    other = data.draw(st.integers(32, 126).filter(lambda code: code != lines[number][place]))
    lines[number] = lines[number][:place] + bytes([other]) + lines[number][place + 1 :]
    objects.objects[name_of(first)] = packed.pack(lines)
    report = verify(objects)
    assert not report.sound
    assert report.problems[0].object in {name_of(first), name_of({1: 4, 4: 8, 8: 8}[first])}


@pytest.mark.fault("A3")
@pytest.mark.parametrize("position", range(4, 8))
def test_a_changed_entry_is_located(position: int) -> None:
    """The one problem of a changed entry names its object and lies between it and its neighbour."""
    objects = log()
    lines = lines_of(objects, 4)
    lines[position - 3] = lines[position - 3].replace(b'"actor":null', b'"actor":"me"')
    objects.objects[name_of(4)] = packed.pack(lines)
    (problem,) = verify(objects).problems
    assert problem.object == name_of(4)
    assert problem.first <= position <= problem.last <= position + 1


@pytest.mark.fault("A3")
@pytest.mark.parametrize("edit", ["remove", "repeat", "swap"])
@pytest.mark.parametrize("line", range(1, 4))
def test_moved_entries_are_found(edit: str, line: int) -> None:
    """An entry that is removed, repeated or swapped with its neighbour is found."""
    objects = log()
    lines = lines_of(objects, 4)
    one, two = lines[line], lines[line + 1]
    lines[line : line + 2] = {"remove": [two], "repeat": [one, one, two], "swap": [two, one]}[edit]
    objects.objects[name_of(4)] = packed.pack(lines)
    assert {problem.object for problem in verify(objects).problems} == {name_of(4)}


@pytest.mark.fault("A3", "S5")
@pytest.mark.parametrize(("gone", "missing"), [(1, (1, 3)), (4, (4, 7))])
def test_a_missing_object_is_found(gone: int, missing: tuple[int, int]) -> None:
    """A deleted object is named by the positions that are missing."""
    objects = log()
    del objects.objects[name_of(gone)]
    (problem,) = verify(objects).problems
    assert (problem.first, problem.last) == missing


@pytest.mark.fault("A3")
def test_a_cut_tail_shows_in_the_heads() -> None:
    """A chain without its last object is sound in itself; its head is not the one that was kept elsewhere."""
    objects = log()
    kept = verify(objects).heads
    del objects.objects[name_of(8)]
    report = verify(objects)
    assert report.sound
    assert {position for name, (position, _) in changed(kept, report.heads).items() if SHARD in name} == {7}


def changed(before: dict[str, Head], after: dict[str, Head]) -> dict[str, tuple[int, str]]:
    """Return the heads that are not what they were."""
    return {name: (head.position, head.seal) for name, head in after.items() if head != before[name]}


@pytest.mark.fault("S5")
def test_a_damaged_object_is_named_and_the_rest_is_checked() -> None:
    """An object that cannot be read is a problem of its own; other chains are not touched by it."""
    objects = log()
    objects.objects[name_of(4)] = b"nonsense"
    report = verify(objects)
    assert report.problems[0].object == name_of(4)
    assert report.objects == 6
    assert {problem.object for problem in report.problems} == {name_of(4), name_of(8)}


def test_an_object_of_another_shard_is_found() -> None:
    """An object that was copied over another shard's is found by its header."""
    objects = log()
    objects.objects[name_of(4)] = objects.objects[name_of(4, "shardId-000000000001")]
    assert not verify(objects).sound


@pytest.mark.parametrize(
    "name", ["chain/notes.txt", f"chain/changes/{SHARD}/notes.jsonl.zst", f"chain/changes/{SHARD}.old"]
)
def test_an_object_of_another_hand_is_named(name: str) -> None:
    """What somebody else put among the chains is one problem, with its name, and hides nothing of any chain."""
    objects = log()
    heads = verify(objects).heads
    objects.objects[name] = b"not ours"
    report = verify(objects)
    assert [(each.object, "none of an audit log" in each.reason) for each in report.problems] == [(name, True)]
    assert report.heads == heads


@pytest.mark.fault("A2", "A3")
def test_a_fork_is_found() -> None:
    """An object that is sound in itself but belongs to another history does not follow its predecessor."""
    objects = log()
    fork = chain.ChainForm().encode(batches(CHANGES, 3, 7)[2], packed.Link(7, name_of(4), "0" * 64))[0]
    objects.objects[name_of(8)] = fork
    (problem,) = verify(objects).problems
    assert problem.object == name_of(8)
    assert "does not follow" in problem.reason


def test_the_list_of_problems_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ruined log gives a count of all problems and a list of the first."""
    monkeypatch.setattr(audit, "PROBLEMS_MAX", 2)
    objects = log()
    for name in objects.objects:
        objects.objects[name] = b""
    report = verify(objects)
    assert (report.problems_count, len(report.problems)) == (6, 2)
