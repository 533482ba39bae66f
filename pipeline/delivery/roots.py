"""Signed roots of an audit log: written beside delivery, which never waits for them.

A root's number is claimed by creating its object if the name is free, so two writers cannot make two of one number; a
row of the state table only keeps all workers but one from looking. A root is signed whole or not written: while the key
is missing nothing is lost, and the next root covers all that was added meanwhile.
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
SILENT_LOOKS = 4
"""A writer that has not touched its row for so many of our looks is taken for gone."""
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

    ours: bool = False
    """Whether this process is the one that signs."""
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
        owner: str,
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
        self._turn = Turn(store, clock, roots_key(stream, name), owner)
        self._last: Stored | None = None
        self._heads: dict[str, End] = {}
        self._objects: list[Vouched] = []
        self._waiting_since: float | None = None

    async def run(self) -> None:
        """Look until cancelled. What goes wrong is told once, and looked at again."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Sign what is due, if it is our turn. Raises nothing the pipeline knows."""
        told, report = self.report.trouble, self.report
        try:
            report.ours = await self._turn.take()
            if report.ours:
                report.trouble = ""
                await self._catch_up()
        except PipelineError as error:
            report.trouble = str(error)
        if report.trouble and report.trouble != told:
            logger.warning("roots of %s wait: %s", self._name, report.trouble)
        if report.ours:
            await self._remember()

    async def _catch_up(self) -> None:
        await self._resume()
        await self._signer.public_key()  # asked even when nothing is due: a missing key is told at once
        while await self._gather() or self._is_due():
            if self._is_due():
                await self._sign()

    async def _resume(self) -> None:
        """Go on from the newest root, also when somebody else wrote it, and have it in both places."""
        newest = await self._newest()
        if newest is not None:
            for place in (self._places.log, self._places.witness):
                await self._keep(place, newest)
        if (newest and newest.digest) != (self._last and self._last.digest):
            self._begin(newest)

    def _begin(self, newest: Stored | None) -> None:
        self._last, self._objects, self._waiting_since = newest, [], None
        self._heads = dict(newest.root.heads) if newest else {}
        self.report.number, self.report.time_ms = (newest.root.number, newest.root.time_ms) if newest else (0, 0)
        self.report.waiting_entries = 0

    async def _newest(self) -> Stored | None:
        """Return the newest root there is. Raises Corrupt when it is none, or ends before one we know of."""
        known = self._last
        for place in (self._places.deciding, self._places.log):
            name = ""
            after = root.root_name(self._stream, known.root.number - 1) if known else ""
            async for each in place.names(f"{root.FOLDER}/{self._stream}/", after):
                name = each if root.number_of(each) else name
            if name:
                return root.decode(name, await place.read(name) or b"")
        if known:
            reason = f"root {known.root.number} was deleted"
            raise Corrupt(reason, hint="find out who did it: `fanout audit verify`")
        return None

    async def _keep(self, place: ObjectStore | None, newest: Stored) -> None:
        name = root.root_name(self._stream, newest.root.number)
        if place is not None and not await place.create(name, newest.data) and await place.read(name) != newest.data:
            raise Corrupt(f"the two copies of {name} differ", hint="see which was changed: `fanout audit verify`")

    async def _gather(self) -> bool:
        """Take one new object of each chain; return whether there was any."""
        found = False
        async for shard in self._chains():
            if self._is_due():
                break
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

    def _is_due(self) -> bool:
        if self._waiting_since is None:
            return False
        waited_seconds = self._clock.monotonic() - self._waiting_since
        if self._last is not None:
            waited_seconds = max(waited_seconds, (self._clock.now_ms() - self._last.root.time_ms) / 1000)
        return self.report.waiting_entries >= self._rhythm.entries or waited_seconds >= self._rhythm.minutes * 60

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
        await self._resume()
        logger.info("root %d of %s is signed", number, self._name)

    async def _remember(self) -> None:
        try:
            await self._turn.keep(self._last, self.report.trouble)
        except PipelineError as error:
            logger.debug("the row of the roots of %s waits: %s", self._name, error)


def roots_key(stream: str, topology: str) -> str:
    """Return the key of the row about the roots of a topology's log: whose turn it is, what was written last."""
    return f"roots:{stream}@{topology}"


class Turn:
    """Whose turn it is to write roots: a row its owner touches at every look. It saves work, and guards nothing."""

    def __init__(self, store: StateStore, clock: Clock, key: str, owner: str) -> None:
        self._store = store
        self._clock = clock
        self._key = key
        self._owner = owner
        self._row: StateRow | None = None
        self._seen_at = 0.0

    async def take(self) -> bool:
        """Return True when it is ours: it was, nobody has it, or its owner has gone silent. Raises RetryLater."""
        row = (await self._store.read([self._key])).get(self._key)
        now = self._clock.monotonic()
        if row is not None and row.fields.get("owner") != self._owner:
            if self._row is None or self._row.version != row.version:
                self._row, self._seen_at = row, now
                return False
            if now - self._seen_at < SILENT_LOOKS * LOOK_SECONDS:
                return False
        return await self._write(row, dict(row.fields) if row else {})

    async def keep(self, last: Stored | None, trouble: str) -> None:
        """Remember in the row what was written last, for status, and for whoever looks for roots that were removed."""
        fields = dict(self._row.fields) if self._row else {}
        if last is not None and last.root.number >= _whole(fields.get("number", 0)):
            fields |= {"number": last.root.number, "digest": last.digest, "time_ms": last.root.time_ms}
        if self._row is not None and fields | {"trouble": trouble} != self._row.fields:
            await self._write(self._row, fields | {"trouble": trouble})

    async def _write(self, row: StateRow | None, fields: dict[str, FieldValue]) -> bool:
        fields |= {"owner": self._owner, "entityType": "ROOTS"}
        version = row.version + 1 if row else 0
        if not await self._store.write(StateRow(self._key, version, fields), row.version if row else None):
            return False
        self._row = StateRow(self._key, version, fields)
        return True


def _whole(value: FieldValue) -> int:
    assert isinstance(value, int)
    return value


async def _first(objects: ObjectStore, prefix: str, after: str) -> str | None:
    names = objects.names(prefix, after)
    async for name in names:
        return name
    return None
