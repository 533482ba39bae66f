"""Quarantine by key: what is refused waits with its key's later changes, the rest flows, and it can be redriven."""

import asyncio
from functools import partial

import pytest

from pipeline.delivery.asking import Asking
from pipeline.model.errors import Corrupt, Misconfigured, PipelineError, Rejected
from pipeline.model.progress import Checkpoint
from pipeline.plugin import Batch
from pipeline.wire.checkpoint import from_fields
from pipeline.wiring.core import checkpoint_key
from tests.system.test_isolation import fill
from tests.system.world import Host, World

SHARD = "shardId-000000000000"


class Poison:
    """A destination that refuses some keys until it is mended."""

    def __init__(self, *keys: str) -> None:
        self.keys = {f'{{"pk":{{"S":"{key}"}}}}'.encode() for key in keys}
        self.offered: list[tuple[int, int]] = []

    def __call__(self, batch: Batch) -> None:
        """Refuse what is of these keys."""
        self.offered.append((batch.first, batch.last))
        refused = {position: "too bitter" for position, change in batch if change.keys in self.keys}
        if refused:
            raise Rejected(refused)


def saved(world: World, name: str = "a", shard: str = SHARD) -> Checkpoint:
    """Return a stored checkpoint."""
    row = world.store.rows[checkpoint_key("changes", shard, name)]
    return from_fields(row.fields, name)


async def ask(world: World, name: str = "a") -> Asking:
    """Ask for all parked keys to be put through."""
    asking = Asking(world.log, world.store, [name], partial(checkpoint_key, "changes"), "somebody@host")
    asking.left = {each.parking for each in await asking.waiting()}
    assert asking.left
    await asking.step()
    return asking


def in_order(world: World, name: str = "a") -> bool:
    """Return True when the destination has every change of every key once, in order."""
    return world.ledger(name).by_key == world.expected()


@pytest.mark.fault("R5", "T4")
def test_a_refused_change_parks_its_key_and_the_rest_flows() -> None:
    """A change refused for good waits with the later changes of its key; all other keys arrive, checkpoints move on."""

    async def story() -> None:
        world, poison = World(), Poison("k3")
        world.with_quarantine()
        world.capture()
        world.worker({"a": world.sink("a", poison), "b": world.sink("b")})
        await fill(world, 5)
        await world.run(5)
        expected = world.expected()
        bad = next(iter(poison.keys))
        assert world.ledger("b").by_key == expected
        assert {k: v for k, v in expected.items() if k[1] != bad} == world.ledger("a").by_key
        checkpoint = saved(world)
        assert checkpoint.position == 100
        ((digest, key),) = checkpoint.parked.items()
        assert (key.count, key.last[1]) == (5, expected["t0", bad][-1])
        assert sorted(world.parked.objects) == [
            f"a/changes/0123/{digest}/2026-01-01T000000.000-{sequence:040d}.parked" for sequence in expected["t0", bad]
        ]
        await world.end()

    asyncio.run(story())


def test_what_is_parked_is_put_through_in_order_once_the_destination_is_mended() -> None:
    """A request puts all parked changes of a key to the sink, in order, before any later one; then the key flows."""

    async def story() -> None:
        world, poison = World(), Poison("k3", "k7")
        world.with_quarantine()
        world.capture()
        world.worker({"a": world.sink("a", poison)})
        await fill(world, 5)
        await world.run(3)
        poison.keys.clear()
        await fill(world, 2)
        await world.run(3)
        assert {key.count for key in saved(world).parked.values()} == {7}
        await ask(world)
        await fill(world, 5)
        await world.run(10)
        assert in_order(world)
        assert not saved(world).parked
        assert not world.parked.objects
        await fill(world, 1)
        await world.run(3)
        assert in_order(world)
        await world.end()

    asyncio.run(story())


def test_what_is_refused_again_stays_parked_and_the_answer_says_so() -> None:
    """A request for a key that is refused still is answered with the reason; the key stays, and the rest flows."""

    async def story() -> None:
        world, poison = World(), Poison("k3")
        world.with_quarantine()
        world.capture()
        world.worker({"a": world.sink("a", poison)})
        await fill(world, 2)
        await world.run(3)
        asking = await ask(world)
        await fill(world, 2)
        await world.run(8)
        assert len(saved(world).parked) == 1
        await asking.step()
        ((_, why),) = asking.refused.items()
        assert not asking.left
        assert "too bitter" in why
        poison.keys.clear()
        asking = await ask(world)
        await world.run(8)
        await asking.step()
        assert (asking.left, asking.refused) == (set(), {})
        assert in_order(world)
        await world.end()

    asyncio.run(story())


@pytest.mark.parametrize("error", [Corrupt, Misconfigured])
def test_what_cannot_be_put_through_holds_up_nothing(error: type[PipelineError]) -> None:
    """Whatever else a sink says of a parked key's changes is an answer: the key stays parked, and the rest flows."""

    async def story() -> None:
        world, poison = World(), Poison("k3")

        def trouble(batch: Batch) -> None:
            poison(batch)
            if batch.asked_by and not mended:
                raise error("not what was written", hint="look at it")

        mended = False
        world.with_quarantine()
        world.capture()
        world.worker({"a": world.sink("a", trouble)})
        await fill(world, 2)
        await world.run(3)
        poison.keys.clear()
        asking = await ask(world)
        await fill(world, 2)
        await world.run(8)
        assert saved(world).position == 80
        await asking.step()
        assert set(asking.refused.values()) == {"not what was written (look at it)"}
        mended = True
        await ask(world)
        await world.run(8)
        assert in_order(world)
        await world.end()

    asyncio.run(story())


def test_a_key_stays_parked_over_restarts_and_splits() -> None:
    """The next owner, and the one child shard that goes on with the key, park its changes too."""

    async def story() -> None:
        world, poison = World(), Poison("k3")
        world.with_quarantine()
        world.capture()
        worker: Host = world.worker({"a": world.sink("a", poison)})
        await fill(world, 2)
        await world.run(3)
        await world.kill(worker)
        poison.keys.clear()
        world.worker({"a": world.sink("a", poison)})
        await fill(world, 2)
        await world.run(8)
        children = world.log.split(SHARD)
        await fill(world, 2)
        await world.run(12)
        assert world.ledger("a").by_key != world.expected()
        (heir,) = [shard for shard in children if saved(world, "a", shard).parked]
        assert [key.count for key in saved(world, "a", heir).parked.values()] == [6]
        await ask(world)
        await world.run(8)
        assert in_order(world)
        await world.end()

    asyncio.run(story())


@pytest.mark.fault("X1")
def test_a_change_on_which_a_sink_fails_is_found_and_parked() -> None:
    """A defect that one change brings out is narrowed down by halves; its key is parked, the rest flows."""

    async def story() -> None:
        world, calls = World(), list[int]()

        def fail(batch: Batch) -> None:
            calls.append(len(batch))
            if any(change.keys == b'{"pk":{"S":"k13"}}' for change in batch.changes):
                raise ValueError("what no sink may raise")

        world.with_quarantine()
        world.capture()
        world.worker({"a": world.sink("a", fail)})
        await fill(world, 1)
        await world.run(100)
        ((_, key),) = saved(world).parked.items()
        assert (key.why, key.count) == ("defect", 1)
        assert len(world.ledger("a").by_key) == 19
        assert saved(world).position == 20
        whole = max(calls)
        halves = calls[calls.index(whole) + 3 :]
        assert len(halves) <= 2 * whole.bit_length() + 3, calls
        await world.end()

    asyncio.run(story())
