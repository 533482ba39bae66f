"""How clients are set up."""

import asyncio
import logging
import threading

import pytest

from pipeline.aws.session import CONTROL, READ, STATE, WRITE, Aws, Purpose
from pipeline.model.errors import Misconfigured, RetryLater
from tests.unit.aws.canned import Canned, error


def test_a_named_host_may_be_spoken_to_in_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host the configuration names is accepted where clients are made, too."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS", "http://kinesis:4567")
    with Aws(["kinesis"]) as aws:
        assert aws.kinesis("us-east-1", READ).client.meta.endpoint_url == "http://kinesis:4567"


def test_a_refused_endpoint_makes_no_client(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is made where clients are made."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS", "http://192.0.2.1")
    with pytest.raises(Misconfigured):
        aws.kinesis("us-east-1", READ)


def test_a_client_is_made_once(aws: Aws) -> None:
    """The same purpose and region share a client; a raw one, another purpose and another region have their own."""
    first = aws.dynamodb("us-east-1", READ).client
    assert aws.dynamodb("us-east-1", READ).client is first
    others = [aws.dynamodb("us-east-1", READ, raw=True), aws.dynamodb("us-east-1", WRITE)]
    assert len({id(first), *(id(other.client) for other in others), id(aws.dynamodb("x", READ).client)}) == 4


@pytest.mark.parametrize(("purpose", "sent"), [(READ, 3), (CONTROL, 3), (WRITE, 1), (STATE, 1)])
def test_only_what_does_not_write_is_sent_again(aws: Aws, purpose: Purpose, sent: int) -> None:
    """The SDK repeats reads and never a write: whether an unanswered write happened is for the caller to find out."""
    caller = aws.dynamodb("us-east-1", purpose)
    canned = Canned(caller.client, error("InternalServerError", 500))
    with pytest.raises(caller.client.exceptions.InternalServerError):
        caller.client.describe_table(TableName="table")
    assert len(canned.bodies) == sent


def test_the_sdk_is_never_logged_in_full() -> None:
    """Debug logging of the SDK, which prints items and signatures, is off however logging is set up."""
    logger = logging.getLogger("botocore")
    logger.setLevel(logging.DEBUG)
    Aws().close()
    assert logger.level == logging.INFO


def test_calls_run_beside_each_other_up_to_a_bound(aws: Aws) -> None:
    """A purpose has as many threads as it says, and the event loop goes on meanwhile."""
    caller = aws.dynamodb("us-east-1", CONTROL)
    barrier = threading.Barrier(CONTROL.threads, timeout=5)

    async def main() -> None:
        await asyncio.gather(*(caller.run(barrier.wait) for _ in range(CONTROL.threads)))

    asyncio.run(main())


def test_an_endpoint_that_is_down_may_come_back(aws: Aws) -> None:
    """A refused connection is worth another try."""
    from pipeline.aws.state import DynamoDBStateStore

    store = DynamoDBStateStore(aws.dynamodb("us-east-1", STATE), "state")
    with pytest.raises(RetryLater, match="no answer"):
        asyncio.run(store.read(["a"]))
