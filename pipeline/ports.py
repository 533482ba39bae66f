"""The outside world as Protocols: what the core asks of it, and nothing more.

Adapters in `pipeline.aws` answer with boto3, fakes in `pipeline.testing` from memory; both pass the same contract
tests. Adapters raise only the errors of `pipeline.model.errors`; anything else is a defect and stops the shard.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from pipeline.model.change import Change
from pipeline.model.facts import LogFacts, TableFacts
from pipeline.model.shard import Shard

FieldValue = str | int | bytes | frozenset[str]


class Clock(Protocol):
    """Time, passed in so that the whole system can run in virtual time."""

    def monotonic(self) -> float:
        """Return seconds that never go back; the only time that decides anything."""

    def now_ms(self) -> int:
        """Return wall-clock epoch milliseconds, for lag and display only."""

    async def sleep(self, seconds: float) -> None:
        """Wait; the only way the core waits."""


class Chance(Protocol):
    """Randomness, passed in so that a seed repeats a run."""

    def fraction(self) -> float:
        """Return a float in [0, 1)."""


class SourcePage(NamedTuple):
    """One answer of a table stream's GetRecords."""

    changes: tuple[Change, ...]
    """Changes in stream order; may be empty in the middle of a shard."""
    next: str | None
    """Iterator of the next page; None when the shard is closed and this page was its last (it may carry changes)."""


class TableStream(Protocol):
    """One stream of one table (AWS: DynamoDB Streams, API version 2012-08-10)."""

    @property
    def table(self) -> str:
        """Return the table's name."""

    @property
    def epoch(self) -> str:
        """Return the stream's label."""

    @property
    def table_id(self) -> str:
        """Return what tells the table from an earlier one of its name; empty where that is not known."""

    async def later(self) -> "TableStream | None":
        """Return the table's present stream if it is a later one, of both images. Raises RetryLater, Misconfigured."""

    async def shards(self, parent: str | None = None) -> tuple[Shard, ...]:
        """Return all shards, every page read, or only the children of `parent`.

        The listing is eventually consistent: children may be missing for a while, a parent may look open.
        Raises Gap when the stream no longer exists.
        """

    async def iterator(self, shard: str, after: int | None) -> str:
        """Return an iterator that starts after a sequence, or at the oldest record kept when `after` is None.

        Raises Gap when `after` was trimmed or the shard is gone.
        """

    async def read(self, shard: str, iterator: str) -> SourcePage:
        """Read one page. Raises IteratorExpired, RetryLater, Gap (trimmed or gone) or Corrupt (cannot be decoded)."""


class OutRecord(NamedTuple):
    """One record to be put into the Kinesis data stream."""

    data: bytes
    partition_key: str
    explicit_hash_key: int


class LogRecord(NamedTuple):
    """One record as the Kinesis data stream returns it."""

    sequence: int
    data: bytes
    partition_key: str
    arrival_ms: int


class LogPage(NamedTuple):
    """One answer of the Kinesis data stream's GetRecords."""

    records: tuple[LogRecord, ...]
    next: str | None
    """None when the shard is closed and drained; the page may still carry records."""
    behind_ms: int
    """MillisBehindLatest: 0 at the tip."""
    time_ms: int
    """When the service answered, by its own clock, the one its retention goes by."""


class Log(Protocol):
    """The Kinesis data stream."""

    @property
    def name(self) -> str:
        """Return the stream's name."""

    async def shards(self) -> tuple[Shard, ...]:
        """Return all shards still retained, every page read."""

    async def iterator(self, shard: str, after: int | None) -> str:
        """Return an iterator after a sequence, or at TRIM_HORIZON. Raises Gap when the shard is gone.

        That records after the sequence were trimmed is not told: reading then starts at the oldest record left.
        """

    async def holds(self, shard: str, sequence: int) -> bool:
        """Return True while a sequence's record can be read: no later one is trimmed. Raises RetryLater, or Gap."""

    async def read(self, iterator: str) -> LogPage:
        """Read one page (up to 10 MiB). Raises IteratorExpired, RetryLater, or Gap when the stream is gone.

        That records before the page were trimmed meanwhile is not told either.
        """

    async def kept_ms(self) -> int:
        """Return how long a record is kept, as the stream is set now. Raises RetryLater."""

    async def keep(self, kept_ms: int) -> None:
        """Have records kept so long at least, in whole hours, also those that are there. Raises as `put` does."""

    async def put(self, records: Sequence[OutRecord]) -> tuple[str | None, ...]:
        """Put up to 500 records in one call, tried once; return one entry for each: None stored, else its error code.

        PutRecords promises no order between the records of a call. Raises RetryLater when the whole call failed, which
        includes "unknown": some or all records may have been stored all the same.
        """


class StateRow(NamedTuple):
    """One versioned row of the state table: a lease, a checkpoint or a setting fixed at creation."""

    key: str
    version: int
    fields: Mapping[str, FieldValue]


class StateStore(Protocol):
    """Rows changed by compare-and-set on their version: the one primitive leases and checkpoints are made of."""

    async def read(self, keys: Sequence[str]) -> dict[str, StateRow]:
        """Return the rows that exist, read consistently. Raises RetryLater."""

    async def write(self, row: StateRow, expected: int | None) -> bool:
        """Store the row if the stored version is `expected` (None: if there is no row); return False if refused.

        Raises RetryLater when the outcome is unknown: read the row to learn it.
        """


class ItemWrite(NamedTuple):
    """One item to put (`item` is its DynamoDB JSON) or to delete (`item` is None) in one table."""

    table: str
    keys: bytes
    item: bytes | None


class ItemStore(Protocol):
    """Tables of one region, written in DynamoDB JSON bytes that are passed through untouched."""

    async def key_names(self, table: str) -> tuple[str, ...]:
        """Return the names of the key attributes, hash first. Raises Misconfigured when there is no such table."""

    async def position(self, positions_table: str, row: str) -> int:
        """Return the stored position of a row, 0 when there is none; read consistently. Raises RetryLater."""

    async def transact(self, writes: Sequence[ItemWrite], positions_table: str, row: str, old: int, new: int) -> bool:
        """Apply up to 99 writes to distinct items and move the row from `old` to `new`, all or nothing.

        Returns False when the row is not at `old` (nothing was done by this call). Raises RetryLater when it may be
        tried again or the outcome is unknown (the same call with the same arguments may then be repeated); Rejected
        when items can never be written, with their indexes in `writes` in place of positions: none of the others is
        written then either.
        """

    async def put_newer(self, write: ItemWrite, attribute: str, version: str) -> bool:
        """Put `write.item` unless the stored item's `attribute` is not below `version`; False means it was newer.

        Raises RetryLater, or Rejected naming index 0.
        """

    async def write_batch(self, writes: Sequence[ItemWrite]) -> tuple[ItemWrite, ...]:
        """Write up to 25 distinct items without condition; return those left unprocessed, in order.

        Raises RetryLater (some may be written), or Rejected as `transact` does.
        """

    async def get(self, table: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return those of up to 100 items that exist, read consistently, by canonical keys. Raises RetryLater."""

    async def replace(self, write: ItemWrite, seen: bytes | None) -> bool:
        """Put or delete one item if what is stored equals `seen`, by value; None: if nothing is stored.

        Returns False, and leaves the stored item as it is, when it is another one. Raises RetryLater when the outcome
        is unknown, or Rejected naming index 0.
        """

    def scan(self, table: str) -> AsyncIterator[Mapping[str, object]]:
        """Yield every item, consistently read, as a DynamoDB JSON object (numbers are text, binary is base64 text)."""


Rows = Sequence[tuple[bytes, bytes | None]]
"""Canonical keys and image of items; None where somebody was to look and found none."""


class RowPage(NamedTuple):
    """One page of a scan."""

    rows: Rows
    next: bytes | None
    """Where the next page starts; None when this was the segment's last."""
    read_units: float
    """Read capacity consumed."""


class TableReader(Protocol):
    """One table, read as it is now; every read sees all writes that were finished before it began."""

    @property
    def table(self) -> str:
        """Return the table's name."""

    async def page(self, segment: int, segments: int, start: bytes | None, rows_max: int) -> RowPage:
        """Read one page of a segment (up to 1 MB). Raises RetryLater, or Misconfigured when the table is gone."""

    async def about(self) -> int:
        """Return about how many items there are, for progress only (AWS updates the figure every six hours)."""


class ObjectStore(Protocol):
    """One bucket and prefix, or one local folder.

    Names are relative, made of [A-Za-z0-9._=/-] only, and no part of one starts with a dot; others are Misconfigured.
    """

    async def create(self, name: str, data: bytes) -> bool:
        """Store a new object; return False, changing nothing, when the name is taken (also by our own lost answer)."""

    async def replace(self, name: str, data: bytes) -> None:
        """Store an object, over an older one of the name if there is one."""

    async def read(self, name: str) -> bytes | None:
        """Return the object's bytes, None when there is none."""

    def names(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        """Yield names that start with `prefix` and sort after `after`, in ascending order."""

    async def delete(self, name: str) -> None:
        """Remove an object; removing nothing is no error."""


class Signer(Protocol):
    """A private key that signs roots. Its calls raise RetryLater, and Misconfigured when it cannot be used."""

    async def public_key(self) -> bytes:
        """Return the public half of the key that signs now: SubjectPublicKeyInfo, DER."""

    async def sign(self, data: bytes) -> bytes:
        """Return the signature of these bytes by that key."""


class Inspector(Protocol):
    """A look at what the configuration names, before anything is written. Every call only reads.

    A call tries the read actions the pipeline will need there, so that a missing permission shows: it raises
    Misconfigured, whose reason names the action and the resource. All raise RetryLater when there is no answer.
    """

    async def table(self, region: str, name: str) -> TableFacts | None:
        """Return what is known of a table, and open its stream if it has one; None when there is no such table."""

    async def log(self, region: str, name: str) -> LogFacts | None:
        """Return what is known of a Kinesis data stream, and open a shard of it; None when there is no such stream."""

    async def bucket(self, name: str) -> str | None:
        """Return the region of a bucket, and list its first object; None when there is no such bucket."""

    async def has_lock(self, bucket: str) -> bool:
        """Return True when objects of the bucket can be kept from being deleted."""
