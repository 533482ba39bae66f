"""An export is what DynamoDB's own would be: read by a reader that knows the format alone."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import get_args

import pytest

from pipeline.history.export import ATTEMPTS_MAX, Export, Exported
from pipeline.history.keys import Scope
from pipeline.history.reading import gather
from pipeline.history.traces import Traces
from pipeline.model.errors import Misconfigured, PipelineError, RetryLater
from pipeline.testing.clock import SkippingClock
from pipeline.testing.fakes import FakeObjectStore, Faults, SeededChance
from pipeline.testing.faults import Killed, When, kill
from pipeline.wire.export import About, DataFiles, export_id
from tests.export_reader import Wrong, read
from tests.recorded import Recorded

ABOUT = About(
    table_arn="arn:aws:dynamodb:us-east-1:000000000000:table/orders",
    table_id="",
    bucket="exports",
    prefix="a/b",
    export_id=export_id(1_795_500_001_000, "changes", "orders"),
    export_ms=1_795_500_000_000,
    start_ms=0,
)
SMALL = 400


async def some(*images: bytes) -> AsyncIterator[bytes]:
    """Yield images."""
    for image in images:
        yield image


IMAGES = tuple(
    json.dumps({"id": {"S": f"{number}\n\x85\u2028"}, "v": value}, ensure_ascii=False).encode()
    for number, value in enumerate(
        (
            {"N": "-1.5E-130"},
            {"N": "12345678901234567890123456789012345678"},
            {"B": "AAEC/w=="},
            {"SS": ["b", "a"]},
            {"NS": ["1.0", "2"]},
            {"BS": ["AQ==", "Ag=="]},
            {"L": [{"NULL": True}, {"BOOL": False}, {"M": {}}]},
            {"M": {"ü": {"L": []}, "": {"S": ""}}},
        )
    )
)


def writer(store: FakeObjectStore) -> Export:
    """Return an export with small files."""
    return Export(store, ABOUT, DataFiles(SMALL), SkippingClock(), SeededChance(1))


async def exported(store: FakeObjectStore, *images: bytes) -> Exported:
    """Write an export from its beginning to its end."""
    export = writer(store)
    await export.claim()
    return await export.write(some(*images))


def in_bucket(store: FakeObjectStore) -> dict[str, bytes]:
    """Return the objects by their keys in the bucket."""
    return {ABOUT.folder + name: data for name, data in store.objects.items()}


def items_of(store: FakeObjectStore) -> list[object]:
    """Return the items that the other reader finds."""
    return list(read(in_bucket(store), ABOUT.folder)[1])


def test_every_kind_of_value_arrives_as_it_was() -> None:
    """Items of all types, cut into several files, are read line by line as they were given, and all sums fit."""
    store = FakeObjectStore()
    done = asyncio.run(exported(store, *IMAGES))
    assert items_of(store) == [json.loads(image) for image in IMAGES]
    assert (done.items, done.files) == (len(IMAGES), sum(name.startswith("data/") for name in store.objects))
    assert done.files > 1


def test_a_table_without_items_has_one_empty_file() -> None:
    """As the service's own: an empty partition is an empty file."""
    store = FakeObjectStore()
    assert asyncio.run(exported(store)).files == 1
    assert items_of(store) == []


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_table_as_it_was(seed: int) -> None:
    """At a random second of a recorded history the export is the table, without what no change was ever made of."""

    async def story() -> None:
        history = Recorded(seed)
        second = random.Random(seed).choice(history.seconds)
        traces = Traces(Scope("orders"), (second + 1000,), FakeObjectStore(), memory_bytes_max=20_000)
        await gather(await history.archive(), "orders", traces, {})
        store = FakeObjectStore()
        await exported(store, *[image async for trace in traces.each() if (image := trace.state(0))])
        known = {keys: image for keys, image in history.states[second].items() if keys not in history.untouched}
        assert sorted(map(json.dumps, items_of(store))) == sorted(json.dumps(json.loads(i)) for i in known.values())

    asyncio.run(story())


def test_killed_at_every_call_and_begun_again_it_is_whole() -> None:
    """What has a summary is whole after any kill; a second run ends the same, though it had other items to write."""

    async def story() -> None:
        whole = FakeObjectStore()
        await exported(whole, *IMAGES)
        for when in get_args(When):
            for at in range(1, 60):
                store = FakeObjectStore()
                dying = store.behind(Faults(at, when, kill))
                (outcome,) = await asyncio.gather(exported(dying, *IMAGES[1:]), return_exceptions=True)
                if "manifest-summary.json" in store.objects:
                    assert len(items_of(store)) == len(IMAGES) - 1
                    break
                assert isinstance(outcome, Killed)
                await exported(store, *IMAGES)
                assert items_of(store) == items_of(whole)
                assert sorted(store.objects) == sorted(whole.objects)
            else:
                pytest.fail("more than sixty calls")

    asyncio.run(story())


REFUSED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "an export": (("_started", "manifest-summary.json"), "is there already, and whole"),
    "something else": (("data/photo.jpg",), "is not empty, and no export was begun in it"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_folder_that_has_something_is_left_alone(kind: str) -> None:
    """A whole export, or somebody's objects, are refused by name, and nothing of them is touched."""
    names, reason = REFUSED[kind]
    store = FakeObjectStore()
    store.objects = dict.fromkeys(names, b"theirs")
    with pytest.raises(Misconfigured, match=reason) as caught:
        asyncio.run(exported(store, *IMAGES))
    assert ABOUT.folder in caught.value.reason
    assert store.objects == dict.fromkeys(names, b"theirs")


def test_an_object_of_another_hand_keeps_the_summary_away() -> None:
    """ImportTable takes every object of the folder: what another run put there stops the export before its end."""

    async def story() -> None:
        store = FakeObjectStore()
        export = writer(store)
        await export.claim()
        store.objects["data/000001-ffffffffffffffff.json.gz"] = b""
        with pytest.raises(Misconfigured, match="is not of this export"):
            await export.write(some(*IMAGES))
        assert "manifest-summary.json" not in store.objects

    asyncio.run(story())


def test_a_store_that_asks_to_wait_is_asked_again_and_in_the_end_believed() -> None:
    """Throttled calls are repeated; a store that never answers ends the run without a summary."""
    store = FakeObjectStore()
    store.faults.after("create", RetryLater("slow down"), times=ATTEMPTS_MAX - 1)
    asyncio.run(exported(store, *IMAGES))
    assert len(items_of(store)) == len(IMAGES)
    store = FakeObjectStore()
    store.faults.before("create", RetryLater("slow down"), times=ATTEMPTS_MAX)
    with pytest.raises(PipelineError):
        asyncio.run(exported(store, *IMAGES))
    assert "manifest-summary.json" not in store.objects


DAMAGES: Mapping[str, Callable[[dict[str, bytes], str], object]] = {
    "a data file cut": lambda objects, data: objects.update({data: objects[data][:-1]}),
    "a data file gone": lambda objects, data: objects.pop(data),
    "one file more": lambda objects, data: objects.update({data.replace("000001", "9"): objects[data]}),
    "the list changed": lambda objects, _: objects.update(
        {
            f"{ABOUT.folder}manifest-files.json": objects[f"{ABOUT.folder}manifest-files.json"].replace(
                b'Count":', b'Count":1'
            )
        }
    ),
    "the summary gone": lambda objects, _: objects.pop(f"{ABOUT.folder}manifest-summary.json"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_the_reader_finds_what_is_wrong(kind: str) -> None:
    """The judge of these tests is itself tried: it takes no export that was damaged."""
    store = FakeObjectStore()
    asyncio.run(exported(store, *IMAGES))
    objects = in_bucket(store)
    DAMAGES[kind](objects, min(name for name in objects if "/data/" in name))
    with pytest.raises(Wrong):
        read(objects, ABOUT.folder)
