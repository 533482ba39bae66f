"""Signed roots of an audit log: written beside delivery, which never waits for them.

A root's number is claimed by creating its object if the name is free: two writers cannot make two of one number. That
one worker alone looks only saves work. A root is signed whole or not written: while the key is missing nothing is lost,
and the next root covers all that was added meanwhile.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.model.errors import Corrupt, PipelineError, RetryLater
from pipeline.ports import Clock, FieldValue, ObjectStore, Signer, StateRow, StateStore
from pipeline.wire import chain, root
from pipeline.wire.packed import Link
from pipeline.wire.root import End, Stored, Vouched
from pipeline.wire.signature import PublicKey

LOOK_SECONDS = 15.0
AFTER_ALL = "~"
"""Sorts after everything an object's name may hold."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a root is due: after so many entries, or when the oldest that none vouches for has waited so long."""

    entries: int
    minutes: float


class Places(NamedTuple):
    """Where a log and its roots are. The witness, where there is one, decides which number is taken."""

    log: ObjectStore
    witness: ObjectStore | None

    @property
    def deciding(self) -> ObjectStore:
        """Return the store in which numbers are claimed."""
        return self.witness or self.log


@dataclass(slots=True)
class RootsReport:
    """How the signing goes, for status."""

    number: int = 0
    """The newest root this process knows of."""
    time_ms: int = 0
    waiting_entries: int = 0
    """Entries this process has looked at that no root vouches for yet."""
    trouble: str = ""
    """Why nothing is signed, or what is not vouched for; empty when all is well."""


class RootWriter:
    """Looks at the chains of one stream, and signs what was added."""

    def __init__(
        self,
        name: str,
        stream: str,
        places: Places,
        signer: Signer,
        store: StateStore,
        clock: Clock,
        rhythm: Rhythm,
    ) -> None:
        self.report = RootsReport()
        self._name = name
        self._stream = stream
        self._places = places
        self._signer = signer
        self._clock = clock
        self._rhythm = rhythm
        self._store = store
        self._key = roots_key(stream, name)
        self._last: Stored | None = None
        self._in_both = 0
        """The newest root that was seen in both places."""
        self._heads: dict[str, End] = {}
        self._objects: list[Vouched] = []
        self._waiting_since: float | None = None

    async def run(self) -> None:
        """Look until cancelled. What goes wrong is told once, and looked at again."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Sign what is due. Raises nothing the pipeline knows."""
        told, self.report.trouble = self.report.trouble, ""
        try:
            await self._catch_up()
        except PipelineError as error:
            self.report.trouble = str(error)
        if self.report.trouble and self.report.trouble != told:
            logger.warning("roots of %s wait: %s", self._name, self.report.trouble)
        await self._remember()

    async def _catch_up(self) -> None:
        await self._signer.public_key()  # asked even when nothing is due: a missing key is told at once
        await self._resume()
        while await self._gather():
            if self._is_full():
                await self._sign()
        if self._is_due():
            await self._sign()

    async def _resume(self) -> None:
        """Go on from the newest root, also when somebody else wrote it; afterwards both places have it.

        Raises Corrupt when they differ, or lack what was there: nothing is signed on top of that.
        """
        if self._last is None:
            self._in_both = max(self._in_both, await self._remembered())
        log, witness = self._places
        theirs = await self._newest(witness) if witness else None  # before the log: what is there now, the log may have
        newest = await self._newest(log)
        if witness is not None:
            newest = await self._same_in_both(newest, theirs, witness)
        if self._last and (newest is None or newest.root.number < self._last.root.number):
            raise Corrupt(f"root {self._last.root.number} was deleted", hint=_WHO)
        if (newest and newest.digest) != (self._last and self._last.digest):
            await self._must_be_signed(newest)
            self._begin(newest)
        self._in_both = newest.root.number if newest else 0

    async def _same_in_both(self, ours: Stored | None, theirs: Stored | None, witness: ObjectStore) -> Stored | None:
        """Copy to the log the root a writer that died left in the witness alone, and to a new witness all there are."""
        at, copied = (each.root.number if each else 0 for each in (ours, theirs))
        if at < copied <= self._in_both:
            raise Corrupt(f"root {copied} was deleted in the log", hint=_WHO)
        if theirs is not None and copied == at + 1:
            await self._places.log.create(root.root_name(self._stream, copied), theirs.data)
            return theirs
        for number in range(copied + 1, at + 1):
            name = root.root_name(self._stream, number)
            await witness.create(name, root.decode(name, await self._places.log.read(name) or b"").data)
        if copied > at or (theirs is not None and copied == at and ours is not None and ours.digest != theirs.digest):
            raise Corrupt(f"the log and the witness differ at root {min(at, copied) + (copied > at)}", hint=_WHO)
        return ours

    async def _newest(self, place: ObjectStore) -> Stored | None:
        """Return the newest root in a place, which may be one behind. Raises Corrupt when it is none."""
        name, known = "", self._last.root.number if self._last else 0
        after = root.root_name(self._stream, max(0, known - 2))
        async for each in place.names(f"{root.FOLDER}/{self._stream}/", after):
            name = each if root.number_of(each) else name
        return root.decode(name, await place.read(name) or b"") if name else None

    async def _must_be_signed(self, newest: Stored | None) -> None:
        """Refuse to go on from a root in the name of our key that it has not signed; of older keys nothing is known."""
        key = PublicKey.of(await self._signer.public_key())
        if newest and newest.root.key == key.id and not key.made(newest.signature, newest.statement):
            raise Corrupt(f"root {newest.root.number} was forged", hint=_WHO)

    def _begin(self, newest: Stored | None) -> None:
        self._last, self._objects, self._waiting_since = newest, [], None
        self._heads = dict(newest.root.heads) if newest else {}
        self.report.number, self.report.time_ms = (newest.root.number, newest.root.time_ms) if newest else (0, 0)
        self.report.waiting_entries = 0

    async def _gather(self) -> bool:
        """Take one new object of each chain; return whether there was any."""
        found = False
        async for shard in self._chains():
            if self._is_full():
                return True
            found |= await self._take_next(shard)
        return found

    async def _chains(self) -> AsyncIterator[str]:
        """Yield the shards that have a chain: one listing each, however long the chain."""
        prefix, after = f"{chain.KIND.folder}/{self._stream}/", ""
        while name := await _first(self._places.log, prefix, after):
            folder = name.rpartition("/")[0]
            if chain.KIND.owns(name):
                yield folder.removeprefix(prefix)
                after = f"{folder}/{AFTER_ALL}"
            else:
                after = name

    async def _take_next(self, shard: str) -> bool:
        """Note the object after the end of a chain, if there is one and it follows."""
        end = self._heads.get(shard)
        link = end.link(self._stream, shard) if end else chain.KIND.genesis(self._stream, shard)
        name = await _first(self._places.log, chain.KIND.prefix(self._stream, shard), link.name)
        if name is None:
            return False
        try:
            await self._note(name, link)
        except Corrupt as error:
            self.report.trouble = f"no root vouches for {name} and what follows: {error.reason}"
            return False
        return True

    async def _note(self, name: str, link: Link) -> None:
        """Note an object whose hashes fit. Raises Corrupt."""
        data = await self._places.log.read(name) or b""
        block = chain.decode(name, data)
        for found in chain.breaks(block):
            raise Corrupt(found.reason)
        header = block.header
        if not header.follows(link):
            raise Corrupt(f"it does not follow {link.name or 'the start'}")
        self._objects.append(root.vouched(block, data))
        self._heads[header.shard] = End(header.first, header.last, block.seal)
        self.report.waiting_entries += len(block.lines) - 1
        if self._waiting_since is None:
            self._waiting_since = self._clock.monotonic()

    def _is_full(self) -> bool:
        return self.report.waiting_entries >= self._rhythm.entries

    def _is_due(self) -> bool:
        if self._waiting_since is None:
            return False
        waited_seconds = self._clock.monotonic() - self._waiting_since
        if self._last is not None:
            waited_seconds = max(waited_seconds, (self._clock.now_ms() - self._last.root.time_ms) / 1000)
        return self._is_full() or waited_seconds >= self._rhythm.minutes * 60

    async def _sign(self) -> None:
        """Write the next root: first where numbers are claimed, then in the other place."""
        key, now_ms = PublicKey.of(await self._signer.public_key()).id, self._clock.now_ms()
        words = root.statement(self._stream, self._last, now_ms, key, self._heads, self._objects)
        data = root.signed(words, await self._signer.sign(words))
        number = self._last.root.number + 1 if self._last else 1
        name = root.root_name(self._stream, number)
        if not await self._places.deciding.create(name, data):
            raise RetryLater(f"root {number} was written by another worker")
        self._begin(root.decode(name, data))
        await self._resume()  # has it copied
        logger.info("root %d of %s is signed", number, self._name)

    async def _remembered(self) -> int:
        """Return the newest root that was in both places, by the row that any worker left."""
        row = (await self._store.read([self._key])).get(self._key)
        return int(str(row.fields.get("number", 0))) if row else 0

    async def _remember(self) -> None:
        """Keep what was written last, for status, and for whoever looks for roots that were removed."""
        try:
            row = (await self._store.read([self._key])).get(self._key)
            fields: dict[str, FieldValue] = {**(row.fields if row else {}), "trouble": self.report.trouble}
            if self._last is not None and self._last.root.number >= int(str(fields.get("number", 0))):
                newest = self._last
                fields |= {"number": newest.root.number, "digest": newest.digest, "time_ms": newest.root.time_ms}
            if row is None or fields != row.fields:
                fields["entityType"] = "ROOTS"
                await self._store.write(
                    StateRow(self._key, row.version + 1 if row else 0, fields), row.version if row else None
                )
        except PipelineError as error:
            logger.debug("the row of the roots of %s waits: %s", self._name, error)


def roots_key(stream: str, topology: str) -> str:
    """Return the key of the row about the roots of a topology's log: which was written last, what is wrong."""
    return f"roots:{stream}@{topology}"


async def _first(objects: ObjectStore, prefix: str, after: str) -> str | None:
    names = objects.names(prefix, after)
    async for name in names:
        return name
    return None


_WHO = "find out what was changed, by whom: `fanout audit verify`"
