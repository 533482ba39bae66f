"""Changes and batches for tests."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import orjson

from pipeline.model.change import Batch, Change, ChangeKind

EPOCH = "2026-01-01T00:00:00.000"
SHARD = "shardId-000000000000"
STREAM = "changes"
SEQUENCE_BASE = 10**20
NONE: Mapping[str, object] = {}


def image(key: str, **attributes: object) -> bytes:
    """Return an item of table `orders` as DynamoDB JSON."""
    return orjson.dumps({"id": {"S": key}, **attributes})


def put(key: str, number: int, attributes: Mapping[str, object] = NONE, *, over: bytes | None = None) -> Change:
    """Return change `number` of the stream: an insert, or a modify when it goes over an older image."""
    after = image(key, v={"N": str(number)}, **attributes)
    return _change(key, number, ChangeKind.MODIFY if over else ChangeKind.INSERT, over, after)


def remove(key: str, number: int, *, over: bytes | None = None) -> Change:
    """Return change `number` of the stream: the removal of an item."""
    return _change(key, number, ChangeKind.REMOVE, over or image(key), None)


def history(steps: Sequence[str], start: int = 1) -> tuple[Change, ...]:
    """Return a stream of changes: "a" puts item a, "-a" removes it; every image carries the number of its change."""
    now: dict[str, bytes | None] = {}
    changes = []
    for number, step in enumerate(steps, start):
        key = step.removeprefix("-")
        change = remove(key, number, over=now.get(key)) if step != key else put(key, number, over=now.get(key))
        now[key] = change.after
        changes.append(change)
    return tuple(changes)


def batch(
    changes: Sequence[Change], first: int, last: int, *, shard: str = SHARD, without: Iterable[int] = ()
) -> Batch:
    """Return positions `first` to `last` of a stream whose change n is at position n, some filtered out."""
    left_out = frozenset(without)
    positions = [position for position in range(first, last + 1) if position not in left_out]
    return Batch(STREAM, shard, first, last, tuple(changes[p - 1] for p in positions), positions)


def batches(changes: Sequence[Change], *borders: int, start: int = 1, shard: str = SHARD) -> list[Batch]:
    """Return a stream from position `start` on, cut after each border above it, and at its end."""
    cuts = [start - 1, *(b for b in borders if start <= b < len(changes)), len(changes)]
    return [batch(changes, a + 1, b, shard=shard) for a, b in pairwise(cuts) if a < b]


def _change(key: str, number: int, kind: ChangeKind, before: bytes | None, after: bytes | None) -> Change:
    keys = orjson.dumps({"id": {"S": key}})
    sequence = SEQUENCE_BASE + number * 7
    return Change("orders", EPOCH, "shardId-source", sequence, kind, keys, before, after, 1_700_000_000_000 + number)


CHANGES = history(("a", "b", "a", "-b", "c", "a", "b", "-c", "-a", "c", "a", "d"))
"""Inserts, modifies and removes of four items, interleaved."""
CUTS = ((5, 9), (2, 3, 7), (11,), tuple(range(1, 12)), ())
"""Ways to cut twelve changes into batches."""
OVERSIZE: Mapping[str, object] = {"large": {"S": "x" * (500 * 1024)}}
"""What makes an item larger than DynamoDB allows."""
