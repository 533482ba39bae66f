"""What travels through Faust, and by which names."""

from dataclasses import dataclass

from pipeline.delivery.shard import ShardDelivery
from pipeline.model.change import Batch


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message's value: a batch, and the delivery it must be settled with."""

    delivery: ShardDelivery
    topology: str
    batch: Batch


def topic_of(stream: str, topology: str) -> str:
    """Return the name of a topology's virtual topic."""
    return f"{stream}@{topology}"


def partition_of(shard: str) -> int:
    """Return a shard's number: unique and rising for the life of a stream, also over splits and merges."""
    return int(shard.rsplit("-", 1)[1])
