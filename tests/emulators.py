"""Emulators for tests: started once a session, when a test first asks; what could not run is said in the summary."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.local.child import Child, Unavailable
from pipeline.local.dynamodb_local import dynamodb_local
from pipeline.local.kinesis_local import kinesis_local
from pipeline.local.ministack import EMULATOR_CREDENTIALS, ministack
from tests.said import NOT_PROVEN, say

ENDPOINTS = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
    "AWS_ENDPOINT_URL_KINESIS",
    "AWS_ENDPOINT_URL_S3",
)
NOTHING = "http://127.0.0.1:9"
"""Where services point that a test has no emulator for: nobody listens, and nothing reaches AWS."""

_SERVICES: Mapping[str, tuple[Callable[[Path], Child], tuple[str, ...]]] = {
    "ministack": (ministack, ENDPOINTS),
    "dynamodb-local": (dynamodb_local, ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS")),
    "kinesis-local": (kinesis_local, ("AWS_ENDPOINT_URL_KINESIS",)),
}


class Emulators:
    """The emulators of one test session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._running: dict[str, Child] = {}
        self.unavailable: dict[str, str] = {}

    def close(self) -> None:
        """Stop what was started."""
        self._open.close()

    def settings(self, *names: str) -> dict[str, str]:
        """Return the AWS variables of emulators, started if they are not; skip the test when one cannot run."""
        urls = dict.fromkeys(ENDPOINTS, NOTHING)
        for name in names:
            urls |= dict.fromkeys(_SERVICES[name][1], self._url(name))
        return {**urls, **EMULATOR_CREDENTIALS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

    def _url(self, name: str) -> str:
        if name not in self._running and name not in self.unavailable:
            try:
                self._running[name] = self._open.enter_context(_SERVICES[name][0](self._folder))
            except Unavailable as error:
                self.unavailable[name] = str(error)
                say(f"{NOT_PROVEN} in this run, because an emulator is missing: {name}: {error}")
        if name in self.unavailable:
            pytest.skip(f"{name}: {self.unavailable[name]}")
        return self._running[name].url


def opened(folder: Path) -> Iterator[Emulators]:
    """Yield the emulators and stop them afterwards."""
    emulators = Emulators(folder)
    try:
        yield emulators
    finally:
        emulators.close()
