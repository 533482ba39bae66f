"""The page of all modules: what each is for, in the words of its own first line."""

import ast
from pathlib import Path

import pipeline

_INTRODUCTION = """# Modules

Made from the first line of each module, by folder. [The way of a change](../index.md) says in which order they meet.
"""


def modules_page() -> str:
    """Return docs/reference/modules.md."""
    root = Path(pipeline.__file__).parent.parent
    files = sorted(file for top in ("pipeline", "topologies") for file in (root / top).rglob("*.py"))
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    return _INTRODUCTION + "".join(_folder(root, folder, folders[folder]) for folder in sorted(folders))


def _folder(root: Path, folder: Path, files: list[Path]) -> str:
    rows = "".join(
        f"| `{file.relative_to(root).as_posix()}` | {_first_line(file)} |\n"
        for file in files
        if file.name != "__init__.py"
    )
    title = f"\n## {folder.relative_to(root).as_posix()}\n\n{_first_line(folder / '__init__.py')}\n"
    return f"{title}\n| module | is for |\n| --- | --- |\n{rows}" if rows else title


def _first_line(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0].replace("|", "\\|") if text else ""
