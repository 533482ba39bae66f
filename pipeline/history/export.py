"""Writing an export: data files first, the summary last, so that what has a summary is whole."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from pipeline.model.backoff import CALLS
from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.ports import Chance, Clock, ObjectStore
from pipeline.wire.export import (
    CHECKSUM,
    DATA,
    FILES,
    STARTED,
    SUMMARY,
    About,
    DataFile,
    Files,
    Listed,
    checksum,
    files_manifest,
    listed,
    summary_manifest,
)

T = TypeVar("T")

LINES_BYTES_MAX = 64 * 1024 * 1024
"""Lines of one data file before compression: a few files a gigabyte, and memory for one of them."""
ATTEMPTS_MAX = 8
"""How often one object is tried when the store asks to wait."""
_STRANGER = "give another place, or remove what is there"


class Exported(NamedTuple):
    """What was written."""

    items: int
    files: int
    size_bytes: int


class Export:
    """One export into a folder of objects, which is the export's own.

    The same export is begun anew by a second run after a kill: what the first left behind is removed, then written
    again. Before the summary is stored, every other object is.
    """

    def __init__(self, objects: ObjectStore, about: About, files: Files, clock: Clock, chance: Chance) -> None:
        self._objects = objects
        self._about = about
        self._files = files
        self._clock = clock
        self._chance = chance

    async def look(self) -> list[str]:
        """Return what a killed run left. Raises Misconfigured when the folder has anything else; changes nothing."""
        found = [name async for name in self._objects.names("")]
        place = self._about.folder
        if SUMMARY in found:
            raise Misconfigured(f"the export {place} is there already, and whole", hint=_STRANGER)
        if found and STARTED not in found:
            raise Misconfigured(f"the folder {place} is not empty, and no export was begun in it", hint=_STRANGER)
        return found

    async def claim(self) -> None:
        """Make room: remove what a killed run left. Raises what `look` raises."""
        found = await self.look()
        await self._insist(lambda: self._objects.replace(STARTED, b""))
        for name in found:
            if name != STARTED:
                await self._insist(partial(self._objects.delete, name))

    async def write(
        self,
        images: AsyncIterator[bytes],
        progress: Callable[[int], None] = lambda _: None,
        *,
        lacks: Callable[[], Sequence[str]] = list,
    ) -> Exported:
        """Write every item, given as DynamoDB JSON; return what was written. Memory is one compressed file.

        Once all items were given, `lacks` says what they lack of the table; the summary tells it.
        Raises Misconfigured when somebody else writes into the same folder, RetryLater when the store does not answer.
        """
        done, size_bytes = list[Listed](), 0
        async for image in images:
            full = self._files.add(image)
            if full is not None:
                done.append(await self._store(full))
                size_bytes += len(full.data)
                progress(sum(each.items for each in done))
        last = self._files.end()
        if last is not None:
            done.append(await self._store(last))
            size_bytes += len(last.data)
        items = sum(each.items for each in done)
        await self._close(done, items, lacks())
        return Exported(items, len(done), size_bytes)

    async def _store(self, file: DataFile) -> Listed:
        await self._insist(lambda: self._objects.create(file.name, file.data))
        return listed(file)

    async def _close(self, done: list[Listed], items: int, lacks: Sequence[str]) -> None:
        ours = {each.name for each in done}
        strangers = [name async for name in self._objects.names(DATA) if name not in ours]
        if strangers:
            place = f"{self._about.folder}{strangers[0]}"
            raise Misconfigured(f"object {place} is not of this export: does another run write there?", hint=_STRANGER)
        files = files_manifest(self._about, done)
        summary = summary_manifest(self._about, items, self._clock.now_ms(), lacks)
        await self._insist(lambda: self._objects.replace(FILES, files))
        await self._insist(lambda: self._objects.replace(_checksum_of(FILES), checksum(files)))
        await self._insist(lambda: self._objects.replace(_checksum_of(SUMMARY), checksum(summary)))
        await self._insist(lambda: self._objects.replace(SUMMARY, summary))

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return await call()
            except RetryLater as error:
                if attempt == ATTEMPTS_MAX:
                    raise
                await self._clock.sleep(CALLS.seconds(attempt, self._chance.fraction(), error.after_seconds))
        raise AssertionError("unreachable")


def _checksum_of(name: str) -> str:
    return name.removesuffix(".json") + CHECKSUM
