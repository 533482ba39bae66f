"""Lanes: the unit of order between capture and delivery.

A key always hashes to the same lane, and a lane has one fixed explicit hash key, in the middle of its own slice of the
Kinesis hash space: a lane is never divided by a shard split whose border lies between slices.
"""

import hashlib

HASH_SPACE = 1 << 128
LANES_DEFAULT = 64
LANES_MAX = 4096


def valid_lanes(lanes: int) -> bool:
    """Return True for a power of two from 1 to LANES_MAX."""
    return 1 <= lanes <= LANES_MAX and lanes & (lanes - 1) == 0


def lane_of(table: str, hash_key: bytes, lanes: int) -> int:
    """Return the lane, 0..lanes-1, of an item from its canonical hash-key attribute.

    Only the hash attribute counts, so that an item collection stays in one lane, in order.
    """
    digest = hashlib.blake2b(table.encode() + b"\0" + hash_key, digest_size=8).digest()
    return int.from_bytes(digest, "big") * lanes >> 64


def explicit_hash_key(lane: int, lanes: int) -> int:
    """Return the Kinesis explicit hash key of a lane: the middle of its slice."""
    assert 0 <= lane < lanes
    return (2 * lane + 1) * (HASH_SPACE // (2 * lanes))
