"""The scorecard sums what the ledgers have."""

from tests.scorecard import numbers, rows, seeds, total

LEDGER = """# Ledger

| seeds | kills | changes |
|---|---|---|
| 0-999 | 1,000 | 20 / 3 |
| 5-6, 8-8 | 7 | 1 / 0 |

| seeds of another kind | kills |
|---|---|
| 1-2 | 9 |
"""


def test_a_column_is_summed_over_one_table() -> None:
    """The rows of the named table count, each number at its place, and no other table's."""
    found = rows(LEDGER, "seeds")
    assert len(found) == 2
    assert total(found, "kills") == 1_007
    assert total(found, "changes", 1) == 3


def test_ranges_of_seeds_are_counted() -> None:
    """Both ends of every range count."""
    assert seeds("0-999") == 1_000
    assert seeds("5-6, 8-8") == 3


def test_a_number_is_read_as_it_is_written() -> None:
    """Commas part thousands, a bold number is a number, words are not."""
    assert numbers("**2**: 1,234.5 of them") == [2.0, 1234.5]
