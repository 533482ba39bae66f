"""Clients that reach nothing."""

from collections.abc import Iterator

import pytest

from pipeline.aws.session import Aws
from tests.emulators import ENDPOINTS, NOTHING


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """Clients with invented credentials, pointed at a port nobody listens on."""
    for variable in ENDPOINTS:
        monkeypatch.setenv(variable, NOTHING)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with Aws() as clients:
        yield clients
