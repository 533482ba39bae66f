"""A log of immutable objects: one list for each Kinesis shard, without hole, overlap or fork, whoever writes.

An object is named by its first position, and it must start where its predecessor ends. So at any time there is exactly
one name the next object can have, and storing it only if the name is free decides between two writers: the loser
adopts the winner's object and goes on above it.
"""

from collections.abc import Callable
from typing import Final, Protocol

from pipeline.model.change import SPAN_MAX, Batch
from pipeline.model.errors import Corrupt
from pipeline.ports import ObjectStore
from pipeline.wire.packed import Header, Kind, Link, ParentEnd, damaged

POSITIONS_MAX: Final = 10**20 - 1
"""The largest that a name has digits for."""


class Form(Protocol):
    """How the objects of a log are written and read: segments or audit chains."""

    @property
    def kind(self) -> Kind:
        """Return the family of objects."""

    def encode(self, batch: Batch, link: Link) -> tuple[bytes, str]:
        """Return the object that holds `batch` and follows `link`, and its seal."""

    def adopt(self, name: str, data: bytes, batch: Batch) -> tuple[Header, str]:
        """Return header and seal of a stored object. Raises Corrupt when it and `batch` differ where they overlap."""


class RangeLog:
    """Appends batches so that every position is stored once, however often, cut and by how many it is delivered.

    What is remembered between calls only saves reads: it was true of the store, and objects never change.
    """

    def __init__(self, objects: ObjectStore, form: Form, end_of: Callable[[str, bytes], Link] | None = None) -> None:
        self._objects = objects
        self._form = form
        self._end_of = end_of
        """Given, the first object of a shard commits to the ends of its parents, which this reads in their last."""
        self._links: dict[str, Link] = {}
        """The last known object of each shard."""

    async def append(self, batch: Batch) -> None:
        """Return when every position of the batch is in the store.

        Raises RetryLater as the store does, and Corrupt when the stored objects have a hole, or hold other changes at
        the same positions than the batch does.
        """
        link = self._links.get(batch.shard)
        adopting = link is None or link.last != batch.first - 1
        if link is None or adopting:  # also when it reaches into the batch: what is stored there may be another's
            link = await self._locate(batch)
        while (rest := batch.after(link.last)) is not None:
            link, adopting = await self._extend(link, rest, adopting)
            self._links[batch.shard] = link

    async def _extend(self, link: Link, rest: Batch, adopting: bool) -> tuple[Link, bool]:
        """Return the object after `link`, stored by us or by somebody else, and whether it was somebody else's."""
        name = self._form.kind.name(rest.stream, rest.shard, rest.first)
        taken = await self._objects.read(name) if adopting else None
        if taken is None:
            part = rest.upto(min(rest.last, rest.first + SPAN_MAX - 1))
            if link.last == 0 and self._end_of is not None:
                link = link._replace(parents=await self._ends(batch=rest))
            data, seal = self._form.encode(part, link)
            if await self._objects.create(name, data):
                return Link(part.last, name, seal), False
            taken = await self._objects.read(name)
        header, adopted = self._adopt(name, taken, rest)
        if not header.follows(link):
            raise Corrupt(f"object {name} does not follow {link.name or 'the start'}", hint=_HINT)
        return adopted, True

    async def _locate(self, batch: Batch) -> Link:
        """Return the last object that starts at or before the batch, and reaches it."""
        kind, found = self._form.kind, ""
        oldest = kind.name(batch.stream, batch.shard, max(0, batch.first - SPAN_MAX - 1))
        async for name in self._objects.names(kind.prefix(batch.stream, batch.shard), oldest):
            if name > kind.name(batch.stream, batch.shard, batch.first):
                break
            if kind.owns(name):  # anything else that lies here is for the readers to complain about
                found = name
        link = kind.genesis(batch.stream, batch.shard)
        if found:
            link = self._adopt(found, await self._objects.read(found), batch)[1]
        if link.last < batch.first - 1:
            missing = f"positions {link.last + 1} to {batch.first - 1}"
            raise Corrupt(
                f"{kind.prefix(batch.stream, batch.shard)} has a hole before the batch: {missing}", hint=_HINT
            )
        return link

    async def _ends(self, batch: Batch) -> tuple[ParentEnd, ...]:
        """Return where the parents of a shard end. They have ended: all of them is stored before the shard begins."""
        ends = []
        for shard in batch.parents:
            link = self._form.kind.genesis(batch.stream, shard)
            name = await self._last_name(batch.stream, shard)
            if name is not None:
                assert self._end_of is not None
                link = self._end_of(name, await self._objects.read(name) or b"")
            ends.append(ParentEnd(shard, link.last, link.seal))
        return tuple(ends)

    async def _last_name(self, stream: str, shard: str) -> str | None:
        """Return the name of a shard's last object, None when it has none: by halving, however many there are."""
        kind, found = self._form.kind, None
        low, high = 0, POSITIONS_MAX
        while low < high:
            middle = (low + high + 1) // 2
            name = await self._first_after(kind.prefix(stream, shard), kind.name(stream, shard, middle - 1))
            if name is None:
                high = middle - 1
            else:
                found, low = name, kind.first_of(name)
        return found

    async def _first_after(self, prefix: str, after: str) -> str | None:
        async for name in self._objects.names(prefix, after):
            if self._form.kind.owns(name):
                return name
        return None

    def _adopt(self, name: str, data: bytes | None, batch: Batch) -> tuple[Header, Link]:
        if data is None:
            raise damaged(name, "it was deleted")
        header, seal = self._form.adopt(name, data, batch)
        return header, header.link(name, seal)


_HINT = "the stored objects and the checkpoint do not meet: was an object deleted, or the state table lost?"
