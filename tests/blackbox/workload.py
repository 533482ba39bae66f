"""Writers to the source tables: each item has one, and every write is noted with its number."""

import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.blackbox.history import Entry, Item, Write
from tests.blackbox.stack import Stack

CALL_WRITES = 25
DELETE_SHARE = 0.15
PATIENCE_SECONDS = 0.5


class Workload:
    """`changes` writes, puts and deletes mixed, over `keys` items of the stack's tables, at a steady pace.

    What is deleted is there, and no put repeats what is stored, so every write is one change. A `patient` one outlives
    its server's absence: it asks again until it is answered or stopped.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        changes: int,
        keys: int,
        per_second: float = 1000.0,
        threads: int = 2,
        payload_bytes: int = 200,
        seed: int = 1,
        prefix: str = "key",
        patient: bool = False,
    ) -> None:
        assert changes % (threads * CALL_WRITES) == 0, "whole calls only"
        self.changes = changes
        self.entries: list[Entry] = []
        self._pause_seconds = CALL_WRITES * threads / per_second
        self._payload_bytes = payload_bytes
        self._patient = patient
        self._errors: list[BaseException] = []
        self._stop = threading.Event()
        items = [Item(stack.tables[number % len(stack.tables)], f"{prefix}-{number:04d}") for number in range(keys)]
        calls = changes // threads // CALL_WRITES
        self._threads = [
            threading.Thread(
                target=self._write,
                args=(stack.client("dynamodb"), items[which::threads], calls, random.Random(seed * 100 + which)),
            )
            for which in range(threads)
        ]

    def start(self) -> None:
        """Begin to write."""
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        """Return True when all is written."""
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def journal(self) -> list[Write]:
        """Return the writes that were acknowledged so far."""
        return [entry.write for entry in self.entries if entry.returned is not None]

    @property
    def unsure(self) -> list[Write]:
        """Return the writes of which no answer came."""
        return [entry.write for entry in self.entries if entry.returned is None]

    def stop(self) -> None:
        """End early, after the call under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def finish(self) -> list[Write]:
        """Wait until all is written and return the journal."""
        for thread in self._threads:
            thread.join()
        assert not self._errors, self._errors
        return self.journal

    def _write(self, client: Any, items: Sequence[Item], calls: int, chance: random.Random) -> None:
        last: dict[Item, Write] = {}
        began = time.monotonic()
        try:
            for call in range(calls):
                self._stop.wait(max(0.0, began + call * self._pause_seconds - time.monotonic()))
                if self._stop.is_set():
                    return
                writes = [_next(item, last.get(item), chance) for item in chance.sample(items, CALL_WRITES)]
                invoked = time.monotonic()
                returned = self._send_all(client, writes)
                last.update((write.item, write) for write in writes)
                self.entries.extend(Entry(write, invoked, returned) for write in writes)
        except Exception as error:  # noqa: BLE001  # a thread's death is told by finish
            self._errors.append(error)

    def _send_all(self, client: Any, writes: Sequence[Write]) -> float | None:
        """Send until it is acknowledged: the same again changes nothing, so it makes no second change."""
        while True:
            try:
                self._send(client, writes)
            except (BotoCoreError, ClientError):
                if not self._patient:
                    raise
                if self._stop.wait(PATIENCE_SECONDS):
                    return None
            else:
                return time.monotonic()

    def _send(self, client: Any, writes: Sequence[Write]) -> None:
        requests: dict[str, list[dict[str, Any]]] = {}
        for write in writes:
            key = {"pk": {"S": write.item.key}}
            text = f"{write.n}." * (self._payload_bytes // 2)
            item = {
                **key,
                "n": {"N": str(write.n)},
                "text": {"S": text[: self._payload_bytes]},
                "tags": {"SS": ["a", "ä"]},
            }
            request = {"DeleteRequest": {"Key": key}} if write.removes else {"PutRequest": {"Item": item}}
            requests.setdefault(write.item.table, []).append(request)
        answer = client.batch_write_item(RequestItems=requests)
        assert not answer["UnprocessedItems"]


def _next(item: Item, last: Write | None, chance: random.Random) -> Write:
    if last is None or last.removes:
        return Write(item, last.n + 1 if last else 1, removes=False)
    return Write(item, last.n + 1, removes=chance.random() < DELETE_SHARE)
