"""Random histories of a table, recorded twice: as segments of an archive, and as the table was at each second."""

import random
from collections.abc import Mapping
from typing import Any
from zlib import crc32

import orjson

from pipeline.model.change import Batch, Change, ChangeKind
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire import segment
from pipeline.wire.json import canonical_keys
from pipeline.wire.rangelog import RangeLog

BEGAN_MS = 1_795_500_000_000
SEQUENCE_FIRST = 10**24 - 400
"""The stream's numbers grow by a digit on the way."""
STREAM = "changes"
Images = Mapping[bytes, bytes]


class Recorded:
    """A table with `keys` items of two tenants and so many changes, from one second on, over shards that split.

    A third of the items is there before the archive begins. `states` has the whole table at the end of each second,
    for every second of the history.
    """

    def __init__(self, seed: int, *, changes: int = 400, keys: int = 40, kinesis_shards: int = 3) -> None:
        self._chance = random.Random(seed)
        self.objects = FakeObjectStore()
        self.changes: list[Change] = []
        self.states: dict[int, Images] = {}
        self._keys = [self._key(number) for number in range(keys)]
        self._table: dict[bytes, bytes] = {key: self._item(key, 0) for key in self._keys[::3]}
        self._sequence = SEQUENCE_FIRST
        self._splits = sorted(self._chance.sample(range(changes), 2))
        self._kinesis_shards = kinesis_shards
        self.untouched = dict(self._table)
        """Items that were there before and that no change was made of."""
        self._write(changes)

    async def archive(self) -> FakeObjectStore:
        """Store the history as an archive: lanes on Kinesis shards that split once, some changes twice."""
        if self.objects.objects:
            return self.objects
        shards: dict[str, list[Change]] = {}
        half = len(self.changes) // 2
        for number, change in enumerate(self.changes):
            lane = crc32(change.keys) % (2 * self._kinesis_shards if number >= half else self._kinesis_shards)
            name = f"shardId-{lane + (10 if number >= half else 0):012d}"
            shards.setdefault(name, []).append(change)
            if self._chance.random() < 0.02 and number > half:  # put twice, before and after the split
                shards[name].append(change)
        log = RangeLog(self.objects, segment.SegmentForm())
        for shard, found in shards.items():
            first = 1
            while first <= len(found):
                some = found[first - 1 : first - 1 + self._chance.randint(1, 40)]
                positions = range(first, first + len(some))
                await log.append(Batch(STREAM, shard, first, positions[-1], tuple(some), positions))
                first += len(some)
        return self.objects

    @property
    def seconds(self) -> list[int]:
        """Return the seconds, from the first change to the last, as epoch milliseconds."""
        return sorted(second for second in self.states if second >= self.changes[0].time_ms)

    def _write(self, changes: int) -> None:
        now_ms = BEGAN_MS
        for number in range(changes):
            if self._chance.random() < 0.3:
                step_ms = 1000 * self._chance.choice((1, 1, 1, 2, 7))
                for second in range(now_ms, now_ms + step_ms, 1000):
                    self.states[second] = dict(self._table)
                now_ms += step_ms
            self._change(number, now_ms)
        self.states[now_ms] = dict(self._table)

    def _change(self, number: int, now_ms: int) -> None:
        key = self._keys[int(len(self._keys) * self._chance.random() ** 2)]
        before = self._table.get(key)
        remove = before is not None and self._chance.random() < 0.3
        after = None if remove else self._item(key, number + 1)
        kind = ChangeKind.REMOVE if remove else ChangeKind.INSERT if before is None else ChangeKind.MODIFY
        self._sequence += self._chance.randint(1, 9)
        source = f"shardId-{sum(number >= split for split in self._splits):020d}"
        epoch = "2026-11-24T00:00:00.000"
        self.changes.append(Change("orders", epoch, source, self._sequence, kind, key, before, after, now_ms))
        self.untouched.pop(key, None)
        if after is None:
            del self._table[key]
        else:
            self._table[key] = after

    def _key(self, number: int) -> bytes:
        keys = {"pk": {"S": f"tenant-{number % 2}#{number // 4}"}, "sk": {"N": str(number)}}
        return canonical_keys(orjson.dumps(keys), "pk")

    def _item(self, key: bytes, number: int) -> bytes:
        item: dict[str, Any] = {**orjson.loads(key), "v": {"N": str(number)}}
        if self._chance.random() < 0.5:
            item["tags"] = {"SS": self._chance.sample(["a", "b", "ü"], 2)}
        return orjson.dumps(item)
