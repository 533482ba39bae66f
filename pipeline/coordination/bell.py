"""A bell for a group of leases: rung when one was given back, so that the next owner need not wait for its turn."""

from pipeline.ports import StateRow, StateStore


class Bell:
    """One row whose version moves when a lease of the group was given back.

    It decides nothing: who hears it reads the leases themselves, and who misses it reads them at the next step anyway.
    Listening costs a worker one row, however many shards and workers there are.
    """

    def __init__(self, store: StateStore, key: str) -> None:
        self._store = store
        self._key = key
        self._heard: int | None = None

    async def ring(self) -> None:
        """Call the others. Raises RetryLater.

        A refused write is as good as ours: who rang in between did so after what we have to tell was done.
        """
        row = (await self._store.read([self._key])).get(self._key)
        version = row.version + 1 if row else 0
        await self._store.write(StateRow(self._key, version, {"entityType": "BELL"}), row.version if row else None)

    async def rung(self) -> bool:
        """Return True when it was rung since the last time, or this is the first. Raises RetryLater."""
        row = (await self._store.read([self._key])).get(self._key)
        version = row.version if row else -1
        rung, self._heard = version != self._heard, version
        return rung
