"""A pipeline over fakes with a replica, and what a comparison of both needs."""

import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson

from pipeline.capture.chosen import ChosenRows
from pipeline.capture.copy import TableCopy
from pipeline.capture.packing import Packer
from pipeline.coordination.arrivals import arrivals, is_complete
from pipeline.coordination.checkpoints import read_many
from pipeline.coordination.copies import Copies, Phase, Run
from pipeline.coordination.pace import Pace
from pipeline.history.watermark import uncaptured
from pipeline.model.snapshot import shard_of
from pipeline.plugin import ItemStore, ItemWrite, Mirror, ObjectStore, Rejected, Storing
from pipeline.testing.fakes import FakeItemStore, FakeTable
from pipeline.verification.judge import Finding, Judge, Kind
from pipeline.verification.mend import InPlace
from pipeline.verification.passage import Passage
from pipeline.verification.side import Reading, Side
from pipeline.verification.verify import Verification
from pipeline.wire.parked import digest_of
from pipeline.wiring.core import CAPTURE, checkpoint_key, group_of
from pipeline.wiring.status import standing
from tests.system.world import World
from topologies import replica
from topologies.replica import Mode

NAME = "replica"
TABLE = "t0"
HOT = 4
"""Items that change all the time."""


class ReplicaContext(NamedTuple):
    """What is lent to the replica's sink."""

    clock: Any
    regions: Mapping[str, FakeItemStore]
    name: str = NAME
    pipeline: str = "changes/0123"
    tables: Mapping[str, str] = {TABLE: "us-east-1"}

    def items(self, region: str) -> ItemStore:
        """Return a region's tables."""
        return self.regions[region]

    def objects(
        self, bucket: str, prefix: str = "", *, region: str = "", storing: Storing | None = None
    ) -> ObjectStore:
        """Refuse: a replica has no objects."""
        raise AssertionError((bucket, prefix, region, storing))

    def folder(self, path: str) -> ObjectStore:
        """Refuse: a replica has no files."""
        raise AssertionError(path)


class Fastidious(FakeItemStore):
    """Tables that refuse the item `refused` for good."""

    refused = b'{"pk":{"S":"refused"}}'

    async def transact(self, writes: Sequence[ItemWrite], positions_table: str, row: str, old: int, new: int) -> bool:
        """Refuse, or apply."""
        if bad := {index: "too large" for index, write in enumerate(writes) if write.keys == self.refused}:
            raise Rejected(bad)
        return await super().transact(writes, positions_table, row, old, new)


class ReplicaWorld(World):
    """A table of which some items change all the time, its replica, and whoever compares them."""

    def __init__(self, seed: int, mode: Mode, *, shards: int = 1) -> None:
        super().__init__(seed, shards=shards)
        self.draw = random.Random(seed)
        self.source = self.tables[0]
        self.copy = FakeTable(TABLE, self.clock, keys={"pk": "S"})
        self.copy.disable_stream()
        positions = FakeTable("fanout-positions", self.clock, keys={"row": "S"})
        self.away = Fastidious(self.copy, positions)
        self.settings = replica.Settings("eu-west-1", mode=mode)
        self.mirror: Mirror = replica.mirror(self.settings)
        self.number = 0

    def start(self) -> None:
        """Start a capture and a worker with the replica's sink."""
        self.capture()
        regions = {"us-east-1": FakeItemStore(self.source), "eu-west-1": self.away}
        sink = replica.Replica(self.settings, ReplicaContext(self.clock, regions))
        self.worker({NAME: sink}, ranges=True)

    def write(self, key: str) -> None:
        """Change an item, now and then back to what it was, or remove it."""
        self.number += 1
        value = self.draw.choice((self.number, self.number % 2, 0))
        if self.draw.random() < 0.15:
            self.source.delete({"pk": {"S": key}})
            return
        self.source.put({"pk": {"S": key}, "n": {"N": str(value)}, "tags": {"SS": ["a", "b"]}})

    def hot(self) -> None:
        """Change some of the items that change all the time."""
        for _ in range(self.draw.randrange(1, 6)):
            self.write(f"hot-{self.draw.randrange(HOT)}")

    def verification(self, *, unmet_max: int = 1_000, findings_max: int = 1_000) -> Verification:
        """Return a comparison of the table with its replica."""
        reading = self._reading()
        readers = self.source.reader(), self.copy.reader()
        for each in readers:
            each.rows_max = self.draw.choice((1, 3, 50))
        source = Side(readers[0], FakeItemStore(self.source), self.mirror.expected, reading)
        copy = Side(readers[1], self.away, self.mirror.held, reading)
        key = partial(checkpoint_key, self.log.name, name=NAME)
        passage = Passage(
            self.log,
            self.claims,
            self.store,
            self.clock,
            self.chance,
            key=key,
            uncaptured=self._uncaptured,
            standing=partial(standing, self._around(), NAME),
        )
        judge = Judge(
            TABLE,
            source,
            copy,
            passage,
            self.clock,
            expected=self.mirror.expected,
            parked=partial(digest_of, "changes/0123", TABLE),
        )
        return Verification(source, copy, judge, self.clock, findings_max=findings_max, unmet_max=unmet_max)

    async def repair(self, keys: Sequence[bytes]) -> None:
        """Put items right as `fanout verify --repair` does, by the way of the mode."""
        if self.mirror.mended is None:
            await self._send(keys)
            return
        expected, held, mended = self.mirror.expected, self.mirror.held, self.mirror.mended
        here, away = (FakeItemStore(self.source), TABLE), (self.away, TABLE)
        mending = InPlace(here, away, expected=expected, held=held, mended=mended, reading=self._reading())
        for each in keys:
            assert await mending.mend(each)

    async def _send(self, keys: Sequence[bytes]) -> None:
        self.number += 1
        copies = Copies(self.store, self.log.name, f"{TABLE}@{NAME}", owner="repair")
        await copies.run()
        run = Run(f"r{self.number}", self.source.epoch, 1, (NAME,))
        await copies.put_run(run)
        rows = ChosenRows(FakeItemStore(self.source), TABLE, keys)
        packer = Packer(self.packing, self.claims)
        copy = TableCopy(rows, self.log, packer, copies, self.clock, self.chance, Pace(self.clock, 0))
        assert await copy.run(run) is Phase.COPIED
        source = f"{TABLE}/{run.epoch}/{shard_of(run.id, 0, run.topologies)}"
        while True:
            rows_of = [checkpoint_key(self.log.name, shard.id, NAME) for shard in await self.log.shards()]
            ((found,),) = (await arrivals(self.store, {NAME: rows_of}, [source])).values()
            if is_complete(found, self.packing.lanes):
                return
            await self.clock.sleep(0.5)

    def _reading(self) -> Reading:
        return Reading(Pace(self.clock, 0), self.clock, self.chance)

    async def _uncaptured(self) -> tuple[int, str] | None:
        stream = self.source.stream()
        group = group_of(self.log.name, TABLE, stream.epoch)
        keys = {shard.id: checkpoint_key(group, shard.id, CAPTURE) for shard in await stream.shards()}
        stored = await read_many(self.store, list(keys.values()))
        captured = {shard: stored[key] for shard, key in keys.items() if key in stored}
        bounds = await uncaptured(stream, captured, self.clock)
        return min(((bound.time_ms, bound.why) for bound in bounds), default=None)


def by_key(findings: list[Finding]) -> dict[str, Kind]:
    """Return what was found by the items' keys; each item once."""
    found = {orjson.loads(finding.keys)["pk"]["S"]: finding.kind for finding in findings}
    assert len(found) == len(findings)
    return found
