"""S3 and disks that fail half-way: what was not acknowledged whole is not there, and goes again."""

import asyncio
import errno
import os
import socket
import threading
import zlib
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.aws.folder import FolderObjectStore
from pipeline.aws.objects import S3ObjectStore, create_bucket
from pipeline.aws.session import Aws
from pipeline.local.ministack import EMULATOR_CREDENTIALS
from pipeline.model.errors import Corrupt, Misconfigured, RetryLater
from pipeline.testing.changes import batch, history
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wire import segment
from pipeline.wire.rangelog import RangeLog
from tests.emulators import ENDPOINTS, Emulators
from tests.faults.servers import GENUINE, Asked, Reply, serving

ERROR_INSIDE = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>We failed</Message></Error>"
S3_SAYS = {**GENUINE, "Content-Type": "application/xml"}


@pytest.fixture
def bucket_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], S3ObjectStore]]:
    """Return a function that makes a bucket of an endpoint."""
    opened: list[Aws] = []

    def at(url: str) -> S3ObjectStore:
        for variable, value in {**dict.fromkeys(ENDPOINTS, url), **EMULATOR_CREDENTIALS}.items():
            monkeypatch.setenv(variable, value)
        opened.append(Aws())
        return S3ObjectStore(opened[-1], "us-east-1", "bucket")

    yield at
    for aws in opened:
        aws.close()


@pytest.mark.fault("S1")
@pytest.mark.parametrize(
    "refusal",
    [
        Reply(503, b"<Error><Code>SlowDown</Code></Error>", S3_SAYS),
        Reply(500, ERROR_INSIDE, S3_SAYS),
        Reply(200, ERROR_INSIDE, S3_SAYS),
        Reply(409, b"<Error><Code>ConditionalRequestConflict</Code></Error>", S3_SAYS),
    ],
    ids=["503", "500", "200 with an error inside", "409"],
)
def test_a_refused_object_is_offered_again(refusal: Reply, bucket_at: Callable[[str], S3ObjectStore]) -> None:
    """A refusal, also one that says 200, is not taken for "stored", and the same call stores it later."""
    replies = [refusal, Reply(200, b"", {**S3_SAYS, "ETag": '"x"'})]
    with serving(lambda _: replies.pop(0)) as port:
        bucket = bucket_at(f"http://127.0.0.1:{port}")
        with pytest.raises(RetryLater):
            asyncio.run(bucket.create("name", b"data"))
        assert asyncio.run(bucket.create("name", b"data"))


@pytest.mark.fault("S1")
def test_an_object_travels_with_its_checksum(bucket_at: Callable[[str], S3ObjectStore]) -> None:
    """S3 is told the checksum of what it is to store, so that bytes that change on the way are refused there."""
    asked: list[Asked] = []

    def answer(request: Asked) -> Reply:
        asked.append(request)
        return Reply(200, b"", S3_SAYS)

    with serving(answer) as port:
        asyncio.run(bucket_at(f"http://127.0.0.1:{port}").create("name", b"data"))
    (request,) = asked
    expected = b64encode(zlib.crc32(b"data").to_bytes(4)).decode()
    assert {name.lower(): value for name, value in request.headers.items()}["x-amz-checksum-crc32"] == expected


@pytest.mark.fault("S1", "S5")
@pytest.mark.parametrize("kind", ["cut", "another"])
def test_an_object_that_changes_on_the_way_is_read_again(kind: str, bucket_at: Callable[[str], S3ObjectStore]) -> None:
    """Fewer bytes than announced, or bytes that do not fit the checksum S3 sends along, are no object."""
    checksum = {"x-amz-checksum-crc32": b64encode(zlib.crc32(b"data").to_bytes(4)).decode()}
    whole = Reply(200, b"data", {**GENUINE, **checksum})
    broken = whole._replace(cut=2) if kind == "cut" else whole._replace(body=b"dat4")
    replies = [broken, whole]
    with serving(lambda _: replies.pop(0)) as port:
        bucket = bucket_at(f"http://127.0.0.1:{port}")
        with pytest.raises(RetryLater):
            asyncio.run(bucket.read("name"))
        assert asyncio.run(bucket.read("name")) == b"data"


@contextmanager
def breaking(upstream: str, after_bytes: int) -> Iterator[str]:
    """Pass one connection's bytes on to a server, and cut it after so many; later connections pass whole."""
    listener = socket.create_server(("127.0.0.1", 0))
    first = [True]

    def pump(source: socket.socket, sink: socket.socket, limit: float) -> None:
        with suppress(OSError), source, sink:
            while limit > 0 and (data := source.recv(min(65536, int(min(limit, 1e9))))):
                sink.sendall(data)
                limit -= len(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                host, port = upstream.split(":")
                server = socket.create_connection((host, int(port)))
                limit, first[0] = (after_bytes if first[0] else float("inf")), False
                threading.Thread(target=pump, args=(client, server, limit), daemon=True).start()
                threading.Thread(target=pump, args=(server, client, float("inf")), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


@pytest.mark.emulator
@pytest.mark.fault("S2")
def test_an_upload_that_breaks_off_leaves_no_object(
    emulators: Emulators, bucket_at: Callable[[str], S3ObjectStore], name: str
) -> None:
    """The connection is cut amid the bytes of an object: there is none, and the repeat stores it whole."""
    url = emulators.settings("ministack")["AWS_ENDPOINT_URL_S3"]
    data = os.urandom(3 << 20)
    with breaking(urlsplit(url).netloc, 1 << 20) as cut:
        direct = bucket_at(url)
        with Aws() as aws:
            asyncio.run(create_bucket(aws, "us-east-1", "bucket"))
        bucket = bucket_at(cut)
        with pytest.raises(RetryLater):
            asyncio.run(bucket.create(name, data))
        assert asyncio.run(direct.read(name)) is None
        assert asyncio.run(bucket.create(name, data))
        assert asyncio.run(direct.read(name)) == data


class Hiding(FakeObjectStore):
    """Objects of which listings leave out one."""

    hidden = ""

    async def names(self, prefix: str, after: str = "") -> Any:
        """Yield the other names."""
        async for each in super().names(prefix, after):
            if each != self.hidden:
                yield each


@pytest.mark.fault("S6")
def test_a_listing_that_leaves_out_an_object_is_found() -> None:
    """The last object is not listed: who starts anew stops at a hole before its batch, or finds the name taken."""
    changes = history(["a"] * 30)

    async def story() -> None:
        objects = Hiding()
        log = RangeLog(objects, segment.SegmentForm("zstd"))
        for first in (1, 11):
            await log.append(batch(changes, first, first + 9))
        objects.hidden = max(objects.objects)
        with pytest.raises(Corrupt, match="hole"):
            await RangeLog(objects, segment.SegmentForm("zstd")).append(batch(changes, 21, 30))
        before = dict(objects.objects)
        await RangeLog(objects, segment.SegmentForm("zstd")).append(batch(changes, 11, 20))
        assert objects.objects == before

    asyncio.run(story())


@pytest.mark.fault("M1")
@pytest.mark.parametrize("step", ["fsync", "link"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_fails_stores_nothing(
    code: int, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full or broken: the batch is to be offered again, no part of a file is seen or left, and later it is whole."""
    with ThreadPoolExecutor(1) as threads:
        folder = FolderObjectStore(tmp_path, threads)

        def fail(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(os, step, fail)
            with pytest.raises(RetryLater, match=errno.errorcode[code]):
                asyncio.run(folder.create("a", b"data"))
        assert asyncio.run(folder.read("a")) is None
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        assert asyncio.run(folder.create("a", b"data"))
        assert asyncio.run(folder.read("a")) == b"data"


@pytest.mark.fault("M1")
def test_a_file_is_synchronised_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`create` returns after the bytes, and then the folder that names them, were forced to the disk."""
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def noted(name: str, call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*args: Any) -> None:
            steps.append(name)
            call(*args)

        return wrapped

    with ThreadPoolExecutor(1) as threads:
        folder = FolderObjectStore(tmp_path, threads)
        monkeypatch.setattr(os, "fsync", noted("fsync", fsync))
        monkeypatch.setattr(os, "link", noted("link", link))
        assert asyncio.run(folder.create("a", b"data"))
    assert steps == ["fsync", "link", "fsync"]


@pytest.mark.fault("M1")
def test_a_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting makes a read-only disk writable: the topology halts, and the reason names the folder."""
    calls: list[Callable[[FolderObjectStore], Awaitable[object]]] = [
        lambda folder: folder.create("a", b"data"),
        lambda folder: folder.replace("a", b"data"),
    ]
    with ThreadPoolExecutor(1) as threads:
        folder = FolderObjectStore(tmp_path, threads)

        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "read-only")

        monkeypatch.setattr(Path, "open", fail)
        for call in calls:
            with pytest.raises(Misconfigured, match=str(tmp_path)):
                asyncio.run(_awaited(call(folder)))


async def _awaited(call: Awaitable[object]) -> object:
    return await call
