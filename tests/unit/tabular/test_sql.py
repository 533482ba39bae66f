"""SQL over rows: what is asked is answered; nothing outside is within its reach, and nothing can be changed."""

import json
import resource
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured
from pipeline.tabular.sql import Database, tables_of

DIGITS = "12345678901234567890123456789012345678"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A table of three rows, one of them twice."""
    file = tmp_path / "rows.jsonl"
    rows = [{"c0": str(number), "item": {"x": {"N": DIGITS}, "t": {"S": "\u2028\x85"}}} for number in (1, 2, 1)]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    made = Database(tmp_path)
    columns = {"pk": ("c0", "BIGINT"), "item": ("item", "JSON")}
    made.load("or-ders", file, ("c0", "item"), columns, once=("pk",))
    return made


def test_a_select_is_answered(database: Database) -> None:
    """Rows have their types, JSON is read with all digits, and what goes beyond the limit is said."""
    answer = database.ask("SELECT pk, item->>'$.x.N' AS n FROM \"or-ders\" ORDER BY pk", 10)
    assert answer == (("pk", "n"), [(1, DIGITS), (2, DIGITS)], False)
    assert database.ask('SELECT count(*) FROM "or-ders"', 1).rows == [(2,)]
    assert database.ask("FROM range(10)", 3).more


def test_a_query_without_a_table_is_answered(tmp_path: Path) -> None:
    """Nothing has to be loaded for it."""
    assert Database(tmp_path).ask("SELECT 1 AS a", 1) == (("a",), [(1,)], False)


def test_a_query_can_be_ended_by_another_thread(tmp_path: Path) -> None:
    """One that would take hours raises soon after it is interrupted."""
    database = Database(tmp_path)
    sql = "SELECT count(*) FROM range(100000000000) a, range(1000) b WHERE a.range * b.range % 7 = 3"
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(database.ask, sql, 1)
        while not wait([asking], timeout=0.1).done:
            database.interrupt()
        assert isinstance(asking.exception(), Misconfigured)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say how much memory there is")
def test_one_value_cannot_take_all_memory(tmp_path: Path) -> None:
    """DuckDB's own limit does not count a text that a function makes; the process has one of its own meanwhile."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(Misconfigured, match="needs more than"):
        Database(tmp_path).ask("SELECT length(repeat('x', 2000000000))", 1)
    assert resource.getrlimit(resource.RLIMIT_DATA) == limit


def test_any_value_can_be_put_into_json(database: Database) -> None:
    """Decimals, times, bytes, lists, structures and what is no number come as JSON can hold them."""
    answer = database.ask("SELECT 1.50, 1::HUGEINT, [1], {a: DATE '2026-11-24'}, 'ab'::BLOB, 'nan'::DOUBLE, NULL", 1)
    assert json.loads(json.dumps(answer.rows, allow_nan=False)) == [
        ["1.50", 1, [1], {"a": "2026-11-24"}, "6162", "nan", None]
    ]


OUTSIDE = (
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM read_csv('http://127.0.0.1:9/x')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/out''')",
    "SELECT getenv('HOME')",
)


@pytest.mark.parametrize("sql", OUTSIDE)
def test_a_query_reaches_nothing_outside(database: Database, tmp_path: Path, sql: str) -> None:
    """Files, the network and the environment are shut, whichever way is tried."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nb\n")
    with pytest.raises(Misconfigured, match="the query failed"):
        database.ask(sql.format(file=secret, folder=tmp_path), 10)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "sql", ["", "SELECT 1; SELECT 2", "DROP TABLE orders", "COPY (SELECT 1) TO 'x'", "SET threads = 9", "ATTACH 'x'"]
)
def test_only_one_select_is_taken(sql: str) -> None:
    """Anything else is refused before anything is read."""
    with pytest.raises(Misconfigured, match="not one SELECT"):
        tables_of(sql)


def test_the_tables_of_a_select_are_known() -> None:
    """Also those of inner queries; names that the query makes itself are none."""
    sql = 'WITH own AS (SELECT 1) SELECT * FROM orders, "a-b", own WHERE EXISTS (SELECT 1 FROM changes)'
    assert tables_of(sql) == {"orders", "a-b", "changes"}


def test_an_error_does_not_quote_values(database: Database) -> None:
    """A conversion that fails says so without the value; a wrong name is told."""
    with pytest.raises(Misconfigured, match="Conversion Error") as caught:
        database.ask("SELECT CAST(item->>'$.t.S' || 'secret' AS INT) FROM \"or-ders\"", 1)
    assert "secret" not in str(caught.value)
    with pytest.raises(Misconfigured, match="nowhere"):
        database.ask("SELECT * FROM nowhere", 1)


def test_without_the_extra_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has not installed DuckDB learns how."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(Misconfigured, match="needs DuckDB") as caught:
        tables_of("SELECT 1")
    assert "fanout[query]" in caught.value.hint
