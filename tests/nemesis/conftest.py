"""A pipeline of several processes behind gates, on the session's emulators."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.blackbox.stack import Stack
from tests.emulators import Emulators
from tests.nemesis.fleet import Fleet
from tests.nemesis.proxy import Proxy


class Scene(NamedTuple):
    """What a test torments."""

    stack: Stack
    proxy: Proxy
    fleet: Fleet


@pytest.fixture(scope="module")
def scene_of(emulators: Emulators, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Scene]]:
    """Return a function that makes a scene, its processes not yet started; servers of its own may replace the usual."""
    settings = emulators.settings("ministack", "dynamodb-local", "kinesis-local")
    with ExitStack() as opened:

        def make(shards: int, captures: int, workers: int, **instead: str) -> Scene:
            name = f"nem-{secrets.token_hex(3)}"
            folder: Path = tmp_path_factory.mktemp(name)
            proxy = opened.enter_context(Proxy())
            stack = opened.enter_context(Stack(folder, {**settings, **instead}, name))
            config = stack.write(stack.sections(stack.shipped))
            stack.create(config, shards)
            return Scene(stack, proxy, Fleet(stack, proxy, config, captures=captures, workers=workers))

        yield make
