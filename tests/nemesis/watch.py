"""Looks, again and again, at the sinks of a run: what has arrived when, and whether the replica ever goes back."""

import contextlib
import threading
import time

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.wire import chain, segment
from tests.blackbox import ends
from tests.blackbox.history import Ascent
from tests.blackbox.stack import AWAY, Stack

LOOK_SECONDS = 0.5
"""The grain of every lag that is measured."""


class Lookout:
    """Looks on a thread until stopped."""

    def __init__(self, stack: Stack) -> None:
        self.replica = Ascent()
        self.first_seen: dict[str, float] = {}
        """When each object of archive and audit log was first listed, monotonic, by bucket and name."""
        self.looks = 0
        self.error = ""
        """Why it ended early: a finding."""
        self._stack = stack
        self._away = stack.client("dynamodb", AWAY)
        self._s3 = stack.client("s3")
        self._newest: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look a last time, then end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.wait(LOOK_SECONDS):
                with contextlib.suppress(BotoCoreError, ClientError):  # a server that is away is not looked at
                    self._look()
            self._look()
        except Exception as error:  # noqa: BLE001  # a thread's death is told by its owner
            self.error = f"{type(error).__name__}: {error}"

    def _look(self) -> None:
        found = {}
        for table in self._stack.tables:
            found.update(ends.numbers(ends.items(self._away, table)))
        self.replica.look(time.monotonic(), found)
        for bucket, folder in (
            (self._stack.archive, f"a/{segment.KIND.folder}/"),
            (self._stack.audit, f"b/{chain.KIND.folder}/"),
        ):
            self._list(bucket, f"{folder}{self._stack.stream}/")
        self.looks += 1

    def _list(self, bucket: str, prefix: str) -> None:
        """Note the objects that are new: names of a shard sort like positions."""
        answer = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
        for shard in (each["Prefix"] for each in answer.get("CommonPrefixes", [])):
            after = self._newest.get(bucket + shard, shard)
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=shard, StartAfter=after)
            names = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
            now = time.monotonic()
            self.first_seen.update((f"{bucket}/{name}", now) for name in names)
            self._newest[bucket + shard] = max([after, *names])
