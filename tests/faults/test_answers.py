"""Answers that are not what they seem: pages of a proxy, certificates nobody trusts, names that lead elsewhere."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline.aws.clock import SystemClock
from pipeline.aws.items import DynamoDBItemStore
from pipeline.aws.kinesis import KinesisLog
from pipeline.aws.objects import S3ObjectStore
from pipeline.aws.session import READ, STATE, WRITE, Aws
from pipeline.aws.state import DynamoDBStateStore
from pipeline.aws.streams import DynamoDBTableStream
from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.ports import ItemWrite, ObjectStore, OutRecord, StateRow
from tests.emulators import ENDPOINTS
from tests.faults.servers import WEB_PAGE, Asked, Reply, serving

WRITE_OF_ONE = ItemWrite("orders", b'{"id":{"S":"a"}}', b'{"id":{"S":"a"}}')
ROW = StateRow("row", 1, {})
ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"

CALLS: dict[str, Callable[[Aws], Awaitable[object]]] = {
    "lease or checkpoint": lambda aws: _state(aws).write(ROW, 0),
    "read of leases": lambda aws: _state(aws).read(["row"]),
    "transaction": lambda aws: _items(aws).transact([WRITE_OF_ONE], "positions", "row", 0, 1),
    "conditional put": lambda aws: _items(aws).put_newer(WRITE_OF_ONE, "v", "1"),
    "batch": lambda aws: _items(aws).write_batch([WRITE_OF_ONE]),
    "position": lambda aws: _items(aws).position("positions", "row"),
    "object": lambda aws: _objects(aws).create("name", b"data"),
    "object over another": lambda aws: _objects(aws).replace("name", b"data"),
    "read of an object": lambda aws: _objects(aws).read("name"),
    "listing of objects": lambda aws: _listed(_objects(aws)),
    "records": lambda aws: _log(aws).put([OutRecord(b"data", "key", 1)]),
    "read of records": lambda aws: _log(aws).read("iterator"),
    "listing of shards": lambda aws: _log(aws).shards(),
    "read of changes": lambda aws: _stream(aws).read("shard", "iterator"),
    "listing of a table's shards": lambda aws: _stream(aws).shards(),
}


def _state(aws: Aws) -> DynamoDBStateStore:
    return DynamoDBStateStore(aws.dynamodb("us-east-1", STATE), "state")


def _items(aws: Aws) -> DynamoDBItemStore:
    return DynamoDBItemStore(aws, "us-east-1", SystemClock())


def _objects(aws: Aws) -> S3ObjectStore:
    return S3ObjectStore(aws, "us-east-1", "bucket")


def _log(aws: Aws) -> KinesisLog:
    return KinesisLog(aws.kinesis("us-east-1", READ), aws.kinesis("us-east-1", WRITE), "changes")


def _stream(aws: Aws) -> DynamoDBTableStream:
    return DynamoDBTableStream(aws.streams("us-east-1"), table="orders", arn=ARN, epoch="2026", hash_attribute="id")


async def _listed(objects: ObjectStore) -> list[str]:
    return [name async for name in objects.names("")]


@pytest.fixture
def aws_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Aws]]:
    """Return a function that makes clients of one endpoint, for all services."""
    with ExitStack() as opened:

        def at(url: str, *plain_http_hosts: str) -> Aws:
            for variable in ENDPOINTS:
                monkeypatch.setenv(variable, url)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
            return opened.enter_context(Aws(plain_http_hosts))

        yield at


@pytest.mark.fault("N4")
@pytest.mark.parametrize("call", CALLS)
def test_a_web_page_is_no_answer(call: str, aws_at: Callable[..., Aws]) -> None:
    """Status 200 and a page of a proxy: no call takes it for success, or for emptiness; each is to be repeated."""
    with serving(lambda _: WEB_PAGE) as port:
        aws = aws_at(f"http://127.0.0.1:{port}")
        with pytest.raises(RetryLater, match="not AWS"):
            asyncio.run(_awaited(CALLS[call](aws)))


async def _awaited(call: Awaitable[object]) -> object:
    return await call


@pytest.mark.fault("N4")
def test_a_certificate_nobody_trusts_halts(aws_at: Callable[..., Aws], tmp_path: Path) -> None:
    """Waiting does not mend a certificate: the work halts, and says what is wrong with the endpoint."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    pem = tmp_path / "server.pem"
    ask = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout"
    subprocess.run([*ask.split(), pem, "-out", tmp_path / "cert"], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + (tmp_path / "cert").read_bytes())
    with serving(lambda _: Reply(), pem) as port:
        aws = aws_at(f"https://localhost:{port}")
        with pytest.raises(Misconfigured, match="certificate"):
            asyncio.run(_state(aws).write(ROW, 0))


@pytest.mark.fault("N4")
def test_no_tls_where_tls_is_expected_is_no_answer(aws_at: Callable[..., Aws]) -> None:
    """What breaks the handshake for another reason may pass, and nothing was done."""
    with serving(lambda _: Reply()) as port:
        aws = aws_at(f"https://127.0.0.1:{port}")
        with pytest.raises(RetryLater, match="SSLError"):
            asyncio.run(_state(aws).write(ROW, 0))


@pytest.mark.fault("N3")
def test_a_name_is_looked_up_anew(aws_at: Callable[..., Aws], monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to nothing, then to another's server, is no answer; once it is right, so is the call."""
    asked: list[Asked] = []
    place: dict[str, int | None] = {"port": None}
    looked_up = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "tables.test":
            return looked_up(host, port, *args, **kwargs)
        if place["port"] is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return looked_up("127.0.0.1", place["port"], *args, **kwargs)

    def answer(request: Asked) -> Reply:
        asked.append(request)
        return Reply()

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with serving(lambda _: WEB_PAGE) as wrong, serving(answer) as right:
        store = _state(aws_at("http://tables.test:8000", "tables.test"))
        for port, outcome in ((None, "EndpointConnectionError"), (wrong, "not AWS"), (None, "Endpoint")):
            place["port"] = port
            with pytest.raises(RetryLater, match=outcome):
                asyncio.run(store.write(ROW, 0))
        place["port"] = right
        assert asyncio.run(store.write(ROW, 0))
    assert len(asked) == 1


@pytest.mark.fault("C3")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        ("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z"),
        ("InvalidSignatureException", "Signature not yet current: 20260101T003000Z is still later than 20260101T0015Z"),
    ],
)
def test_a_clock_that_is_off_halts_and_is_named(code: str, words: str, aws_at: Callable[..., Aws]) -> None:
    """AWS refuses what is minutes off: the halt says that it is the clock, and the call goes through when it is set."""
    refusal = Reply(403, b'{"__type":"%b","message":"%b"}' % (code.encode(), words.encode()))
    replies = [refusal, Reply()]
    with serving(lambda _: replies.pop(0)) as port:
        store = _state(aws_at(f"http://127.0.0.1:{port}"))
        with pytest.raises(Misconfigured) as caught:
            asyncio.run(store.write(ROW, 0))
        assert "set the clock" in caught.value.hint
        assert words not in str(caught.value)
        assert asyncio.run(store.write(ROW, 0))
