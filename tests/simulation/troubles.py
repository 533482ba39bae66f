"""What a simulated world can make go wrong: each kind by name, counted when it happens."""

from enum import StrEnum


class Trouble(StrEnum):
    """A kind of trouble, and what happens."""

    KILLED = "a host dies between two steps"
    STOPPED = "a host gets SIGTERM, and SIGKILL 15 seconds later"
    PAUSED = "a host stands still for up to a minute"
    STOOD_STILL = "a host stands still for longer than a lease between taking a batch and writing it"
    SKEWED = "a host whose wall clock is ten minutes wrong starts"
    REQUEST_LOST = "a request never arrives"
    ANSWER_LOST = "a call takes effect and its answer never arrives"
    REQUEST_LATE = "a call takes effect up to 25 seconds after the caller gave up"
    ANSWER_LATE = "an answer arrives seconds after it was true"
    THROTTLED = "a call is throttled"
    DENIED = "a call is denied as by a missing permission"
    ROLLED = "a shard of a table's stream is closed and followed by one other"
    DIVIDED = "a shard of a table's stream is closed and followed by two others"
    SPLIT = "a shard of the Kinesis stream is split"
    MERGED = "two shards of the Kinesis stream are merged"
    TRIMMED = "everything that was delivered is forgotten by the streams"
    UNLISTED = "a listing of a table's shards lacks one"
    PUT_REFUSED = "a record of a put is refused while others are stored"
    ITERATOR_EXPIRED = "an iterator of a table's stream or of Kinesis is too old"
    UNPROCESSED = "a batch write leaves items unprocessed"
    ROTTEN = "a claimed object is read with a wrong bit"
    CLAIMED = "a change is too large for a record and goes to the claim bucket"
    SLOW = "a destination takes up to 20 seconds for a write"
    REFUSED = "a destination refuses changes of some keys for good"
    TAKEN = "a lease that is held is taken from its owner"
    TWICE = "two workers write the same version of a lease at once, and one is refused"
