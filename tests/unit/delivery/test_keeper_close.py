"""Closing a sink has an end."""

import asyncio

import pytest

from pipeline.delivery.keeper import GRACE_SECONDS
from tests.unit.delivery.test_keeper import DEADLINE_SECONDS, Stage, deaf, nothing, play, shard


@pytest.mark.fault("X2")
def test_closing_waits_once_for_all_shards() -> None:
    """X2: all calls are cancelled at once; those that do not end then have one grace together, not one each."""

    async def story() -> None:
        stage = Stage(deaf)
        calls = [asyncio.ensure_future(stage.keeper.write(shard(f"s{n}"))) for n in range(5)]
        await stage.clock.advance(1)
        task = asyncio.ensure_future(stage.keeper.close())
        await stage.clock.advance(GRACE_SECONDS + 1)
        assert task.done()
        assert stage.made[0].closed
        for call in calls:
            call.cancel()

    play(story)


@pytest.mark.fault("X2")
def test_a_close_that_hangs_ends_too() -> None:
    """X2: closing waits for its deadline and no longer."""

    async def story() -> None:
        stage = Stage(nothing)
        await stage.write(shard("s"), 1)
        stage.made[0].close = asyncio.Event().wait  # type: ignore[method-assign,assignment]  # a plugin whose close never ends
        task = asyncio.ensure_future(stage.keeper.close())
        await stage.clock.advance(DEADLINE_SECONDS + 1)
        assert task.done()

    play(story)
