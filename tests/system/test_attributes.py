"""A topology with an attribute policy: its sink and its quarantine never see what they are not to have."""

import asyncio

import orjson

from pipeline.model.state import Flow
from pipeline.wire.attributes import HASHED, KEY_BYTES, AttributeGuard, AttributeKey, AttributePolicy
from tests.system.test_quarantine import Poison, ask, in_order, saved
from tests.system.world import World

SECRET = b"4111-1111"
GUARD = AttributeGuard(AttributePolicy(hash=("card",), key_file="key"), (AttributeKey(bytes(KEY_BYTES)),))


def write(world: World, number: int) -> None:
    """Put ten items with a secret attribute."""
    for key in range(10):
        card = f"{SECRET.decode()}-{key}-{number}"
        world.tables[0].put({"pk": {"S": f"k{key}"}, "card": {"S": card}, "n": {"N": str(number)}})


def test_neither_sink_nor_quarantine_sees_it_and_a_redrive_changes_nothing_twice() -> None:
    """What waits in quarantine is hashed already, what comes out of it is the same hash; the other topology has all."""

    async def story() -> None:
        world, poison = World(), Poison("k3")
        world.with_quarantine()
        world.guards["a"] = GUARD
        world.capture()
        world.worker({"a": world.sink("a", poison), "b": world.sink("b")})
        for number in range(3):
            write(world, number)
        await world.run(5)
        assert len(world.parked.objects) == 3
        assert not [each for each in world.parked.objects.values() if SECRET in bytes(each)]
        poison.keys.clear()
        await ask(world)
        await world.run(10)
        assert not saved(world).parked
        assert in_order(world)
        given = {(c.keys, c.sequence): c.after or b"" for c in world.ledger("a").by_place.values()}
        whole = {(c.keys, c.sequence): c.after or b"" for c in world.ledger("b").by_place.values()}
        assert given == {place: GUARD.image(image) for place, image in whole.items()}
        assert all(orjson.loads(image)["card"]["S"].startswith(HASHED) for image in given.values())
        assert not [image for image in given.values() if SECRET in image]
        await world.end()

    asyncio.run(story())


def test_a_policy_with_a_key_attribute_halts_its_topology_alone() -> None:
    """The topology stands before its first change and says which attribute it is; the other one flows."""

    async def story() -> None:
        world = World()
        world.guards["a"] = AttributeGuard(AttributePolicy(drop=("pk",)))
        world.capture()
        host = world.worker({"a": world.sink("a"), "b": world.sink("b")})
        write(world, 0)
        await world.run(5)
        delivery = host.only
        report = delivery.followers["a"].cursor.report
        assert report.flow is Flow.HALTED
        assert "attribute pk is of the key of table t0" in report.reason
        assert not world.ledger("a").by_place
        assert in_order(world, "b")
        await world.end()

    asyncio.run(story())
