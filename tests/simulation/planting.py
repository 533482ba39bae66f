"""Plant a bug in the real code: replace one piece of one function, for as long as a run takes."""

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: in the function at `place` (`module:Class.function`) the text `was`, found once, becomes `becomes`."""

    name: str
    bug: str
    """What is wrong, in a line."""
    place: str
    was: str
    becomes: str


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Run the block with the bug. Whoever imported the function by its name has the bug too: only its code changes.

    Raises LookupError when the code is no longer what the mutant was written for.
    """
    function = _function(mutant.place)
    sound = function.__code__
    function.__code__ = _compiled(function, mutant)
    try:
        yield
    finally:
        function.__code__ = sound


def _function(place: str) -> FunctionType:
    module, _, path = place.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    found = getattr(found, "fget", None) or getattr(found, "__func__", found)
    assert isinstance(found, FunctionType), place
    return found


def _compiled(function: FunctionType, mutant: Mutant) -> Any:
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(mutant.was) != 1:
        raise LookupError(f"mutant {mutant.name}: its text is {source.count(mutant.was)} times in {mutant.place}")
    source = source.replace(mutant.was, mutant.becomes)
    source = source[min(at for at in (source.find("async def "), source.find("def ")) if at >= 0) :]
    names = dict(function.__globals__)
    exec(compile(source, f"<{mutant.name}>", "exec"), names)  # what `becomes` says is in this repository
    return names[function.__name__].__code__
