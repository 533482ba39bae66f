"""The contract of ObjectStore, on the fake, on a folder and on S3."""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.aws.folder import FolderObjectStore
from pipeline.aws.objects import S3ObjectStore, bucket_exists, create_bucket, has_lock
from pipeline.aws.session import CONTROL, Aws
from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.model.storing import RetentionMode, Storing
from pipeline.ports import ObjectStore
from pipeline.testing.fakes import FakeObjectStore

REGION = "eu-west-1"
Run = Callable[[Any], Any]


@pytest.fixture(params=["fake", "folder", pytest.param("ministack", marks=pytest.mark.emulator)])
def store(request: pytest.FixtureRequest, run: Run, name: str, tmp_path: Path) -> Iterator[ObjectStore]:
    """Each store in turn, empty."""
    if request.param == "fake":
        yield FakeObjectStore()
    elif request.param == "folder":
        with ThreadPoolExecutor(4) as threads:
            yield FolderObjectStore(tmp_path / "deep" / "folder", threads)
    else:
        aws = request.getfixturevalue("aws_on")(request.param)
        run(create_bucket(aws, REGION, name))
        run(S3ObjectStore(aws, REGION, name).create("elsewhere/a", b"not ours"))
        yield S3ObjectStore(aws, REGION, name, "ours")


async def _names(store: ObjectStore, prefix: str = "", after: str = "") -> list[str]:
    return [name async for name in store.names(prefix, after)]


def test_a_name_is_created_once(store: ObjectStore, run: Run) -> None:
    """The first object under a name stays; a second creation says so, even with the same bytes."""
    data = bytes(range(256)) * 100
    assert run(store.create("a/b.bin", data))
    assert not run(store.create("a/b.bin", data))
    assert not run(store.create("a/b.bin", b"other"))
    assert run(store.read("a/b.bin")) == data


@pytest.mark.fault("A2", "S4")
def test_of_many_creations_at_once_one_wins(store: ObjectStore, run: Run) -> None:
    """Writers that race for a name agree on one winner, whose bytes are whole."""

    async def race() -> list[bool]:
        return await asyncio.gather(*(store.create("a", b"%d" % i * 1000) for i in range(10)))

    won = run(race())
    assert won.count(True) == 1
    assert run(store.read("a")) == b"%d" % won.index(True) * 1000


def test_replace_reads_back(store: ObjectStore, run: Run) -> None:
    """An object is stored whether or not one was there; empty bytes are an object."""
    run(store.replace("a", b"1"))
    run(store.replace("a", b""))
    assert run(store.read("a")) == b""


def test_what_is_not_there(store: ObjectStore, run: Run) -> None:
    """Reading nothing is None, deleting nothing is no error, and a deleted name is free again."""
    assert run(store.read("a/b")) is None
    run(store.delete("a/b"))
    run(store.create("a/b", b"1"))
    run(store.delete("a/b"))
    assert run(store.read("a/b")) is None
    assert run(store.create("a/b", b"2"))


def test_names_come_in_order_of_their_bytes(store: ObjectStore, run: Run) -> None:
    """Names are listed by prefix, above `after`, in one order: that of the whole name, not of its folders."""
    names = ["a-b/1", "a/1", "a/10", "a/2", "a.x", "b", "a/sub/x=1/y"]
    for name in names:
        run(store.create(name, b""))
    assert run(_names(store)) == sorted(names)
    assert run(_names(store, "a/")) == ["a/1", "a/10", "a/2", "a/sub/x=1/y"]
    assert run(_names(store, "a/1")) == ["a/1", "a/10"]
    assert run(_names(store, "a/", "a/10")) == ["a/2", "a/sub/x=1/y"]
    assert run(_names(store, "a/", "a/11")) == ["a/2", "a/sub/x=1/y"]
    assert run(_names(store, "nothing/")) == []


@pytest.mark.parametrize("bad", ["", "/a", "a/", "a//b", "../a", "a/../../b", ".", ".hidden", "a b", "\u00e9", "a\n"])
def test_no_name_leads_elsewhere(store: ObjectStore, run: Run, bad: str) -> None:
    """Names that could leave the store, or that some store could not hold, are refused by every call."""
    for call in (store.create(bad, b""), store.replace(bad, b""), store.read(bad), store.delete(bad)):
        with pytest.raises(Misconfigured):
            run(call)
    if bad and not bad.endswith("/"):
        with pytest.raises(Misconfigured):
            run(_names(store, bad))


@pytest.mark.fault("S6")
@pytest.mark.emulator
def test_a_listing_has_pages(aws_on: Callable[..., Aws], run: Run, name: str) -> None:
    """More names than one answer holds are all listed, once."""
    aws = aws_on("ministack")
    run(create_bucket(aws, REGION, name))
    store = S3ObjectStore(aws, REGION, name, "p/")
    names = [f"{i:04d}" for i in range(1100)]

    async def fill() -> None:
        await asyncio.gather(*(store.create(each, b"") for each in names))

    run(fill())
    assert run(_names(store)) == names
    assert run(_names(store, after="1095")) == names[1096:]


@pytest.mark.emulator
def test_buckets(aws_on: Callable[..., Aws], run: Run, name: str) -> None:
    """A bucket is there after it was created, in any region, and creating it again is no error."""
    aws = aws_on("ministack")
    for region in ("us-east-1", "eu-west-1"):
        bucket = f"{name}-{region}"
        assert not run(bucket_exists(aws, region, bucket))
        run(create_bucket(aws, region, bucket))
        run(create_bucket(aws, region, bucket))
        assert run(bucket_exists(aws, region, bucket))
    with pytest.raises(Misconfigured, match="does not exist"):
        run(S3ObjectStore(aws, "us-east-1", f"{name}-absent").create("a", b""))


@pytest.mark.fault("M1")
def test_a_folder_shows_no_unfinished_file(run: Run, tmp_path: Path) -> None:
    """What was being written when the power went is never listed, and nothing is left of a finished write."""
    with ThreadPoolExecutor(1) as threads:
        store = FolderObjectStore(tmp_path, threads)
        run(store.create("a", b"1"))
        assert list((tmp_path / ".unfinished").iterdir()) == []
        (tmp_path / ".unfinished" / "half").write_bytes(b"ha")
        assert run(_names(store)) == ["a"]


def test_a_folder_is_tidied_when_it_is_opened(run: Run, tmp_path: Path) -> None:
    """What a killed process left unfinished is removed at the next start; what another one is writing now is not."""
    unfinished = tmp_path / ".unfinished"
    unfinished.mkdir()
    for name, age_seconds in (("left", 7200), ("fresh", 60)):
        (unfinished / name).write_bytes(b"half")
        born = (unfinished / name).stat().st_mtime - age_seconds
        os.utime(unfinished / name, (born, born))
    with ThreadPoolExecutor(1) as threads:
        FolderObjectStore(tmp_path, threads)
    assert [file.name for file in unfinished.iterdir()] == ["fresh"]


@pytest.mark.parametrize("call", ["create", "replace"])
def test_a_full_disk_leaves_nothing_unfinished(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A write that finds the disk full takes its half file with it, or the next attempt would find it fuller."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with ThreadPoolExecutor(1) as threads:
        store = FolderObjectStore(tmp_path, threads)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(RetryLater, match="ENOSPC"):
            run(getattr(store, call)("a", b"half"))
        assert list((tmp_path / ".unfinished").iterdir()) == []
        assert run(_names(store)) == []


@pytest.mark.fault("M1")
def test_a_folder_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    """A file in the way of a folder is a wrong setting, with the folder in the message."""
    (tmp_path / "file").write_bytes(b"")
    with ThreadPoolExecutor(1) as threads, pytest.raises(Misconfigured, match=r"file.*ENOTDIR"):
        FolderObjectStore(tmp_path / "file" / "folder", threads)


@pytest.mark.emulator
def test_what_is_retained_cannot_be_deleted(aws_on: Callable[..., Aws], run: Run, name: str) -> None:
    """Objects of a store with a retention carry it and cannot be deleted; a bucket without Object Lock refuses them."""
    aws = aws_on("ministack")
    client = aws.s3(REGION, CONTROL).client
    client.create_bucket(
        Bucket=name, ObjectLockEnabledForBucket=True, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    run(create_bucket(aws, REGION, f"{name}-open"))
    assert run(has_lock(aws, REGION, name))
    assert not run(has_lock(aws, REGION, f"{name}-open"))
    storing = Storing(retention_days=30, retention_mode=RetentionMode.COMPLIANCE)
    assert run(S3ObjectStore(aws, REGION, name, storing=storing).create("a", b"1"))
    head = client.head_object(Bucket=name, Key="a")
    assert head["ObjectLockMode"] == "COMPLIANCE"
    assert 29 <= (head["ObjectLockRetainUntilDate"] - head["LastModified"]).days <= 30
    with pytest.raises(ClientError, match=r"AccessDenied|object lock"):
        client.delete_object(Bucket=name, Key="a", VersionId=head["VersionId"])
    with pytest.raises(Misconfigured):
        run(S3ObjectStore(aws, REGION, f"{name}-open", storing=storing).create("a", b"1"))
