"""What counts as a takeover, and from when to when."""

from tests.nemesis.proxy import Read
from tests.nemesis.takeover import Hit, takeovers

READS = [Read(1.0, "a", "s1"), Read(1.5, "b", "s2"), Read(2.0, "a", "s1"), Read(9.0, "b", "s1"), Read(9.5, "b", "s1")]


def seconds(reads: list[Read], hit: Hit) -> dict[str, float | None]:
    """Return the seconds by shard."""
    return {each.shard: each.seconds for each in takeovers(reads, [hit])}


def test_it_lasts_from_the_hit_until_another_reads_the_shard() -> None:
    """The first read by another counts, and only for shards the victim was reading."""
    assert seconds(READS, Hit(2.5, "a", "KILL", 20.0)) == {"s1": 6.5}
    assert seconds(READS, Hit(2.5, "b", "KILL", 20.0)) == {"s2": None}


def test_a_read_that_was_on_its_way_is_not_the_successors() -> None:
    """What a victim still gets after the hit is no takeover; what it reads once it is back is one."""
    late = [*READS[:3], Read(2.6, "a", "s1"), Read(6.0, "a", "s1")]
    assert seconds(late, Hit(2.5, "a", "KILL", 5.0)) == {"s1": 3.5}


def test_who_has_not_read_lately_is_not_the_reader() -> None:
    """A shard that somebody else read last, or the victim long ago, is not taken over."""
    assert seconds(READS, Hit(9.2, "a", "KILL", 20.0)) == {}
    assert seconds(READS, Hit(8.0, "a", "KILL", 20.0)) == {}
