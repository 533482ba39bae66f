"""Plain http stays on this machine."""

import pytest

from pipeline.model.endpoint import check_endpoint
from pipeline.model.errors import Misconfigured


@pytest.mark.parametrize(
    "url", ["http://example.com", "http://10.0.0.1:4566", "http://dynamodb:8000", "ftp://localhost", "dynamodb", ""]
)
def test_changes_never_cross_a_network_in_the_open(url: str) -> None:
    """A plain-http endpoint that is not this machine, and what is no endpoint, is refused with its field."""
    with pytest.raises(Misconfigured, match="somewhere"):
        check_endpoint(url, ["other"], "somewhere")


@pytest.mark.parametrize(
    "url",
    [
        "https://kinesis.eu-west-1.amazonaws.com",
        "http://localhost:1",
        "http://127.1.2.3",
        "http://[::1]:8000",
        "http://ok",
    ],
)
def test_encrypted_local_and_named_endpoints_are_fine(url: str) -> None:
    """Https anywhere, http on this machine, and http to a host named by hand are accepted."""
    check_endpoint(url, ["ok"], "somewhere")
