"""The faults by id, and everything in the repository that injects each of them."""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.faults.stands_for import CONTRACT, WORLDS

ROOT = Path(__file__).parents[2]
CONTRACT_PLACE = "pipeline/testing/contract.py"
WORLDS_PLACE = "tests/simulation/test_seeds.py"


class Fault(NamedTuple):
    """One fault of the catalogue."""

    id: str
    group: str
    what: str
    expect: str
    part: str = ""
    """What of it no test injects."""
    none: str = ""
    """Why no test injects any of it."""


class Shown(NamedTuple):
    """A test, a case of the contract, or a trouble of the simulated worlds that injects a fault."""

    place: str
    """File, relative to the repository."""
    name: str

    def __str__(self) -> str:
        """Return file and name as pytest writes them."""
        return f"{self.place}::{self.name}"


@cache
def faults() -> tuple[Fault, ...]:
    """Return the catalogue in its order."""
    found = tomllib.loads((Path(__file__).parent / "catalogue.toml").read_text())
    return tuple(Fault(group=group["name"], **fault) for group in found["group"] for fault in group["fault"])


@cache
def shown() -> Mapping[str, tuple[Shown, ...]]:
    """Return, by fault id, what injects it; ids nobody has catalogued included."""
    out: dict[str, list[Shown]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, ids in marked(path.read_text()):
            _add(out, ids, Shown(path.relative_to(ROOT).as_posix(), name))
    for case, ids in CONTRACT.items():
        _add(out, ids, Shown(CONTRACT_PLACE, case))
    for trouble, ids in WORLDS.items():
        _add(out, ids, Shown(WORLDS_PLACE, f"{trouble}"))
    return {id_: tuple(found) for id_, found in out.items()}


def marked(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the tests of a module that carry the marker `fault`, or whose class does, with the ids it names."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            of_class = _ids(node)
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name.startswith("test_"):
                    yield from _named(f"{node.name}::{inner.name}", (*of_class, *_ids(inner)))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _named(node.name, _ids(node))


def coverage() -> str:
    """Return the line that says how many faults have a test, and which have none."""
    found = shown()
    missing = [fault.id for fault in faults() if fault.id not in found]
    partly = [fault.id for fault in faults() if fault.part and fault.id in found]
    line = f"faults: {len(faults()) - len(missing)} of {len(faults())} ids have a test"
    line += f"; of these only in part: {', '.join(partly)}" if partly else ""
    return line + (f"; missing: {', '.join(missing)}" if missing else "")


def _named(name: str, ids: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if ids:
        yield name, ids


def _ids(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> tuple[str, ...]:
    calls = (each for each in node.decorator_list if isinstance(each, ast.Call))
    marks = (call for call in calls if ast.unparse(call.func) == "pytest.mark.fault")
    return tuple(str(ast.literal_eval(argument)) for mark in marks for argument in mark.args)


def _add(out: dict[str, list[Shown]], ids: tuple[str, ...], by: Shown) -> None:
    for id_ in ids:
        out.setdefault(id_, []).append(by)
