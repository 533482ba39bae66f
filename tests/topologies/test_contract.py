"""Every topology that ships passes the contract."""

from pathlib import Path, PurePosixPath
from typing import ClassVar

import orjson

from pipeline.model.change import Change
from pipeline.testing.context import TABLES
from pipeline.testing.contract import Found, Kept, SinkContract, Stores
from pipeline.wire import chain, segment
from pipeline.wire.json import change_to_json
from pipeline.wire.packed import sha256
from topologies import archive, audit, folder, replica

KEPT = Path(__file__).parents[1] / "golden" / "sinks"
TAKES_ALL = {31: "it has no limit an item can exceed, so there is nothing to reject"}


class TestFolder(SinkContract):
    """The folder topology."""

    topology = folder.topology
    settings: ClassVar = {"path": "out"}
    not_applicable: ClassVar = TAKES_ALL
    kept_state = KEPT / "folder.json"

    async def read_back(self, stores: Stores) -> Found:
        """Read what is stored."""
        files = sorted(stores.folder("out").objects.items())
        return [Kept(p.parent.name, int(p.stem), data) for p, data in ((PurePosixPath(n), d) for n, d in files)]

    def content_of(self, change: Change) -> object:
        """Say what is stored of a change."""
        return change_to_json(change)


class TestArchive(SinkContract):
    """The archive topology."""

    topology = archive.topology
    settings: ClassVar = {"bucket": "archive"}
    not_applicable: ClassVar = TAKES_ALL
    kept_state = KEPT / "archive.json"

    async def read_back(self, stores: Stores) -> Found:
        """Read what is stored."""
        found = []
        for name, data in sorted(stores.objects("archive").objects.items()):
            stored = segment.decode(name, data).batch
            found += [Kept(stored.shard, position, change) for position, change in stored]
        return found

    def content_of(self, change: Change) -> object:
        """Say what is stored of a change."""
        return change


class TestArchiveInGzip(TestArchive):
    """The archive topology with its other compression, over segments of the first."""

    settings: ClassVar = {"bucket": "archive", "compression": "gzip"}


class TestAudit(SinkContract):
    """The audit topology."""

    topology = audit.topology
    settings: ClassVar = {"bucket": "audit"}
    not_applicable: ClassVar = TAKES_ALL
    kept_state = KEPT / "audit.json"

    async def read_back(self, stores: Stores) -> Found:
        """Read what is stored."""
        found = []
        for name, data in sorted(stores.objects("audit").objects.items()):
            block = chain.decode(name, data)
            assert not list(chain.breaks(block))
            for entry in map(orjson.loads, block.lines[1:]):
                if entry["kind"] == chain.PLACEHOLDER:
                    continue
                content = (entry["sequence"], entry["kind"], entry["keys"], entry["after"])
                found.append(Kept(block.header.shard, entry["position"], content))
        return found

    def content_of(self, change: Change) -> object:
        """Say what is stored of a change."""
        digest = None if change.after is None else sha256(change.after)
        return str(change.sequence), change.kind.value, orjson.loads(change.keys), digest


class TestExactReplica(SinkContract):
    """The replica topology in its default mode."""

    topology = replica.topology
    settings: ClassVar = {"region": "eu-west-1"}
    kept_state = KEPT / "exact.json"

    def make_stores(self) -> Stores:
        """Add the table of position rows."""
        return Stores({**TABLES, "fanout-positions": ("row",)})

    async def read_back(self, stores: Stores) -> Found:
        """Read what is stored; what stands beside a position row is no item of a source."""
        images = stores.items("eu-west-1").images
        return {place: image for place, image in images.items() if place[0] != "fanout-positions"}


class TestExactReplicaSoonAfter(TestExactReplica):
    """The same, while DynamoDB still remembers a transaction whose answer was lost, and repeats the answer."""

    def make_stores(self) -> Stores:
        """Add the table of position rows."""
        return Stores({**TABLES, "fanout-positions": ("row",)}, remembers_transactions=True)


class TestEconomyReplica(TestExactReplica):
    """The replica topology in its cheapest mode, which only promises to converge."""

    settings: ClassVar = {"region": "eu-west-1", "mode": "economy"}
    may_regress = True
    kept_state = KEPT / "economy.json"


class TestGuardedReplica(TestExactReplica):
    """The replica topology with versions; its attributes and tombstones are not part of an item."""

    settings: ClassVar = {"region": "eu-west-1", "mode": "guarded"}
    kept_state = KEPT / "guarded.json"

    async def read_back(self, stores: Stores) -> Found:
        """Read what is stored."""
        found = {}
        for item, image in stores.items("eu-west-1").images.items():
            content = orjson.loads(image)
            del content[replica.VERSION]
            if replica.DELETED not in content:
                found[item] = orjson.dumps(content)
        return found
