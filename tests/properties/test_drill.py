"""A drill: the plain derivation agrees with every restore, disagrees with a wrong one, and a seed repeats it."""

import asyncio
import random

import pytest

from pipeline.history.base import origin
from pipeline.history.drill import differing, sampled, second_of
from pipeline.history.keys import Scope
from pipeline.history.prune import keeping, prune
from pipeline.testing.fakes import FakeObjectStore, SeededChance
from tests.compacted import compacted, some_snapshots, traces_from
from tests.recorded import Recorded


@pytest.mark.parametrize("seed", range(16))
def test_restores_agree_with_the_segments_alone(seed: int) -> None:
    """At any second, with any snapshots, also after pruning: no difference, whole or sample."""

    async def story() -> None:
        chance, history = random.Random(seed), Recorded(seed)
        objects = await history.archive()
        half = len(history.seconds) // 2
        await compacted(objects, history.seconds[half] + 1000)
        await some_snapshots(objects, history.seconds, chance)
        if seed % 2:
            base = await keeping(objects, FakeObjectStore(), history.seconds[half] + 1000)
            await prune(objects, base, lambda _: None)
        began = await origin(objects, FakeObjectStore())
        at_ms = chance.choice(history.seconds[half:]) + 1000
        lines: list[bytes] = []
        traces, _ = await traces_from(objects, Scope("orders"), (at_ms,))
        found = await sampled(traces, chance.choice((None, 5)), "s", lines.append)
        assert await differing(objects, "orders", at_ms, found, began) == []
        expected = {k: v for k, v in history.states[at_ms - 1000].items() if k not in history.untouched}
        assert sorted(lines) == sorted(expected.values())

    asyncio.run(story())


def test_a_wrong_item_is_found() -> None:
    """An item that a restore gave otherwise is named."""

    async def story() -> None:
        history = Recorded(4)
        objects = await history.archive()
        at_ms = history.seconds[-1] + 1000
        traces, _ = await traces_from(objects, Scope("orders"), (at_ms,))
        found = await sampled(traces, None, "s", lambda _: None)
        victim = next(keys for keys, each in found.items() if each.image)
        found[victim] = found[victim]._replace(image=None)
        assert await differing(objects, "orders", at_ms, found, None) == [victim]

    asyncio.run(story())


def test_a_seed_repeats_the_sample_and_others_take_others() -> None:
    """The same seed takes the same items of the same archive, another one others; the second lies inside."""

    async def story() -> None:
        history = Recorded(4)
        objects = await history.archive()
        traces, _ = await traces_from(objects, Scope("orders"), (history.seconds[-1] + 1000,))
        one, again, other = [await sampled(traces, 10, seed, lambda _: None) for seed in ("a", "a", "b")]
        assert one.keys() == again.keys() != other.keys()
        assert len(one) == len(other) == 10

    asyncio.run(story())
    assert {second_of(5_400, 8_000, SeededChance(seed)) for seed in range(50)} == {6_000, 7_000, 8_000}
