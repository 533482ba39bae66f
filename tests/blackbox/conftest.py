"""Stacks of processes on the session's emulators."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.blackbox.stack import Stack
from tests.emulators import Emulators


@pytest.fixture(scope="module")
def stack_of(emulators: Emulators, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """Return a function that makes a stack: DynamoDB Local, kinesis-local, S3 of ministack; skips without them."""
    settings = emulators.settings("ministack", "dynamodb-local", "kinesis-local")
    with ExitStack() as opened:

        def make(**options: Any) -> Stack:
            name = f"bb-{secrets.token_hex(3)}"
            folder: Path = tmp_path_factory.mktemp(name)
            return opened.enter_context(Stack(folder, settings, name, **options))

        yield make
