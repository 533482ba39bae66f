"""What a look at the resources of a configuration tells, before anything is written."""

from typing import NamedTuple


class TableFacts(NamedTuple):
    """What a look at a table tells."""

    status: str
    """ACTIVE when it can be used."""
    keys: tuple[tuple[str, str], ...]
    """Key attributes and their types (S, N or B), hash first."""
    stream_view: str
    """View type of its stream, such as NEW_AND_OLD_IMAGES; "" when the stream is off."""
    indexes: tuple[str, ...] = ()
    """Its secondary indexes, each in words: equal words are equal indexes."""


class LogFacts(NamedTuple):
    """What a look at a Kinesis data stream tells."""

    status: str
    """ACTIVE when it can be used."""
    shards: int
    """Open shards."""
    record_bytes_max: int
    """Largest record it takes, partition key included."""
    obeys_hash_keys: bool
    """False when Kinesis distributes records as it likes, which breaks order."""
    kept_hours: int
    """How long a record can be read."""
