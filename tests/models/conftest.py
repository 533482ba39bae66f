"""What the models need: a model checker; without it the run says what it did not prove."""

import pytest

from tests.models import spin
from tests.said import NOT_PROVEN, say


@pytest.fixture(autouse=True)
def _needs_spin(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("needs_spin") and spin.missing():
        say(f"{NOT_PROVEN} in this run, because {spin.missing()} is missing: the models. apt-get install spin gcc")
        pytest.skip(f"needs {spin.missing()}")
