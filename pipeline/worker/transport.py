"""The `kinesis://` transport: found by Faust through the entry-point group `faust.transports`."""

from collections.abc import Awaitable
from typing import Any, ClassVar

from faust.transport import base
from faust.transport.producer import Producer as BaseProducer
from faust.types import RecordMetadata

from pipeline.model.errors import Misconfigured
from pipeline.worker.consumer import Consumer


class Producer(BaseProducer):
    """Refuses to send: changes enter the Kinesis stream through the capture only, in lanes, or order would be lost."""

    async def flush(self) -> None:
        """Do nothing: nothing is ever buffered. Faust calls this before each commit."""

    async def send(self, *_args: Any, **_options: Any) -> Awaitable[RecordMetadata]:
        """Raise Misconfigured."""
        raise _no_producer()

    async def send_and_wait(self, *_args: Any, **_options: Any) -> RecordMetadata:
        """Raise Misconfigured."""
        raise _no_producer()

    async def create_topic(self, *_args: Any, **_options: Any) -> None:
        """Do nothing: a topic here is a topology's view of the stream, there is nothing to create."""


def _no_producer() -> Misconfigured:
    msg = "the kinesis:// transport does not send"
    return Misconfigured(msg, hint="write to the table; Faust tables, replies and topic.send are not supported")


class Transport(base.Transport):
    """Faust's view of one Kinesis data stream; the URL is `kinesis://<stream name>`."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[Producer]] = Producer
    driver_version = "fanout-kinesis"
