"""Which requests are of the source tables: those that name one, signed for the source's region."""

import json

import pytest

from tests.nemesis.message import Detour

DETOUR = Detour(1, "us-east-1", frozenset({"orders"}))


def takes(region: str, **asked: object) -> bool:
    """Ask."""
    signed = f"AWS4-HMAC-SHA256 Credential=local/20261124/{region}/dynamodb/aws4_request"
    head = f"POST / HTTP/1.1\r\nAuthorization: {signed}\r\n"
    return DETOUR.takes(head.encode(), json.dumps(asked).encode())


@pytest.mark.parametrize("asked", [{"TableName": "orders"}, {"RequestItems": {"orders": []}}])
def test_a_request_that_names_a_source_table_goes_there(asked: dict[str, object]) -> None:
    """Of one table, or of many; a replica has the same name in another region."""
    assert takes("us-east-1", **asked)
    assert not takes("eu-west-1", **asked)


@pytest.mark.parametrize("asked", [{}, {"TableName": "state", "Item": {"table": {"S": "orders"}}}])
def test_all_others_stay(asked: dict[str, object]) -> None:
    """What an item says does not count."""
    assert not takes("us-east-1", **asked)


def test_without_tables_all_go_there() -> None:
    """A detour of a whole server."""
    assert Detour(1).takes(b"POST / HTTP/1.1\r\n", b"")
