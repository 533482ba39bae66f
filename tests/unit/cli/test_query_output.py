"""What `fanout query` prints."""

from pipeline.cli.query import _csv
from pipeline.tabular.sql import Answer


def test_csv_starts_no_formula_in_a_spreadsheet() -> None:
    """Text, and names of columns, that begin like a formula have an apostrophe before them; numbers are left alone."""
    rows = [("=1+1", -1.5, None), ("+x", "a,b\n", [1]), ("@y", "-2", True), ("\tz", {"a": "=1"}, "'")]
    assert _csv(Answer(("=a", "b", "c"), list(rows), more=False)) == (
        '\'=a,b,c\n\'=1+1,-1.5,\n\'+x,"a,b\n",[1]\n\'@y,\'-2,True\n\'\tz,"{""a"":""=1""}",\'\n'
    )
