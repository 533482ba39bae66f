"""Threads: each part of the process has its own bounded share, and plugins have none of them."""

import asyncio
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.aws.clock import SystemClock
from pipeline.aws.folder import FolderObjectStore
from pipeline.aws.session import READ, STATE, WRITE, Aws, Caller
from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.wiring.context import SinkContext

SECONDS_MAX = 10.0


def context(aws: Aws, name: str) -> SinkContext:
    """Return what a topology of this name is lent."""
    return SinkContext(name, "changes/0123", {"orders": "us-east-1"}, "us-east-1", aws, SystemClock())


def threads_of(adapter: Any) -> Caller[Any]:
    """Return the threads by which an adapter writes, which it shows nobody."""
    caller: Caller[Any] = adapter._writes
    return caller


@contextmanager
def all_hung(caller: Caller[object], calls: int) -> Iterator[asyncio.AbstractEventLoop]:
    """Let so many calls of a caller hang, as a destination does that takes connections and answers none."""
    free = threading.Event()
    loop = asyncio.new_event_loop()
    hung = [loop.create_task(caller.run(free.wait)) for _ in range(calls)]
    try:
        loop.run_until_complete(asyncio.sleep(0.2))
        yield loop
    finally:
        free.set()
        loop.run_until_complete(asyncio.gather(*hung))
        loop.close()


@pytest.mark.fault("M3")
def test_hung_calls_of_one_topology_leave_the_others_their_threads(aws: Aws) -> None:
    """With all threads of the archive's share hung, and more calls waiting, replica, capture and leases go on."""
    archive, replica = context(aws, "archive").objects("bucket"), context(aws, "replica").items("us-east-1")
    others = [threads_of(replica), aws.share("capture").streams("us-east-1"), aws.dynamodb("us-east-1", STATE)]
    others += [aws.kinesis("us-east-1", READ), aws.kinesis("us-east-1", WRITE)]
    with all_hung(threads_of(archive), 2 * WRITE.threads) as loop:
        for other in others:
            assert loop.run_until_complete(asyncio.wait_for(other.run(lambda: 7), SECONDS_MAX)) == 7


@pytest.mark.fault("M3")
def test_a_share_is_bounded_and_made_once(aws: Aws) -> None:
    """However many calls wait, a share has no more threads than its purpose says; asked for again it is the same."""
    archive = context(aws, "archive").objects("bucket")
    before = threading.active_count()
    with all_hung(threads_of(archive), 3 * WRITE.threads):
        assert threading.active_count() - before == WRITE.threads
    assert aws.share("topology-archive") is aws.share("topology-archive")


def test_a_share_refuses_what_the_whole_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule for endpoints in the open holds for every share."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS", "http://192.0.2.1")
    with Aws() as aws, pytest.raises(Misconfigured):
        aws.share("capture").kinesis("us-east-1", READ)


@pytest.mark.fault("M3")
def test_without_file_descriptors_calls_wait_and_go_on_afterwards(aws: Aws, tmp_path: Path) -> None:
    """With no descriptor left, a call to AWS and a write to a folder are to be tried again; with some, they succeed."""
    folder = FolderObjectStore(tmp_path / "objects", aws.threads(WRITE))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(folder.create("first", b"1"))
    archive = context(aws, "archive").objects("bucket")
    loop.run_until_complete(threads_of(archive).run(lambda: 0))
    with no_descriptors_left():
        for call in (folder.create("second", b"2"), archive.create("name", b"data")):
            with pytest.raises(RetryLater):
                loop.run_until_complete(call)
    assert loop.run_until_complete(folder.create("second", b"2"))
    loop.close()


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Let the process open nothing more: as many descriptors as it has is all it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(name) for name in (each.name for each in Path("/proc/self/fd").iterdir())) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    held = []
    try:
        while True:
            try:
                held.append(Path("/dev/null").open("rb"))  # noqa: SIM115  # held until the end, below
            except OSError:
                break
        yield
    finally:
        for each in held:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
