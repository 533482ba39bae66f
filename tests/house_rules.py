"""House rules that linters do not know, each a pure function from text to a list of complaints; empty means kept.

`test_tidy.py` applies them to the repository and tries each one on sample text.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

FUNCTION_LINES_MAX = 60
FUNCTION_LINES_P90_MAX = 25
MODULE_LINES_MAX = 300
FILE_BYTES_MAX = 200 * 1024

VAGUE = frozenset(["common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"])
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b")  # spelt so that it does not find itself
ROW = re.compile(r"\| *\d")
SILENCED_BARE = re.compile(r"#\s*(?:noqa\b[^#]*|type: ignore\b[^#]*)$")  # nothing follows the mark
NAMED_MODULE = re.compile(r"`((?:pipeline|topologies)/[\w/]+\.py)`")
CHANGE_GROUPS = frozenset(["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"])

Function = ast.FunctionDef | ast.AsyncFunctionDef
Sources = Mapping[str, str]
"""Texts by path relative to the repository."""


def files(root: Path) -> Iterator[Path]:
    """Yield the repository's files, without what .gitignore names."""
    ignored = [".git", *(line.strip().rstrip("/") for line in (root / ".gitignore").read_text().splitlines())]
    for path in sorted(root.iterdir()):
        yield from _files(path, [pattern for pattern in ignored if pattern])


def _files(path: Path, ignored: list[str]) -> Iterator[Path]:
    if any(fnmatch(path.name, pattern) for pattern in ignored):
        return
    if path.is_dir():
        for child in sorted(path.iterdir()):
            yield from _files(child, ignored)
    else:
        yield path


def sources(root: Path, *folders: str) -> dict[str, str]:
    """Return the Python files under the folders."""
    wanted = [p for p in files(root) if p.suffix == ".py" and p.relative_to(root).parts[0] in folders]
    return {p.relative_to(root).as_posix(): p.read_text() for p in wanted}


def functions(text: str) -> list[Function]:
    """Return every function and method of a module, nested ones too."""
    return [n for n in ast.walk(ast.parse(text)) if isinstance(n, Function)]


def length(function: Function) -> int:
    """Return the lines of a function from `def` to its end, docstring included."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def long_functions(modules: Sources) -> list[str]:
    """Complain about functions longer than FUNCTION_LINES_MAX."""
    return [
        f"{path}:{f.lineno} {f.name} has {length(f)} lines, {FUNCTION_LINES_MAX} are allowed: split it"
        for path, text in modules.items()
        for f in functions(text)
        if length(f) > FUNCTION_LINES_MAX
    ]


def long_functions_as_a_rule(modules: Sources) -> list[str]:
    """Complain when more than one function in ten is longer than FUNCTION_LINES_P90_MAX."""
    lengths = sorted(length(f) for text in modules.values() for f in functions(text))
    p90 = lengths[int(len(lengths) * 0.9)] if lengths else 0
    if p90 <= FUNCTION_LINES_P90_MAX:
        return []
    return [f"one function in ten has {p90} lines or more, {FUNCTION_LINES_P90_MAX} are allowed: short ones are read"]


def long_modules(modules: Sources) -> list[str]:
    """Complain about modules longer than MODULE_LINES_MAX."""
    counts = {path: len(text.splitlines()) for path, text in modules.items()}
    return [f"{p} has {n} lines, {MODULE_LINES_MAX} are allowed" for p, n in counts.items() if n > MODULE_LINES_MAX]


def vague_names(paths: Iterable[str]) -> list[str]:
    """Complain about modules and folders whose name says nothing about what they do."""
    return [
        f"{path}: name it by what it does, not {sorted(vague)}"
        for path in paths
        if (vague := VAGUE & {word for part in Path(path).with_suffix("").parts for word in part.split("_")})
    ]


def modules_and_page(modules: Iterable[str], page: str) -> list[str]:
    """Complain about modules the page does not name, and names on the page that are no module."""
    exist = {path for path in modules if not path.endswith("__init__.py")}
    named = {match.group(1) for match in NAMED_MODULE.finditer(page)}
    unnamed = [
        f"{path} is named in no doc: give it a first line and run `fanout reference .`"
        for path in sorted(exist - named)
    ]
    return unnamed + [f"docs/reference/modules.md names {path}, which does not exist" for path in sorted(named - exist)]


def titles(path: str, page: str) -> list[str]:
    """Complain unless a Markdown page has exactly one `# Title`, on its first line."""
    outside_code = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    count = len(re.findall(r"^# \S", outside_code, flags=re.MULTILINE))
    if count == 1 and page.startswith("# "):
        return []
    return [f"{path}: one `# Title`, on the first line; it has {count}"]


def tests_without_promise(modules: Sources) -> list[str]:
    """Complain about test functions without a docstring of exactly one line."""
    tests = [(p, f) for p, text in modules.items() for f in functions(text) if f.name.startswith("test_")]
    return [
        f"{path}:{f.lineno} {f.name} needs one docstring line that says what it promises"
        for path, f in tests
        if len((ast.get_docstring(f) or "").splitlines()) != 1
    ]


def error_names(errors_module: str) -> list[str]:
    """Return the error classes of a module that derive, however far, from another of its classes."""
    classes = [n for n in ast.parse(errors_module).body if isinstance(n, ast.ClassDef)]
    known = {c.name for c in classes}
    return [c.name for c in classes if any(isinstance(b, ast.Name) and b.id in known for b in c.bases)]


def idle_errors(names: Iterable[str], modules: Sources, tests: Sources) -> list[str]:
    """Complain about errors that no module makes and errors that no test names."""
    made = {name for text in modules.values() for name in _made(text)}
    tested = {word for text in tests.values() for word in re.findall(r"\w+", text)}
    idle = [f"{name} is never raised: remove it, or raise it" for name in names if name not in made]
    return idle + [f"{name} is named in no test" for name in names if name not in tested]


def _made(text: str) -> Iterator[str]:
    """Yield the names that are called, or that a table gives as its values."""
    for node in ast.walk(ast.parse(text)):
        candidates = [node.func] if isinstance(node, ast.Call) else node.values if isinstance(node, ast.Dict) else []
        yield from (name.id for name in candidates if isinstance(name, ast.Name))


def unfinished(path: str, text: str) -> list[str]:
    """Complain about words that mark something as not done."""
    lines = enumerate(text.splitlines(), 1)
    return [f"{path}:{n} says {m.group()}: finish it" for n, line in lines if (m := UNFINISHED.search(line))]


def repeated_rows(path: str, text: str) -> list[str]:
    """Complain about rows of a ledger that begin alike in all but their last cell: one run is counted once."""
    seen: Counter[str] = Counter(line.rstrip(" |").rpartition("|")[0] for line in text.splitlines() if ROW.match(line))
    return [f"{path} has a row {count} times: {row[:60]}" for row, count in seen.items() if count > 1]


def silenced_without_reason(sources: Sources) -> list[str]:
    """Complain about lines that silence a checker and do not say why."""
    lines = ((path, n, line) for path, text in sources.items() for n, line in enumerate(text.splitlines(), 1))
    return [f"{path}:{n} silences a checker: say why" for path, n, line in lines if SILENCED_BARE.search(line)]


def large_files(sizes: Mapping[str, int]) -> list[str]:
    """Complain about files above FILE_BYTES_MAX that are no lock."""
    large = {p: n for p, n in sizes.items() if n > FILE_BYTES_MAX and not p.endswith(".lock")}
    return [f"{path} has {size} bytes, {FILE_BYTES_MAX} are allowed" for path, size in large.items()]


def topologies_without_contract(topologies: Iterable[str], tests: Sources) -> list[str]:
    """Complain about topologies that no SinkContract subclass in tests/topologies/ speaks of."""
    folder = [text for path, text in tests.items() if path.startswith("tests/topologies/")]
    classes = [n for text in folder for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)]
    contracts = [ast.unparse(c) for c in classes if any("SinkContract" in ast.unparse(base) for base in c.bases)]
    return [
        f"topologies/{name}.py has no SinkContract test in tests/topologies/"
        for name in topologies
        if not any(re.search(rf"\b{name}\.", text) for text in contracts)
    ]


def changelog(text: str) -> list[str]:
    """Complain where CHANGELOG.md is not in the form of Keep a Changelog, newest first, Unreleased on top."""
    versions = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    complaints = [] if versions[:1] == ["[Unreleased]"] else ["the first section is `## [Unreleased]`"]
    form = re.compile(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d")
    complaints += [f"`## {v}` is not `## [1.2.3] - 2026-12-31`" for v in versions[1:] if not form.fullmatch(v)]
    for group, body in re.findall(r"^### (.*)\n((?:(?!##).*\n?)*)", text, flags=re.MULTILINE):
        if group not in CHANGE_GROUPS:
            complaints.append(f"`### {group}` is none of {sorted(CHANGE_GROUPS)}")
        if not re.search(r"^- ", body, flags=re.MULTILINE):
            complaints.append(f"`### {group}` lists nothing")
    return complaints


def stale_pages(pages: Mapping[str, str], made: Mapping[str, str]) -> list[str]:
    """Complain where a page on disk is not what its generator makes, or has no generator."""
    stale = [f"{path} is stale: generate it again" for path, text in made.items() if pages.get(path) != text]
    return stale + [f"{path} is made by no generator" for path in sorted(pages.keys() - made.keys())]


def unlocked(run_lock: str, lock: str) -> list[str]:
    """Complain about requirements of the image that differ from those that are tested."""
    tested = set(_pins(lock))
    return [
        f"requirements-run.lock has {pin}, requirements.lock has not" for pin in _pins(run_lock) if pin not in tested
    ]


def _pins(lock: str) -> list[str]:
    return re.findall(r"^([\w.-]+==[\w.]+)", lock, flags=re.MULTILINE)
