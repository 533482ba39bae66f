"""Finding what is parked, and asking the owners of the shards to put it through."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from pipeline.coordination.checkpoints import read_many
from pipeline.model.progress import Checkpoint, ParkedKey
from pipeline.model.shard import Shard
from pipeline.ports import Log, StateStore
from pipeline.wire.redrive import Requests, from_fields, parking_of, request_key, to_row


class Parking(NamedTuple):
    """One parking of one key by one topology; a later one of the same key is another."""

    topology: str
    name: str


class Waiting(NamedTuple):
    """A parked key: where it waits, and what the checkpoint knows of it."""

    topology: str
    digest: str
    shard: str
    key: ParkedKey

    @property
    def parking(self) -> Parking:
        """Return which parking this is."""
        return Parking(self.topology, parking_of(self.digest, self.key))


class Asking:
    """Somebody who asks for parked keys, until each is put through or refused again.

    The request is a row beside the shard's checkpoint, which its owner reads. When the shard ends first, the request is
    made again to the child shard that goes on with the key.
    """

    def __init__(
        self,
        log: Log,
        store: StateStore,
        topologies: Collection[str],
        checkpoint_key: Callable[[str, str], str],
        asked_by: str = "",
    ) -> None:
        self._log = log
        self._store = store
        self._topologies = topologies
        self._checkpoint_key = checkpoint_key
        self._asked_by = asked_by
        self._asked: set[tuple[Parking, str]] = set()
        self.left: set[Parking] = set()
        """What was asked for and is not answered yet."""
        self.refused: dict[Parking, str] = {}
        """What stays parked, and why."""

    async def waiting(self) -> list[Waiting]:
        """Return what is parked, oldest first. Raises RetryLater."""
        shards = await self._log.shards()
        keys = {(s.id, t): self._checkpoint_key(s.id, t) for s in shards for t in self._topologies}
        stored = await read_many(self._store, list(keys.values()))
        found: list[Waiting] = []
        for topology in self._topologies:
            checkpoints = {s.id: stored[k] for s in shards if (k := keys[s.id, topology]) in stored}
            found += (Waiting(topology, *each) for each in parked_in(shards, checkpoints))
        return sorted(found, key=lambda each: (each.key.time_ms, each.parking))

    async def step(self) -> None:
        """Look what became of the requests that are left, and make those that are not made. Raises RetryLater."""
        now = {each.parking: each for each in await self.waiting()}
        self.left &= now.keys()
        for parking in sorted(self.left):
            await self._ask(now[parking])

    async def _ask(self, waiting: Waiting) -> None:
        key = request_key(self._log.name, waiting.shard, waiting.topology)
        parking, made = waiting.parking, (waiting.parking, waiting.shard)
        row = (await self._store.read([key])).get(key)
        requests = from_fields(row.fields, key) if row else Requests({}, {})
        if parking.name in requests.asked:
            self._asked.add(made)
        elif made in self._asked and parking.name in requests.refused:
            self.refused[parking] = requests.refused[parking.name]
            self.left.discard(parking)
        else:
            asked = {**requests.asked, parking.name: self._asked_by}
            refused = {name: why for name, why in requests.refused.items() if name != parking.name}
            version = row.version if row else None
            row = to_row(key, 0 if version is None else version + 1, Requests(asked, refused))
            if await self._store.write(row, version):  # refused: somebody else asks or answers; the next step looks
                self._asked.add(made)


def parked_in(shards: Iterable[Shard], checkpoints: Mapping[str, Checkpoint]) -> Iterator[tuple[str, str, ParkedKey]]:
    """Yield (digest, shard, key) of what one topology has parked, each key where it waits now.

    A shard that has ended hands its keys on; until its child has begun they still wait there.
    """
    listed = list(shards)
    for shard in listed:
        checkpoint = checkpoints.get(shard.id, Checkpoint())
        begun = [child for child in listed if shard.id in child.parents and child.id in checkpoints]
        for digest, key in checkpoint.parked.items():
            if not (checkpoint.ended and any(child.holds(key.hash_key) for child in begun)):
                yield digest, shard.id, key
