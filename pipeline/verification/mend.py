"""Mending a copy in place, where each stored item carries its version: never over something newer.

The copy is read first, then the source. A change that delivery writes in between, or later, gives the copy's item
another version, and the write is on the condition that nothing of the item has changed. One that is still on its way
has a higher version than the one that is kept, and overwrites what was mended.
"""

from collections.abc import Callable

from pipeline.model.errors import RetryLater
from pipeline.ports import ItemStore, ItemWrite
from pipeline.verification.side import Reading, digest

ATTEMPTS_MAX = 10
"""How often an item is looked at and written again, when it changes meanwhile or an answer is lost."""


class InPlace:
    """The items of one source table, and its copy."""

    def __init__(
        self,
        source: tuple[ItemStore, str],
        copy: tuple[ItemStore, str],
        *,
        expected: Callable[[bytes], bytes | None],
        held: Callable[[bytes], bytes | None],
        mended: Callable[[bytes, bytes | None], bytes],
        reading: Reading,
    ) -> None:
        self._source, self._source_table = source
        self._copy, self._copy_table = copy
        self._expected = expected
        self._held = held
        self._mended = mended
        self._reading = reading

    async def mend(self, keys: bytes) -> bool:
        """Write one item as it is to be; return False when it changed too often. Raises Rejected."""
        for _ in range(ATTEMPTS_MAX):
            stored = await self._get(self._copy, self._copy_table, keys)
            image = await self._get(self._source, self._source_table, keys)
            wanted = None if image is None else self._expected(image)
            if digest(wanted) == digest(None if stored is None else self._held(stored)):
                return True
            item = None if wanted is None else self._mended(wanted, stored)
            try:
                if await self._copy.replace(ItemWrite(self._copy_table, keys, item), stored):
                    return True
            except RetryLater as error:
                await self._reading.clock.sleep(error.after_seconds)
        return False

    async def _get(self, items: ItemStore, table: str, keys: bytes) -> bytes | None:
        await self._reading.spend(1)
        return (await self._reading.persist(lambda: items.get(table, [keys]))).get(keys)
