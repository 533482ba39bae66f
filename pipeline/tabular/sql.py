"""SQL over rows on this machine, by DuckDB: one SELECT, nothing of the file system or a network within its reach."""

import re
import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.model.errors import Misconfigured
from pipeline.tabular.columns import listed, quoted

MEMORY = "512MB"
"""What a query may take of memory; beyond it, it goes on in the temporary folder, or ends."""
BEYOND_BYTES = 1536 << 20
"""What the process may take beyond what it has when a query begins: DuckDB's own limit does not count every value."""
THREADS = 2
FETCH_ROWS = 1_000
_ONLY = "write one SELECT; the tables are those of the archive, and `changes`"
_QUOTED_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")


class Answer(NamedTuple):
    """What a query returned."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool
    """True when there are rows beyond those that were asked for."""


def duckdb() -> Any:
    """Return the module. Raises Misconfigured when the extra is not installed."""
    try:
        import duckdb  # noqa: PLC0415  # an extra: most installations do without
    except ImportError as error:
        raise Misconfigured("fanout query needs DuckDB", hint="pip install 'fanout[query]'") from error
    return duckdb


def tables_of(sql: str) -> frozenset[str]:
    """Return the names of the tables a SELECT reads. Raises Misconfigured for anything else."""
    module = duckdb()
    with module.connect(":memory:") as connection, _told(module):
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != module.StatementType.SELECT:
            raise Misconfigured("that is not one SELECT", hint=_ONLY)
        return frozenset(connection.get_table_names(sql))


class Database:
    """A database of its own in a folder, filled from files of JSON lines, then read by a query."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._module = duckdb()
        self._asked: Any = None
        with self._connected():
            pass  # now there is a file, also for a query that reads no table

    def load(
        self,
        table: str,
        file: Path,
        raw: Sequence[str],
        columns: Mapping[str, tuple[str, str]],
        *,
        once: Sequence[str] = (),
    ) -> None:
        """Make a table of lines with the text fields `raw`: each column has one of them, as a SQL type.

        Of lines that agree in the columns `once` the table has one.
        """
        fields = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in raw)
        wanted = ", ".join(f"CAST({quoted(of)} AS {kind}) AS {quoted(name)}" for name, (of, kind) in columns.items())
        source = f"read_json($file, format='newline_delimited', maximum_object_size=16777216, columns={{{fields}}})"
        distinct = f"DISTINCT ON ({listed(once)}) " if once else ""
        made = f"CREATE TABLE {quoted(table)} AS SELECT {distinct}{wanted} FROM {source}"  # noqa: S608  # names are quoted
        with self._connected() as connection:
            connection.execute(made, {"file": str(file)})

    def ask(self, sql: str, rows_max: int) -> Answer:
        """Return the answer to a SELECT. Raises Misconfigured, with DuckDB's own words, when there is none.

        It may take long: call it in a thread of its own, and `interrupt` from another.
        """
        with self._connected(shut=True) as connection, _told(self._module), _bounded():
            self._asked = connection
            found = connection.execute(sql)
            names = tuple(column[0] for column in found.description)
            rows: list[tuple[Any, ...]] = []
            while len(rows) <= rows_max and (some := found.fetchmany(FETCH_ROWS)):
                rows += some
            return Answer(names, [tuple(map(plain, row)) for row in rows[:rows_max]], len(rows) > rows_max)

    def interrupt(self) -> None:
        """End the query that is under way: `ask` raises then."""
        if self._asked is not None:
            self._asked.interrupt()

    @contextmanager
    def _connected(self, *, shut: bool = False) -> Iterator[Any]:
        """Open the database. `shut` is for the query: it can only read, nothing outside, and can change no setting."""
        config = {
            "memory_limit": MEMORY,
            "threads": THREADS,
            "temp_directory": str(self._folder / "spilled"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        path = self._folder / "query.duckdb"
        with self._module.connect(str(path), read_only=shut, config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            if shut:
                connection.execute("SET enable_external_access = false; SET lock_configuration = true")
            yield connection


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; numbers beyond that, times and bytes as text."""
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return value.hex()
    return str(int(value)) if isinstance(value, Decimal) and value == value.to_integral_value() else str(value)


@contextmanager
def _told(module: Any) -> Iterator[None]:
    """Turn DuckDB's errors into ours; what it quotes of values is left out."""
    try:
        yield
    except (module.OutOfMemoryException, MemoryError) as error:
        raise Misconfigured(f"the query needs more than {MEMORY}", hint="select less, or aggregate") from error
    except module.Error as error:
        first = _QUOTED_TEXT.sub("'…'", str(error).splitlines()[0]) if _quotes_values(error, module) else str(error)
        raise Misconfigured(f"the query failed: {first.splitlines()[0]}", hint=_ONLY) from error


@contextmanager
def _bounded() -> Iterator[None]:
    """Let the process take so much more memory and no more, where the system can say how much it has (Linux)."""
    status = Path("/proc/self/status")
    found = re.search(r"VmData:\s+(\d+) kB", status.read_text()) if status.exists() else None
    if found is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = int(found[1]) * 1024 + BEYOND_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if soft == resource.RLIM_INFINITY else min(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _quotes_values(error: Exception, module: Any) -> bool:
    return isinstance(error, (module.ConversionException, module.InvalidInputException, module.OutOfRangeException))
