"""The place behind an accepted gap cannot be stored for a while."""

import pytest

from pipeline.model.errors import RetryLater
from pipeline.model.gap import GapState
from pipeline.ports import StateRow
from tests.system.loss import Story, tell
from tests.system.test_stream_gaps import lag

SHARD = "shardId-000000000000"


@pytest.mark.fault("K7", "E4")
def test_nothing_is_written_behind_a_gap_before_its_place_is_stored() -> None:
    """While the checkpoints cannot be saved no sink is called; then all goes on, with one mark, under one new name."""

    async def story(told: Story) -> None:
        await lag(told)
        store, ledger, away = told.world.store, told.world.ledger("ledger"), True
        write, calls = store.write, ledger.calls

        async def refuse(row: StateRow, expected: int | None) -> bool:
            if away and row.key.endswith(("@audit", "@ledger")):
                raise RetryLater("no answer")
            return await write(row, expected)

        vars(store)["write"] = refuse
        for gap in await told.gaps.all():
            await told.gaps.decide(gap.id, GapState.ACCEPTED, "ann")
        for _ in range(20):
            await told.world.run(10)
            assert ledger.calls == calls
        away = False
        await told.world.run(40)
        assert told.numbers() == [1, 3]
        assert sorted(ledger.by_place) == [(SHARD, 1), (f"{SHARD}.001", 1), (f"{SHARD}.001", 2)]
        assert len((await told.report()).gaps) == 1

    tell(story)
