"""A look, again and again, at every checkpoint and then at what it claims: one ahead of its effect is caught."""

import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.model.progress import Checkpoint
from pipeline.wire import chain, segment
from pipeline.wire.compact import decode_frame, decode_header
from pipeline.wire.packed import Header, Kind, unpack
from tests.blackbox.ends import checkpoints, items, numbers, scan
from tests.blackbox.history import Item, regressions
from tests.blackbox.stack import AWAY, Stack

PAUSE_SECONDS = 0.25


class CaptureSample(NamedTuple):
    """A capture checkpoint as read at a time: all up to `sequence` must have been in Kinesis by then."""

    key: str
    sequence: int
    at_ms: int


class Watch:
    """Samples on a thread until stopped; what is wrong is in `complaints`.

    The checkpoints are read before the destinations, so that what was done in between cannot accuse anybody; what was
    not done by then, though a checkpoint said so, does.
    """

    def __init__(self, stack: Stack) -> None:
        self.complaints: list[str] = []
        self.samples = 0
        self.moves = 0
        """How often a checkpoint was seen further on than before: zero would mean nothing was watched."""
        self.captures: list[CaptureSample] = []
        self._stack = stack
        self._home = stack.client("dynamodb")
        self._away = stack.client("dynamodb", AWAY)
        self._s3 = stack.client("s3")
        self._headers: dict[str, Header] = {}
        self._last: Mapping[str, Checkpoint] = {}
        self._replica: dict[str, dict[Item, int]] = {}
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
            while not self._stop.wait(PAUSE_SECONDS):
                self.sample()
            self.sample()
        except Exception as error:  # noqa: BLE001  # a thread's death is a finding
            self.complaints.append(f"the watch ended: {type(error).__name__}: {error}")

    def sample(self) -> None:
        """Look once."""
        now = checkpoints(self._stack, self._home)
        at_ms = time.time_ns() // 1_000_000
        done = {
            "archive": self._stored(segment.KIND, self._stack.archive, "a/"),
            "audit": self._stored(chain.KIND, self._stack.audit, "b/"),
            "replica": self._positions(),
        }
        for key, checkpoint in now.items():
            self._follow(key, checkpoint)
            place, _, topology = key.rpartition("@")
            if topology == "capture":
                self.captures.append(CaptureSample(key, checkpoint.sequence or -1, at_ms))
                continue
            reached = done[topology].get(place.removeprefix(f"{self._stack.stream}:"), 0)
            if checkpoint.delivered > reached:
                self.complaints.append(f"checkpoint {key} says {checkpoint.delivered}, the effect is at {reached}")
        self._last = now
        self._look_at_replica()
        self.samples += 1

    def _follow(self, key: str, checkpoint: Checkpoint) -> None:
        before = self._last.get(key)
        if before is None:
            return
        old, new = (before.position, before.sequence or -1), (checkpoint.position, checkpoint.sequence or -1)
        self.moves += new > old
        if new[0] < old[0] or new[1] < old[1]:
            self.complaints.append(f"checkpoint {key} went back from {old} to {new}")

    def _stored(self, kind: Kind, bucket: str, prefix: str) -> dict[str, int]:
        """Return, by shard, up to which position objects lie without a hole."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}{kind.folder}/")
        reached: dict[str, int] = {}
        for name in sorted(entry["Key"] for page in pages for entry in page.get("Contents", [])):
            if name not in self._headers:
                data = self._s3.get_object(Bucket=bucket, Key=name)["Body"].read()
                self._headers[name] = unpack(kind, name.removeprefix(prefix), data)[0]
            header = self._headers[name]
            if header.first == reached.get(header.shard, 0) + 1:
                reached[header.shard] = header.last
        return reached

    def _positions(self) -> dict[str, int]:
        """Return, by shard, the replica's position rows: they move in one transaction with the items."""
        rows = scan(self._away, self._stack.positions)
        return {row["row"]["S"].rpartition("/")[2]: int(row["position"]["N"]) for row in rows}

    def _look_at_replica(self) -> None:
        for table in self._stack.tables:
            found = numbers(items(self._away, table))
            self.complaints += regressions(self._replica.get(table, {}), found)
            self._replica[table] = found


def arrivals(stack: Stack) -> dict[str, list[tuple[int, int]]]:
    """Return, by checkpoint key of a capture, (sequence, when it first arrived in Kinesis) of every change."""
    first: dict[str, dict[int, int]] = {}
    for data, at_ms in _records(stack):
        header, frame = decode_header(data)
        known = first.setdefault(f"{stack.stream}/{header.table}/{header.epoch}:{header.shard}@capture", {})
        for change in decode_frame(header, frame):
            known[change.sequence] = min(at_ms, known.get(change.sequence, at_ms))
    return {key: sorted(known.items()) for key, known in first.items()}


def _records(stack: Stack) -> list[tuple[bytes, int]]:
    client, found = stack.client("kinesis"), []
    for shard in client.list_shards(StreamName=stack.stream)["Shards"]:
        ask: Any = {"StreamName": stack.stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator, behind = client.get_shard_iterator(**ask)["ShardIterator"], True
        while behind:
            page = client.get_records(ShardIterator=iterator)
            found += [
                (record["Data"], round(record["ApproximateArrivalTimestamp"].timestamp() * 1000))
                for record in page["Records"]
            ]
            iterator, behind = page["NextShardIterator"], bool(page["Records"])
    return found


def captures_ahead(samples: list[CaptureSample], arrived: Mapping[str, list[tuple[int, int]]]) -> list[str]:
    """Return, in words, the capture checkpoints that were there before a change they cover was in Kinesis."""
    complaints = []
    for key, sequence, at_ms in samples:
        late = [each for each in arrived.get(key, []) if each[0] <= sequence and each[1] > at_ms]
        if late:
            complaints.append(f"checkpoint {key} says {sequence}, {len(late)} changes up to it came later")
    return complaints
