"""The page of the sink contract: every case by its number, in the words of its test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pipeline

_INTRODUCTION = """# The sink contract

What `SinkContract` of `pipeline.testing.contract` asks of every sink; [write a topology](../how-to/write-a-topology.md)
says how to use it. A number may have several tests. A case that cannot apply to a sink is declared in its
`not_applicable`, with the reason, which `pytest -rs` prints.
"""
_FIRST = "test_"


def contract_page() -> str:
    """Return docs/reference/contract.md. The modules are read as text: the test kit is no part of the service."""
    folder = Path(pipeline.__file__).parent / "testing" / "cases"
    groups = sorted((_group(file) for file in folder.glob("*.py")), key=lambda group: group[1][:1])
    return _INTRODUCTION + "".join(
        f"\n## {title}\n\n| case | test | promise |\n| --- | --- | --- |\n"
        + "".join(f"| {number} | {name} | {promise} |\n" for number, name, promise in cases)
        for title, cases in groups
        if cases
    )


def _group(file: Path) -> tuple[str, list[tuple[int, str, str]]]:
    """Return a module's first line and its cases in order: number, name, promise."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    title = (ast.get_docstring(tree) or "").splitlines()[0].rstrip(".")
    return title, sorted(_cases(tree), key=lambda case: case[0])


def _cases(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith(_FIRST):
            number, _, name = node.name.removeprefix(_FIRST).partition("_")
            yield int(number), name.replace("_", " "), (ast.get_docstring(node) or "").replace("|", "\\|")
