"""Putting parked keys through, when somebody asks: in order, with nothing else of the shard on its way.

The changes of a key go to the sink as batches of a shard name of their own, with positions from 1: so what is written
twice after a crash is recognised, and stands apart in archive and audit log.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from pipeline.coordination.persist import Answer, persist
from pipeline.delivery.cursor import Cursor
from pipeline.delivery.parking import Quarantine
from pipeline.delivery.pending import Redriven
from pipeline.model.change import Batch, Change
from pipeline.model.errors import Corrupt, LeaseLost, PipelineError, RetryLater
from pipeline.model.progress import ParkedKey
from pipeline.ports import Chance, Clock, StateRow, StateStore
from pipeline.wire import parked as form
from pipeline.wire.redrive import Requests, from_fields, parking_of, to_row

REQUEST_SECONDS = 2.0
"""How often the owner of a shard with parked keys looks whether somebody asks for them."""
SETTLE_SECONDS = 0.05

logger = logging.getLogger(__name__)


class Redrive:
    """Carries out the requests of one topology on one shard."""

    def __init__(
        self,
        quarantine: Quarantine,
        topology: str,
        cursor: Cursor,
        save: Callable[[], Awaitable[None]],
        is_ours: Callable[[], Awaitable[bool]],
        request_key: str,
        store: StateStore,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._quarantine = quarantine
        self._topology = topology
        self._cursor = cursor
        self._save = save
        self._is_ours = is_ours
        self._request_key = request_key
        self._store = store
        self._clock = clock
        self._chance = chance

    async def run(self) -> None:
        """Look for requests until the shard has ended. Raises LeaseLost."""
        while not self._cursor.ended:
            await self._clock.sleep(REQUEST_SECONDS)
            if self._cursor.settled.parked:
                try:
                    await self._look()
                except LeaseLost:
                    raise
                except PipelineError as error:
                    logger.warning("requests for quarantine of %s wait: %s", self._topology, error)

    async def _look(self) -> None:
        row = await self._row()
        if row is None:
            return
        for parking, asked_by in sorted(from_fields(row.fields, row.key).asked.items()):
            digest = parking[: form.DIGEST_DIGITS]
            key = self._cursor.settled.parked.get(digest)
            if self._cursor.ended:
                return  # the child shard that goes on with the key has it now
            if key is None or parking_of(digest, key) != parking:
                if await self._persist(self._is_ours):  # or the one who has the shard now knows of a later parking
                    await self._answer(parking, "")  # done before, by an owner that died before it could say so
                continue
            if not key.count:
                continue  # its changes come again first: an old owner stopped in their midst
            refused = await self._put_through(digest, asked_by)
            await self._answer(parking, refused)

    async def _put_through(self, digest: str, asked_by: str) -> str:
        """Have a key's changes written and let the key go; return why that could not be done, "" when it was."""
        cursor = self._cursor
        cursor.hold()
        try:
            while cursor.busy and not cursor.standing:
                await self._clock.sleep(SETTLE_SECONDS)
            key = cursor.settled.parked[digest]
            names = await self._persist(partial(self._names, digest, key))
            async for batch in self._batches(digest, key, names, asked_by):
                redriven = cursor.redriven = Redriven(batch)
                while not redriven.settled:
                    await self._clock.sleep(SETTLE_SECONDS)
                if redriven.refused:
                    return redriven.refused
            cursor.release(digest)
            await self._persist(self._save)
        except Corrupt as error:
            return str(error)
        finally:
            cursor.go_on()
        logger.info("topology %s: %d changes of key %s were put through", self._topology, key.count, digest)
        for name in names:
            await self._persist(partial(self._quarantine.objects.delete, name))
        return ""

    async def _names(self, digest: str, key: ParkedKey) -> list[str]:
        """Return the names of a key's parked changes, in order. Raises Corrupt when one is missing."""
        folder = self._quarantine.folder(self._topology, digest)
        first, last = (f"{folder}{form.place_of(*place)}{form.SUFFIX}" for place in (key.first, key.last))
        names = [name async for name in self._quarantine.objects.names(folder) if first <= name <= last]
        if len(names) != key.count:
            raise Corrupt(
                f"{key.count} changes of key {digest} were parked, {len(names)} are there",
                hint=f"restore the objects under {folder} from versions or a copy of the bucket",
            )
        return names

    async def _batches(self, digest: str, key: ParkedKey, names: list[str], asked_by: str) -> AsyncIterator[Batch]:
        """Yield a key's changes in batches as the topology likes them."""
        appetite, shard = self._cursor.appetite, f"redriven-{parking_of(digest, key)}"
        changes: list[Change] = []
        settled = size_bytes = 0
        for number, name in enumerate(names, 1):
            change = await self._persist(partial(self._change, name))
            changes.append(change)
            size_bytes += len(change.before or b"") + len(change.after or b"")
            full = len(changes) >= appetite.batch_changes_max or size_bytes >= appetite.batch_bytes_max
            if full or number == len(names):
                positions = range(settled + 1, number + 1)
                yield Batch(
                    self._cursor.stream, shard, settled + 1, number, tuple(changes), positions, asked_by=asked_by
                )
                settled, size_bytes, changes = number, 0, []

    async def _change(self, name: str) -> Change:
        data = await self._quarantine.objects.read(name)
        if data is None:
            raise Corrupt(f"object {name} is gone", hint="restore it from a version or a copy of the bucket")
        return form.decode(name, data)[1]

    async def _answer(self, parking: str, refused: str) -> None:
        """Say in the row what became of a request; a request that was made meanwhile stays."""
        done = False
        while not done:
            row = await self._persist(self._row)
            if row is None:
                return
            now = from_fields(row.fields, row.key)
            asked = {name: who for name, who in now.asked.items() if name != parking}
            answer = Requests(asked, {**now.refused, parking: refused} if refused else now.refused)
            done = await self._persist(
                partial(self._store.write, to_row(row.key, row.version + 1, answer), row.version)
            )

    async def _row(self) -> StateRow | None:
        return (await self._store.read([self._request_key])).get(self._request_key)

    async def _persist(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        return await persist(call, self._clock, self._chance, retried=self._retried)

    def _retried(self, error: RetryLater, attempt: int) -> None:
        logger.warning("quarantine of %s waits (attempt %d): %s", self._topology, attempt, error)
