"""Which roots of an audit log can be trusted: those a given key signed, in an unbroken row, the same in both places."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pipeline.model.errors import Corrupt
from pipeline.ports import ObjectStore
from pipeline.wire import root
from pipeline.wire.root import Root, Stored
from pipeline.wire.signature import PublicKey


class Complaints(Protocol):
    """Where problems are told."""

    def add(self, name: str, first: int, last: int, reason: str, entry: int = 0) -> None:
        """Tell one, with the object it is in."""


class Remembered(NamedTuple):
    """The newest root that the state table knows to be in both places."""

    number: int
    digest: str


@dataclass(slots=True)
class Trust:
    """What was found out about the roots."""

    checked: bool = False
    """Whether there was a key to check signatures with."""
    count: int = 0
    """Roots that can be trusted."""
    newest: Stored | None = None
    keys: set[str] = field(default_factory=set)
    """Ids of the keys that signed them."""


class RootReader:
    """Reads the roots of one stream, from the log and from the second place where there is one."""

    def __init__(
        self,
        stream: str,
        log: ObjectStore,
        witness: ObjectStore | None,
        keys: Sequence[PublicKey],
        complaints: Complaints,
        remembered: Remembered | None = None,
    ) -> None:
        self.trust = Trust(checked=bool(keys))
        self._stream = stream
        self._keys: Mapping[str, PublicKey] = {key.id: key for key in keys}
        self._complaints = complaints
        self._remembered = remembered
        self._shelves = [_Shelf("the log", log, stream, complaints)]
        if witness is not None:
            self._shelves.append(_Shelf("the second location", witness, stream, complaints))

    async def trusted(self) -> AsyncIterator[Root | None]:
        """Yield the roots that can be trusted, in order; None where one is missing or cannot be trusted."""
        if not self._keys:
            return
        number, digest = 0, root.genesis(self._stream)
        async for at, copies in self._each():
            if at > number + 1:
                self._missing(number + 1, at - 1)
                digest = ""
                yield None
            found = self._judge(at, copies, digest)
            number, digest = at, found.digest if found else ""
            if found:
                self.trust.count, self.trust.newest = self.trust.count + 1, found
                self.trust.keys.add(found.root.key)
            yield found.root if found else None
        if self._remembered and self._remembered.number > number:
            self._missing(number + 1, self._remembered.number)

    async def _each(self) -> AsyncIterator[tuple[int, list[bytes | None]]]:
        """Yield each number there is in any place, with the bytes in every place."""
        while True:
            numbers = [number for shelf in self._shelves if (number := await shelf.peek()) is not None]
            if not numbers:
                return
            yield min(numbers), [await shelf.take(min(numbers)) for shelf in self._shelves]

    def _missing(self, first: int, last: int) -> None:
        name = root.root_name(self._stream, first)
        self._complaints.add(name, 0, 0, f"roots {first} to {last} are missing: they were deleted")

    def _judge(self, number: int, copies: Sequence[bytes | None], previous: str) -> Stored | None:
        """Return the root of a number if any copy can be trusted; say what is wrong with the others."""
        name, good = root.root_name(self._stream, number), list[Stored]()
        for shelf, data in zip(self._shelves, copies, strict=True):
            if data is None:
                self._absent(shelf, number)
                continue
            try:
                good.append(self._checked(name, data, previous))
            except Corrupt as error:
                self._complaints.add(name, 0, 0, f"in {shelf.title}: {error.reason}")
        if len({each.digest for each in good}) > 1:
            self._complaints.add(name, 0, 0, "the log and the second location hold different roots, both signed")
        return good[-1] if good else None

    def _absent(self, shelf: "_Shelf", number: int) -> None:
        """Tell of a root that one place lacks, unless it is being copied there."""
        if self._remembered is None or number <= self._remembered.number:
            name = root.root_name(self._stream, number)
            self._complaints.add(name, 0, 0, f"it is missing in {shelf.title}: it was deleted there")

    def _checked(self, name: str, data: bytes, previous: str) -> Stored:
        """Return a root that is signed and in its row. Raises Corrupt."""
        found = root.decode(name, data)
        key = self._keys.get(found.root.key)
        if key is None:
            raise Corrupt(
                f"it names the key {found.root.key[:16]}…, which is none of those given: another key signed it, or it"
                " was changed"
            )
        if not key.made(found.signature, found.statement):
            raise Corrupt("its signature is not that of its key: it was changed or forged")
        if previous and found.root.previous != previous:
            raise Corrupt("it does not follow the root before: one of them belongs to another history")
        known = self._remembered
        if known and found.root.number == known.number and found.digest != known.digest:
            raise Corrupt("it is not the root of this number that the state table remembers")
        return found


class _Shelf:
    """The roots in one place, in order."""

    def __init__(self, title: str, objects: ObjectStore, stream: str, complaints: Complaints) -> None:
        self.title = title
        self._objects = objects
        self._complaints = complaints
        self._names = objects.names(f"{root.FOLDER}/{stream}/")
        self._next: str | None = None
        self._ended = False

    async def peek(self) -> int | None:
        """Return the next number, None at the end."""
        while self._next is None and not self._ended:
            name = await anext(self._names, None)
            if name is None:
                self._ended = True
            elif root.number_of(name):
                self._next = name
            else:
                self._complaints.add(name, 0, 0, f"object {name} is no root: find out who put it there")
        return root.number_of(self._next) if self._next else None

    async def take(self, number: int) -> bytes | None:
        """Return the bytes of a root and go on to the next; None when it is not here."""
        if self._next is None or await self.peek() != number:
            return None
        name, self._next = self._next, None
        return await self._objects.read(name)
