"""Finding a topology by the name the configuration gives it. Nothing is scanned: what is named is loaded."""

import dataclasses
import difflib
import importlib
import importlib.util
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from pipeline.model.errors import Misconfigured
from pipeline.plugin import Topology

GROUP = "fanout.topologies"
"""The entry-point group in which an installed package offers its topologies."""
FOLDER = "topologies"
ATTRIBUTE = "topology"


def load_topology(kind: str, folder: Path, field: str) -> Topology:
    """Return the topology of a kind: an installed one, else the file `topologies/<kind>.py` in `folder`.

    `module:name` is imported instead, with `folder` searched last. An installed topology wins over a file of its name.
    Raises Misconfigured, naming `field`, when there is none, when its module fails, or when it offers no Topology.
    """
    module, colon, attribute = kind.partition(":")
    file = folder / FOLDER / f"{kind}.py"
    if colon:
        found = _attribute(_import(module, folder, field), attribute, field)
    elif installed := _installed().get(kind):
        found = _attribute(_import(installed.module, folder, field), installed.attr, field)
    elif kind.isidentifier() and file.is_file():
        found = _attribute(_import_file(file, field), ATTRIBUTE, field)
    else:
        raise _unknown(kind, folder, field)
    if not isinstance(found, Topology) or not dataclasses.is_dataclass(found.settings):
        raise Misconfigured(
            f"{field}: {kind!r} offers no topology",
            hint="define topology = Topology(name, settings=<a frozen dataclass>, sink=<a class>) in its module",
        )
    return found


def known_topologies(folder: Path) -> list[str]:
    """Return the names that `kind` may have: installed topologies, and the files in `folder`'s topologies."""
    files = {path.stem for path in (folder / FOLDER).glob("*.py") if not path.stem.startswith("_")}
    return sorted(files | set(_installed()))


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _import(module: str, folder: Path, field: str) -> ModuleType:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise _failed(module, error, field) from error


def _import_file(file: Path, field: str) -> ModuleType:
    """Import a file under the name it has in a checkout, once: a second topology of the kind gets the same module."""
    name = f"{FOLDER}.{file.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file):
        return loaded
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _failed(str(file), error, field) from error
    return module


def _attribute(module: ModuleType, name: str, field: str) -> object:
    if not hasattr(module, name):
        raise Misconfigured(
            f"{field}: module {module.__name__} has no {name!r}", hint=f"define {name} = Topology(...) in it"
        )
    return getattr(module, name)


def _failed(module: str, error: Exception, field: str) -> Misconfigured:
    """Say why a module could not be imported. A plugin's own words are safe: it has seen no change yet."""
    return Misconfigured(
        f"{field}: cannot import {module}: {type(error).__name__}: {error}",
        hint="correct the module, or install what it needs; --debug shows the traceback",
    )


def _unknown(kind: str, folder: Path, field: str) -> Misconfigured:
    names = known_topologies(folder)
    near = difflib.get_close_matches(kind, names, 1)
    return Misconfigured(
        f"{field}: there is no topology {kind!r}",
        hint=(f"did you mean {near[0]!r}? " if near else "")
        + f"known: {', '.join(names)}; or write {FOLDER}/{kind}.py, or give module:name",
    )
