"""What counts as refused and not written, and so must be parked before a checkpoint passes it."""

import pytest

from pipeline.model.change import Batch, Change, ChangeKind
from pipeline.model.errors import Rejected
from tests.simulation.poison import Poison

CHANGE = Change("t0", "", "source", 7, ChangeKind.INSERT, b'{"pk":{"S":"k0"}}', None, b'{"pk":{"S":"k0"}}', 0)
BATCH = Batch("changes", "shard", 1, 1, (CHANGE,), (1,))


def spoilt() -> Poison:
    """Return a destination that refuses changes of k0 by name."""
    poison = next(each for each in map(Poison, range(100)) if each.name and each._names_reasons)
    poison._active = True
    return poison


def test_a_refused_change_counts_until_it_is_written() -> None:
    """What was refused must be parked, or written later."""
    poison = spoilt()
    with pytest.raises(Rejected):
        poison.refuse(poison.name, BATCH)
    assert len(poison.refused) == 1
    poison.note_written(poison.name, BATCH)
    assert not poison.refused


def test_what_is_written_is_not_lost_when_an_old_owner_is_refused_it() -> None:
    """An heir wrote the batch and saved; the old owner offers it once more and is refused (seed 1003208 of babf6c7)."""
    poison = spoilt()
    poison.note_written(poison.name, BATCH)
    with pytest.raises(Rejected):
        poison.refuse(poison.name, BATCH)
    assert not poison.refused
