"""Which attributes become columns, and which are only in the whole item."""

from typing import Any

import pytest

from pipeline.tabular.columns import COLUMNS_MAX, Columns, quoted

N, S, B, BOOL = ({kind: value} for kind, value in (("N", "7"), ("S", "x"), ("B", "AQ=="), ("BOOL", True)))

TYPES: dict[str, tuple[list[dict[str, Any]], dict[str, str]]] = {
    "one plain type": ([{"a": S, "b": BOOL, "c": N}], {"a": "VARCHAR", "b": "BOOLEAN", "c": "BIGINT"}),
    "null or missing": ([{"a": N}, {"a": {"NULL": True}}, {}], {"a": "BIGINT"}),
    "a fraction": ([{"a": N}, {"a": {"N": "0.5"}}], {"a": "DOUBLE"}),
    "too large": ([{"a": {"N": "9" * 19}}], {"a": "DOUBLE"}),
    "several types": ([{"a": N}, {"a": S}], {}),
    "no plain value": ([{"a": B, "b": {"L": []}, "c": {"SS": ["x"]}, "d": {"NULL": True}}], {}),
    "only its case differs": ([{"a": S}, {"A": N}], {"a": "VARCHAR"}),
    "the name of the item": ([{"Item": S}], {}),
}


@pytest.mark.parametrize("kind", TYPES)
def test_the_type_of_a_column(kind: str) -> None:
    """It is one that all values of the attribute fit; without such a type there is no column."""
    items, expected = TYPES[kind]
    columns = Columns({"pk": "S"})
    for item in items:
        columns.values({"pk": S, **item})
    assert columns.types() == {"pk": "VARCHAR", **expected}


def test_a_key_always_has_a_column_and_keeps_its_digits() -> None:
    """A number of the key that does not fit BIGINT is text; bytes are base64; no item at all changes nothing."""
    columns = Columns({"pk": "B", "sk": "N"})
    assert columns.types() == {"pk": "VARCHAR", "sk": "BIGINT"}
    assert columns.values({"pk": B, "sk": {"N": "1.5"}, "x": {"BOOL": False}}) == {
        "pk": "AQ==",
        "sk": "1.5",
        "x": "false",
    }
    assert columns.types() == {"pk": "VARCHAR", "sk": "VARCHAR", "x": "BOOLEAN"}


def test_items_with_ever_new_attributes_do_not_make_ever_more_columns() -> None:
    """Beyond a limit an attribute is in the whole item only."""
    columns = Columns({"pk": "S"})
    for number in range(COLUMNS_MAX + 10):
        columns.values({"pk": S, f"a{number}": S})
    assert len(columns.types()) == COLUMNS_MAX


def test_names_are_quoted_and_the_item_gives_way_to_a_key() -> None:
    """A quote in a name ends nothing; a key called item keeps its name."""
    assert quoted('a"; DROP TABLE b; --') == '"a""; DROP TABLE b; --"'
    assert Columns({"item": "S"}).item == "item_"
    assert Columns({"pk": "S"}).item == "item"
