"""A destination that refuses some keys for a while, where its changes wait, and somebody who asks for them."""

import random
from collections import defaultdict
from functools import partial
from typing import Any

from pipeline.delivery.asking import Asking
from pipeline.model.errors import PipelineError, Rejected
from pipeline.plugin import Batch
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire.parked import decode
from pipeline.wiring.core import checkpoint_key
from tests.simulation.services import Identity

NAMES = ("replica", "archive", "audit")
TURN_RATE = 0.05
"""How often, by writes to the tables, a destination is spoilt or mended."""
STEPS_MAX = 20
"""How often somebody looks for an answer before asking for what is parked by then."""


class Poison:
    """One topology that refuses changes of some keys, now and then, in half of all worlds.

    Its chance is its own: a world without it is the same as it was before there was any.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"poison {seed}")
        self.name = self._random.choice((*NAMES, "", "", ""))
        count = self._random.choice((1, 1, 3, 12))
        self._keys = {b'{"pk":{"S":"k%d"}}' % number for number in self._random.sample(range(12), count)} | {
            b'{"pk":{"S":"k0"}}'
        }
        self._active = False
        self._names_reasons = self._random.random() < 0.7
        self.refused: set[Identity] = set()
        """Changes that were refused, and not written before or since."""
        self._written: set[Identity] = set()
        """Changes that the destination has: an old owner that wakes up may offer them once more and be refused."""

    def turn(self) -> None:
        """Spoil or mend the destination, perhaps."""
        if self.name and self._random.random() < TURN_RATE:
            self._active = not self._active

    def heal(self) -> None:
        """Mend it for good."""
        self._active = False
        self._keys.clear()

    def refuse(self, name: str, batch: Batch) -> None:
        """Raise Rejected when the topology is spoilt and the batch has changes of its keys."""
        if name != self.name or not self._active:
            return
        refused = {position: "bitter" for position, change in batch if change.keys in self._keys}
        bitter = {(change.table, change.sequence) for _, change in batch if change.keys in self._keys}
        self.refused |= bitter - self._written
        if refused and not self._names_reasons:
            raise ValueError("a defect of the destination's client")
        if refused:
            raise Rejected(refused)

    def note_written(self, name: str, batch: Batch) -> None:
        """Note what the destination has after all."""
        if name == self.name:
            self._written |= {(change.table, change.sequence) for change in batch.changes}
            self.refused -= self._written


class ParkedObjects(FakeObjectStore):
    """Objects of the quarantine, that know which changes of which topology were ever among them."""

    def __init__(self) -> None:
        super().__init__()
        self.of: defaultdict[str, set[Identity]] = defaultdict(set)

    async def create(self, name: str, data: bytes) -> bool:
        """Store, and note whose it is."""
        created = await super().create(name, data)
        _, change = decode(name, data)
        self.of[name.partition("/")[0]].add((change.table, change.sequence))
        return created


async def operate(log: Any, store: Any, clock: Any, chance: random.Random) -> None:
    """Ask for all that is parked, again and again, also while the destination is spoilt still."""
    while True:
        await clock.sleep(chance.uniform(5, 20))
        asking = Asking(log, store, NAMES, partial(checkpoint_key, "changes"), "somebody@operator")
        for _ in range(STEPS_MAX):
            try:
                asking.left = asking.left or {each.parking for each in await asking.waiting()} - asking.refused.keys()
                await asking.step()
            except PipelineError:
                pass
            await clock.sleep(1.0)


async def nothing_parked(log: Any, store: Any) -> bool:
    """Return True when no topology has a key in quarantine."""
    return not await Asking(log, store, NAMES, partial(checkpoint_key, "changes")).waiting()
