"""Balance of leases among workers that live: by count first, by load where that is worth a move, and then it rests."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.balance import BUSY_PER_SECOND, to_take
from pipeline.model.lease import Hold, Lease

ROUNDS_MAX = 60
WORKERS = ("a", "b", "c", "d")


def lease(shard: int, owner: str, load: float) -> Lease:
    """Return a lease."""
    return Lease(f"shard-{shard}", owner, 1, load)


def taken(leases: list[Lease], me: str, *, settled: bool = True) -> tuple[tuple[Lease, ...], Lease | None]:
    """Return what a worker takes while all owners live."""
    shards = [each.shard for each in leases]
    return to_take(leases, me, dict.fromkeys(shards, Hold.OWNED), shards if settled else ())


def rested(leases: list[Lease], workers: tuple[str, ...]) -> list[Lease]:
    """Let the workers take from each other in turn until nobody wants any more; fail where that never is."""
    quiet = 0
    for round_number in range(ROUNDS_MAX * len(workers)):
        me = workers[round_number % len(workers)]
        free, steal = taken(leases, me)
        assert not free
        quiet = 0 if steal else quiet + 1
        leases = [replace(each, owner=me) if each == steal else each for each in leases]
        if quiet > len(workers):
            return leases
    raise AssertionError("leases move for ever")


def load_of(leases: list[Lease], owner: str) -> float:
    """Return what an owner has to do."""
    return sum(each.load for each in leases if each.owner == owner)


@st.composite
def owned(draw: st.DrawFn) -> tuple[list[Lease], tuple[str, ...]]:
    """Draw workers, and leases that they hold in whatever way."""
    workers = WORKERS[: draw(st.integers(1, len(WORKERS)))]
    loads = draw(
        st.lists(st.sampled_from((0.0, 1.0, 10.0, 60.0, 100.0, 130.0, 400.0, 5000.0)), min_size=1, max_size=12)
    )
    return [lease(n, draw(st.sampled_from(workers)), load) for n, load in enumerate(loads)], workers


@settings(max_examples=500)
@given(owned())
def test_balancing_comes_to_rest_with_equal_counts(drawn: tuple[list[Lease], tuple[str, ...]]) -> None:
    """Whoever holds what, moves end, and then nobody has two more than another."""
    leases, workers = drawn
    counts = Counter(dict.fromkeys(workers, 0))
    counts.update(each.owner for each in rested(leases, workers))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_two_hot_shards_of_one_worker_come_to_two() -> None:
    """The idle one takes a hot shard, and gives a cold one back."""
    leases = [
        lease(n, owner, load) for n, (owner, load) in enumerate([("a", 500.0), ("a", 500.0), ("b", 1.0), ("b", 1.0)])
    ]
    found = rested(leases, ("a", "b"))
    assert [load_of(found, each) for each in ("a", "b")] == [501.0, 501.0]


def test_a_third_worker_takes_the_one_that_evens_most() -> None:
    """A worker that comes takes by count, and of the fullest the lease that leaves the least to do to either."""
    leases = [lease(0, "a", 300.0), lease(1, "a", 200.0), lease(2, "a", 0.0), lease(3, "b", 1.0)]
    _, steal = taken(leases, "c", settled=False)
    assert steal == leases[0] or steal == leases[1]
    assert steal is not None
    assert max(load_of(leases, "a") - steal.load, steal.load) == 300.0


def test_nothing_moves_for_its_load_while_that_is_not_worth_it() -> None:
    """Little to do, little to gain, or leases that have just moved: all stay where they are."""
    idle = [lease(n, "a" if n < 2 else "b", load) for n, load in enumerate((BUSY_PER_SECOND / 3,) * 2 + (0.0,) * 2)]
    near = [lease(n, "a" if n < 2 else "b", load) for n, load in enumerate((500.0, 100.0, 300.0, 200.0))]
    hot = [lease(n, "a" if n < 2 else "b", load) for n, load in enumerate((500.0, 500.0, 1.0, 1.0))]
    for leases, settled in ((idle, True), (near, True), (hot, False)):
        assert [taken(leases, me, settled=settled) for me in ("a", "b")] == [((), None)] * 2
