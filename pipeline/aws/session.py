"""Clients: what is configured once for all adapters, and how a blocking call becomes an awaited one."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, Self, TypeVar

import boto3
from botocore.config import Config

from pipeline.aws.answers import check_origin
from pipeline.aws.errors import translated
from pipeline.model.endpoint import check_endpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")

CONNECT_SECONDS = 3.0
_NOISY_LOGGERS = ("boto3", "botocore", "urllib3")


class Purpose(NamedTuple):
    """What a client is for. Each has its own threads, timeouts and retries, so that none waits behind another.

    What writes is tried once: the caller must know that an answer was lost, and tries again in order. What leases
    need is short, or a slow table would outlast them.
    """

    name: str
    answer_seconds: float
    """How long one attempt waits for an answer."""
    attempts: int
    """How often a call is sent at most."""
    threads: int
    """How many calls are under way at most."""


READ = Purpose("read", 15.0, 3, 32)
WRITE = Purpose("write", 10.0, 1, 32)
STATE = Purpose("state", 2.0, 1, 8)
CONTROL = Purpose("control", 10.0, 3, 4)


@dataclass(frozen=True, slots=True)
class Caller(Generic[C]):
    """One client and the threads its calls run on."""

    client: C
    region: str
    _threads: ThreadPoolExecutor

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking call on a thread of this purpose.

        When the awaiting task is cancelled the call goes on to its end, unheard: its effect is unknown.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, functools.partial(call, *args, **kwargs))


class Aws:
    """The clients of one process, made on demand, each once, from one boto3 session.

    Credentials, regions and endpoints come from the standard AWS chain and variables. Close it after the last call.
    A part of the process that must not be held up by another has a share: clients, threads and retry quotas of its own.
    """

    def __init__(
        self,
        plain_http_hosts: Collection[str] = (),
        *,
        name: str = "aws",
        session: boto3.Session | None = None,
        lock: threading.RLock | None = None,
    ) -> None:
        _quieten()
        self._plain_http_hosts = plain_http_hosts
        self._name = name
        with translated("opening a session", "the AWS profile of the environment"):
            self._session = session or boto3.Session()
        self._lock = lock or threading.RLock()
        self._shares: dict[str, Aws] = {}
        self._clients: dict[tuple[str, str, Purpose, bool], Any] = {}
        self._threads: dict[Purpose, ThreadPoolExecutor] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Wait for calls under way, end the threads, close the connections."""
        for share in self._shares.values():
            share.close()
        for threads in self._threads.values():
            threads.shutdown(wait=True, cancel_futures=True)
        for client in self._clients.values():
            client.close()
        self._threads.clear()
        self._clients.clear()

    def share(self, name: str) -> Aws:
        """Return the clients and threads of one part of the process, as many as there are here; closed with these."""
        with self._lock:
            if name not in self._shares:
                self._shares[name] = Aws(self._plain_http_hosts, name=name, session=self._session, lock=self._lock)
            return self._shares[name]

    def dynamodb(self, region: str, purpose: Purpose, *, raw: bool = False) -> Caller[DynamoDBClient]:
        """Return a client for tables; a `raw` one is apart, for `pipeline.aws.raw`, and checks no parameters."""
        return self._caller("dynamodb", region, purpose, raw=raw)

    def streams(self, region: str) -> Caller[DynamoDBStreamsClient]:
        """Return the client for table streams."""
        return self._caller("dynamodbstreams", region, READ, raw=False)

    def kinesis(self, region: str, purpose: Purpose) -> Caller[KinesisClient]:
        """Return a client for Kinesis data streams."""
        return self._caller("kinesis", region, purpose, raw=False)

    def s3(self, region: str, purpose: Purpose) -> Caller[S3Client]:
        """Return a client for S3."""
        return self._caller("s3", region, purpose, raw=False)

    def kms(self, region: str) -> Caller[Any]:
        """Return the client for keys."""
        return self._caller("kms", region, CONTROL, raw=False)

    def threads(self, purpose: Purpose) -> ThreadPoolExecutor:
        """Return the threads of a purpose, for blocking work that is no AWS call."""
        with self._lock:
            return self._threads_of(purpose)

    def _threads_of(self, purpose: Purpose) -> ThreadPoolExecutor:
        if purpose not in self._threads:
            self._threads[purpose] = ThreadPoolExecutor(purpose.threads, f"{self._name}-{purpose.name}")
        return self._threads[purpose]

    def _caller(self, service: str, region: str, purpose: Purpose, *, raw: bool) -> Caller[Any]:
        key = (service, region, purpose, raw)
        with self._lock:  # creating clients of one session side by side is not safe
            if key not in self._clients:
                self._clients[key] = self._client(service, region, purpose, raw=raw)
            return Caller(self._clients[key], region, self._threads_of(purpose))

    def _client(self, service: str, region: str, purpose: Purpose, *, raw: bool) -> Any:
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=purpose.answer_seconds,
            retries={"mode": "standard", "total_max_attempts": purpose.attempts},
            max_pool_connections=purpose.threads,
            tcp_keepalive=True,
            parameter_validation=not raw,
        )
        with translated(f"creating a client for {service}", region):
            client: Any = self._session.client(service, region_name=region or None, config=config)
        check_origin(client)
        check_endpoint(client.meta.endpoint_url, self._plain_http_hosts, f"the endpoint of {service}")
        return client


def _quieten() -> None:
    """Keep the SDK's loggers at INFO or above: at DEBUG they print requests, with items and signatures."""
    for name in _NOISY_LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.INFO))
