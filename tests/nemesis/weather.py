"""What happens around the processes: calls that go wrong, shards that split and merge, servers that go and come."""

import random
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError

from tests.blackbox.stack import Stack
from tests.nemesis.fleet import SERVICES, Fleet
from tests.nemesis.proxy import PASS, Fault, Mode
from tests.nemesis.servers import PERSIST_SECONDS, Servers

FAULTS = (
    Fault(Mode.LATENCY, 0.5, 3.0),
    Fault(Mode.LATENCY, 0.05, 30.0),
    Fault(Mode.RESET, 0.3),
    Fault(Mode.LOST_ANSWER, 0.3),
    Fault(Mode.HALF_OPEN),
    Fault(Mode.DRIP, 0.3),
    Fault(Mode.PARTITION),
    Fault(Mode.UNAVAILABLE, 0.5),
    Fault(Mode.PAGE, 0.3),
    Fault(Mode.BAD_REQUEST, 0.2),
)
FAULT_SECONDS = (1.0, 8.0)
SHARDS_MIN, SHARDS_MAX = 3, 10


class Weather:
    """Faults at the gates: one at a time, of one service, for one process or all."""

    def __init__(self, fleet: Fleet, chance: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self._fleet = fleet
        self._chance = chance
        self._service = ""
        self._until = 0.0

    def turn(self) -> None:
        """End the fault that has lasted long enough, begin another."""
        if not self.passed():
            return
        fault, self._service = self._chance.choice(FAULTS), self._chance.choice(SERVICES)
        names = sorted(self._fleet.members)
        self._fleet.strike(self._service, fault, self._chance.choice([None, [self._chance.choice(names)]]))
        self.done[f"{fault.mode.value} {self._service}"] += 1
        self._until = time.monotonic() + self._chance.uniform(*FAULT_SECONDS)

    def passed(self) -> bool:
        """End the fault that has lasted long enough; return True when there is none."""
        if time.monotonic() >= self._until:
            self.clear()
        return not self._service

    def clear(self) -> None:
        """End the fault of the moment."""
        if self._service:
            self._fleet.strike(self._service, PASS)
            self._service = ""


class Reshards:
    """Splits, merges and changes of the shard count of a Kinesis stream."""

    def __init__(self, client: Any, stream: str, chance: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self._client = client
        self._stream = stream
        self._chance = chance

    def turn(self) -> None:
        """Reshard once, if the stream is at rest."""
        if not self.at_rest():
            return
        count = len(self._open())
        kinds = [self.count] + [self.split] * (count < SHARDS_MAX) + [self.merge] * (count > SHARDS_MIN)
        self._chance.choice(kinds)()

    def at_rest(self) -> bool:
        """Return True when no reshard is under way."""
        summary = self._client.describe_stream_summary(StreamName=self._stream)["StreamDescriptionSummary"]
        return bool(summary["StreamStatus"] == "ACTIVE")

    def split(self) -> None:
        """Split one shard in the middle."""
        shard = self._chance.choice(self._open())
        middle = (_start(shard) + int(shard["HashKeyRange"]["EndingHashKey"])) // 2
        self._client.split_shard(StreamName=self._stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(middle))
        self.done["split"] += 1

    def merge(self) -> None:
        """Merge two neighbours."""
        shards = self._open()
        left = self._chance.randrange(len(shards) - 1)
        self._client.merge_shards(
            StreamName=self._stream,
            ShardToMerge=shards[left]["ShardId"],
            AdjacentShardToMerge=shards[left + 1]["ShardId"],
        )
        self.done["merge"] += 1

    def count(self) -> None:
        """Ask for another number of shards: at most twice, at least half of what there is."""
        now = len(self._open())
        targets = [n for n in range(SHARDS_MIN, SHARDS_MAX + 1) if now / 2 <= n <= 2 * now and n != now]
        target = self._chance.choice(targets)
        self._client.update_shard_count(StreamName=self._stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        self.done["UpdateShardCount"] += 1

    def _open(self) -> list[dict[str, Any]]:
        """Return the open shards in order of their keys."""
        shards = self._client.list_shards(StreamName=self._stream)["Shards"]
        found = [each for each in shards if "EndingSequenceNumber" not in each["SequenceNumberRange"]]
        return sorted(found, key=_start)


def _start(shard: dict[str, Any]) -> int:
    return int(shard["HashKeyRange"]["StartingHashKey"])


class Restarts:
    """Servers that are killed and come back with what they had on disk."""

    def __init__(self, servers: Servers, fleet: Fleet, chance: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self._servers = servers
        self._fleet = fleet
        self._chance = chance

    def turn(self) -> None:
        """Kill one server for a few seconds.

        kinesis-local acknowledges before it writes to disk, unlike Kinesis: it gets no call for that long first.
        """
        service = self._chance.choice(sorted(self._servers.by_service))
        if service == "KINESIS":
            self._fleet.strike(service, Fault(Mode.PARTITION))
            time.sleep(2.0 * PERSIST_SECONDS + 1.0)
        self._servers.restart(service, self._chance.uniform(0.0, 4.0))
        self._fleet.strike(service, PASS)
        self.done[f"restart {service}"] += 1


class Rolls:
    """Counts the shards that the streams of the tables go through; one that was trimmed is counted still."""

    def __init__(self, stack: Stack) -> None:
        self.done: Counter[str] = Counter()
        self._streams = stack.client("dynamodbstreams")
        self._known: set[str] = set()

    def turn(self) -> None:
        """Look which shards there are; a server that does not answer is looked at the next time."""
        with suppress(BotoCoreError):
            for stream in self._streams.list_streams()["Streams"]:
                arn = stream["StreamArn"]
                listed = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
                self._known |= {f"{arn} {shard['ShardId']}" for shard in listed}
        self.done["roll"] = len(self._known) - len({each.split()[0] for each in self._known})
