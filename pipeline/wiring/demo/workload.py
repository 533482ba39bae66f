"""The demo's workload: a seeded run of puts and deletes of items of every type, each of which changes something."""

import asyncio
import hashlib
from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import orjson

from pipeline.model.backoff import CALLS
from pipeline.model.errors import RetryLater
from pipeline.ports import Chance, Clock, ItemStore, ItemWrite
from pipeline.wire.json import canonical_keys

SOURCE_KEYS = "customer:S,order:N"
KEY_NAMES = ("customer", "order")
VERSION = "version"
"""Attribute that numbers the puts of an item: what tells in which order they were made."""

HOT_CUSTOMERS = 5
ORDERS_EACH = 4
CHANGES_PER_CUSTOMER = 25
CUSTOMERS_MAX = 500
DEEP_LEVELS = 30
"""DynamoDB allows 32 levels; the attribute itself and the text inside are two."""

BATCH_MAX = 25
WINDOW = 100
"""How far ahead a batch looks for items that are not in it yet."""
ATTEMPTS_MAX = 10
PACE_SECONDS = 0.02


class Step(NamedTuple):
    """One write that makes exactly one change. `mark` is its version, negative for the removal of that version."""

    write: ItemWrite
    mark: int


class Dice:
    """Throws that look random and are the same in every run of a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._throws = 0

    def throw(self, sides: int) -> int:
        """Return a number from 0 to `sides` - 1."""
        return int.from_bytes(self.some_bytes()) % sides

    def some_bytes(self) -> bytes:
        """Return 16 bytes."""
        self._throws += 1
        return hashlib.blake2b(b"%d/%d" % (self._seed, self._throws), digest_size=16).digest()


def plan(table: str, changes: int, seed: int = 1) -> Iterator[Step]:
    """Yield so many writes: inserts, changes and removals, three in ten of them on a few hot keys.

    A put always carries a new version, and only what is there is removed, so that every write makes one change.
    """
    dice = Dice(seed)
    customers = min(CUSTOMERS_MAX, max(2 * HOT_CUSTOMERS, changes // CHANGES_PER_CUSTOMER))
    versions: dict[bytes, int] = {}
    present: set[bytes] = set()
    for _ in range(changes):
        customer = dice.throw(HOT_CUSTOMERS if dice.throw(10) < 3 else customers)  # noqa: PLR2004  # three in ten
        key = {"customer": {"S": f"customer-{customer:03}"}, "order": {"N": str(1 + dice.throw(ORDERS_EACH))}}
        keys = canonical_keys(orjson.dumps(key), KEY_NAMES[0])
        if keys in present and dice.throw(5) == 0:
            present.remove(keys)
            yield Step(ItemWrite(table, keys, None), -versions[keys])
            continue
        versions[keys] = versions.get(keys, 0) + 1
        present.add(keys)
        item = {**key, VERSION: {"N": str(versions[keys])}, **some_attributes(dice)}
        yield Step(ItemWrite(table, keys, orjson.dumps(item)), versions[keys])


def some_attributes(dice: Dice) -> dict[str, Any]:
    """Return attributes as DynamoDB JSON: every item has a few, all items together have every type."""
    number = int.from_bytes(dice.some_bytes()) % 10**38
    binary = [b64encode(dice.some_bytes()).decode() for _ in range(2)]
    deep: Any = {"S": "the bottom"}
    for _ in range(DEEP_LEVELS):
        deep = {"L": [deep]} if dice.throw(2) else {"M": {"in": deep}}
    choice: dict[str, Any] = {
        "total": {"N": f"{number // 10**19}.{number % 10**19:019}"},
        "balance": {"N": f"-{number}"},
        "paid": {"BOOL": bool(dice.throw(2))},
        "coupon": {"NULL": True},
        "note": {"S": ""},
        "name": {"S": "Zoë 🚚 東京 " + binary[0]},
        "photo": {"B": binary[0]},
        "nothing": {"B": ""},
        "tags": {"SS": ["new", f"tag-{dice.throw(1000)}"]},
        "ratings": {"NS": ["0.1", str(number % 1000 + 1), f"1E-{dice.throw(100) + 4}"]},
        "scans": {"BS": binary},
        "lines": {"L": [{"M": {"sku": {"S": binary[1]}, "count": {"N": "3"}}}, {"NULL": True}, {"L": []}]},
        "address": {"M": {"city": {"S": "Oslo"}, "extra": {"M": {}}}},
        "deep": deep,
    }
    names = sorted(choice)
    return {name: choice[name] for name in (names[dice.throw(len(names))] for _ in range(5))}


def next_batch(pending: deque[Step]) -> list[Step]:
    """Take a batch of writes to different items; what stays keeps the order of every item."""
    chosen: dict[bytes, Step] = {}
    later: list[Step] = []
    for _ in range(min(WINDOW, len(pending))):
        step = pending.popleft()
        if step.write.keys in chosen:
            later.append(step)
            continue
        chosen[step.write.keys] = step
        if len(chosen) == BATCH_MAX:
            break
    pending.extendleft(reversed(later))
    return list(chosen.values())


class Workload:
    """Writes the plan, one batch after the other, at a pace; `journal` has what was acknowledged, item by item."""

    def __init__(self, items: ItemStore, clock: Clock, chance: Chance, steps: Iterator[Step]) -> None:
        self._items = items
        self._clock = clock
        self._chance = chance
        self._steps = steps
        self.written = 0
        self.journal: dict[bytes, list[int]] = {}
        self.go_on = asyncio.Event()
        """Set to write beyond the point where `run` waits."""
        self._ended = False

    async def run(self, per_second: float, wait_at: int) -> None:
        """Write everything; stop at `wait_at` writes until `go_on` is set. Raises RetryLater when nothing helps."""
        began = self._clock.monotonic()
        pending: deque[Step] = deque()
        while not self._ended:
            pending.extend(islice(self._steps, WINDOW - len(pending)))
            if not pending:
                return
            if self.written >= wait_at:
                await self.go_on.wait()
            if self.written > (self._clock.monotonic() - began) * per_second:
                await self._clock.sleep(PACE_SECONDS)
            elif not self._ended:
                await self._write(next_batch(pending))

    def end(self) -> None:
        """Let `run` return after the batch it is writing."""
        self._ended = True
        self.go_on.set()

    async def _write(self, batch: list[Step]) -> None:
        left = tuple(step.write for step in batch)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                left = await self._items.write_batch(left)
            except RetryLater as error:  # writing again what was written changes nothing, so makes no change
                await self._clock.sleep(CALLS.seconds(attempt, self._chance.fraction(), error.after_seconds))
                continue
            if not left:
                break
        else:
            msg = "the emulator takes no more writes"
            raise RetryLater(msg)
        for step in batch:
            self.journal.setdefault(step.write.keys, []).append(step.mark)
        self.written += len(batch)
