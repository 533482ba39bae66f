"""The checker finds every fault that is planted, and none where there is none."""

from tests.blackbox.history import (
    Ascent,
    Entry,
    Item,
    Sight,
    Write,
    differences,
    final,
    judge,
    lags,
    quantiles,
    regressions,
)

A, B = Item("t", "a"), Item("t", "b")
JOURNAL = [Write(A, 1, False), Write(B, 1, False), Write(A, 2, False), Write(B, 2, True), Write(A, 3, False)]


def sight(write: Write, sequence: int) -> Sight:
    """Return a write as it arrives."""
    return Sight(*write, ("t", "epoch", "shard", sequence))


SIGHTS = [sight(write, sequence) for sequence, write in enumerate(JOURNAL, 100)]


def test_a_faithful_history_is_sound() -> None:
    """Everything once and in order gives no complaint."""
    verdict = judge(JOURNAL, SIGHTS)
    assert verdict.sound
    assert verdict.repeats == 0


def test_other_items_may_come_in_any_order() -> None:
    """Order counts within an item only."""
    assert judge(JOURNAL, [SIGHTS[1], SIGHTS[3], SIGHTS[0], SIGHTS[2], SIGHTS[4]]).sound


def test_a_lost_change_is_found() -> None:
    """A write that nobody saw is named, also when it is the last."""
    assert judge(JOURNAL, SIGHTS[:2] + SIGHTS[3:]).lost == [(A, 2)]
    assert judge(JOURNAL, SIGHTS[:-1]).lost == [(A, 3)]


def test_a_phantom_is_found() -> None:
    """A change that nobody wrote is named."""
    assert judge(JOURNAL, [*SIGHTS, sight(Write(A, 4, False), 999)]).phantom == [(A, 4)]


def test_a_delete_that_arrives_as_a_put_is_found() -> None:
    """The kind of a change counts."""
    verdict = judge(JOURNAL, [*SIGHTS[:3], sight(Write(B, 2, False), 103), SIGHTS[4]])
    assert (verdict.lost, verdict.phantom) == ([(B, 2)], [(B, 2)])


def test_a_reordered_change_is_found() -> None:
    """A change of an item behind a later one of it is named."""
    assert judge(JOURNAL, [SIGHTS[2], SIGHTS[0], SIGHTS[1], SIGHTS[3], SIGHTS[4]]).reordered == [(A, 1)]


def test_a_repeat_is_removed_by_its_identity_alone() -> None:
    """The same change again is counted and forgiven, wherever it comes; another change with its number is not."""
    verdict = judge(JOURNAL, [*SIGHTS, SIGHTS[0]])
    assert (verdict.sound, verdict.repeats) == (True, 1)
    assert judge(JOURNAL, [*SIGHTS, sight(JOURNAL[4], 999)]).duplicated == [(A, 3)]


def test_a_table_is_judged_item_by_item() -> None:
    """An item that is lost, a phantom, regressed or ahead is named as such."""
    wanted = final(JOURNAL)
    assert wanted == {A: 3}
    assert differences(wanted, {A: 3}) == []
    assert differences(wanted, {}) == [f"{A} is lost, it should have 3"]
    assert differences(wanted, {A: 3, B: 1}) == [f"{B} is a phantom with 1"]
    assert differences(wanted, {A: 2}) == [f"{A} regressed to 2 from 3"]
    assert differences(wanted, {A: 4}) == [f"{A} ran ahead to 4 from 3"]


def test_going_back_between_two_looks_is_found() -> None:
    """A number that falls is named; an item that went or came is not."""
    assert regressions({A: 2, B: 1}, {A: 3}) == []
    assert regressions({A: 2}, {A: 1}) == [f"{A} regressed from 2 to 1"]


def test_a_divergent_change_is_found() -> None:
    """A change that came with another write's content is named."""
    good, bad = SIGHTS[0]._replace(text="1.1.1."), SIGHTS[2]._replace(text="1.1.1.")
    assert judge(JOURNAL, [good, *SIGHTS[1:]]).sound
    assert judge(JOURNAL, [good, SIGHTS[1], bad, *SIGHTS[3:]]).divergent == [(A, 2)]


def test_a_write_without_an_answer_may_be_there_or_not() -> None:
    """An unsure write is neither lost nor a phantom; twice, or too late, it is wrong all the same."""
    unsure = [Write(B, 3, False)]
    seen = sight(unsure[0], 200)
    assert judge(JOURNAL, SIGHTS, unsure).sound
    assert judge(JOURNAL, [*SIGHTS, seen], unsure).sound
    assert judge(JOURNAL, [*SIGHTS, seen, sight(unsure[0], 201)], unsure).duplicated == [(B, 3)]
    assert judge(JOURNAL, [seen, *SIGHTS], unsure).reordered == [(B, 1), (B, 2)]


def test_a_table_that_goes_back_is_found() -> None:
    """A number that falls is named, also when the item was away in between; one that rises or returns higher is not."""
    ascent = Ascent()
    for at, found in enumerate([{A: 1, B: 1}, {A: 2}, {A: 2, B: 3}, {B: 3}, {A: 4, B: 3}]):
        ascent.look(at, found)
    assert ascent.complaints == []
    ascent.look(5, {A: 3, B: 3})
    ascent.look(6, {A: 4})
    ascent.look(7, {A: 4, B: 3})
    assert ascent.complaints == [f"{A} went back to 3 from 4", f"{B} went back to 3 from 4"]


def test_lag_is_the_time_until_a_look_finds_the_item_so_far() -> None:
    """Later looks do not count, looks before the acknowledgement are no lag, and what never came has none."""
    journal = [Entry(write, 0.0, at) for write, at in zip(JOURNAL, (1.0, 1.0, 2.0, 9.0, None), strict=True)]
    reached = {A: [(3.0, 1), (4.0, 2), (5.0, 3)], B: [(0.5, 1)]}
    assert sorted(lags(journal, reached)) == [0.0, 2.0, 2.0]


def test_quantiles_are_values_that_occurred() -> None:
    """By nearest rank, from least to greatest; of nothing there are none."""
    assert quantiles(range(1, 101)) == (1, 50, 95, 99, 100)
    assert quantiles([7.0]) == (7.0,) * 5
    assert quantiles([]) == ()
