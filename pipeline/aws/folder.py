"""ObjectStore on a local folder, with the same promises as a bucket, a crash of the machine included."""

import asyncio
import errno
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from pipeline.aws.names import checked, checked_prefix
from pipeline.model.errors import Misconfigured, RetryLater

P = ParamSpec("P")
R = TypeVar("R")

_UNFINISHED = ".unfinished"
"""Where files are written before they get their name; not listed."""
_LEFT_OVER_SECONDS = 3600.0
"""What is unfinished for so long was left by a process that was killed; another worker may be writing the rest."""
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.EINTR})


class FolderObjectStore:
    """One folder, which is created; see `pipeline.ports.ObjectStore` for what it promises."""

    def __init__(self, folder: Path, threads: Executor) -> None:
        self._folder = folder
        self._threads = threads
        with _translated(folder):
            (folder / _UNFINISHED).mkdir(parents=True, exist_ok=True)
            _tidy(folder / _UNFINISHED)

    async def create(self, name: str, data: bytes) -> bool:
        """Store a new file; return False, changing nothing, when the name is taken."""
        return await self._run(self._create, checked(name), data)

    async def replace(self, name: str, data: bytes) -> None:
        """Store a file, over an older one of the name if there is one."""
        await self._run(self._replace, checked(name), data)

    async def read(self, name: str) -> bytes | None:
        """Return the file's bytes, None when there is none."""
        return await self._run(self._read, checked(name))

    async def names(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        """Yield names that start with `prefix` and sort after `after`, in ascending order."""
        for name in await self._run(self._names, checked_prefix(prefix), after):
            yield name

    async def delete(self, name: str) -> None:
        """Remove a file; removing nothing is no error."""
        await self._run(self._delete, checked(name))

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        with _translated(self._folder):
            return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def _create(self, name: str, data: bytes) -> bool:
        path = self._place(name)
        unfinished = self._written(data)
        try:
            os.link(unfinished, path)
        except FileExistsError:
            return False
        finally:
            unfinished.unlink()
        _sync(path.parent)
        return True

    def _replace(self, name: str, data: bytes) -> None:
        path = self._place(name)
        self._written(data).replace(path)
        _sync(path.parent)

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def _names(self, prefix: str, after: str) -> list[str]:
        found: list[str] = []
        start = self._folder / prefix.rpartition("/")[0]
        for parent, folders, files in os.walk(start):
            if _UNFINISHED in folders and Path(parent) == self._folder:
                folders.remove(_UNFINISHED)
            relative = Path(parent).relative_to(self._folder)
            found += [str(relative / file) for file in files]
        return sorted(name for name in found if name.startswith(prefix) and name > after)

    def _delete(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def _place(self, name: str) -> Path:
        """Return the path of a name, its folders made and durable."""
        path = self._folder / name
        missing = [folder for folder in path.parents if not folder.is_dir()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            _sync(folder.parent)
        return path

    def _written(self, data: bytes) -> Path:
        unfinished = self._folder / _UNFINISHED / uuid.uuid4().hex
        try:
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            unfinished.unlink(missing_ok=True)  # or every try would fill a full disk further
            raise
        return unfinished


def _tidy(unfinished: Path) -> None:
    """Remove what was left over, by the clock of the file system: a new file there says what time it is."""
    now = unfinished / uuid.uuid4().hex
    try:
        now.touch()
        for file in unfinished.iterdir():
            with suppress(FileNotFoundError):  # another worker tidies as well
                if now.stat().st_mtime - file.stat().st_mtime > _LEFT_OVER_SECONDS:
                    file.unlink()
    finally:
        now.unlink(missing_ok=True)


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = f"folder {folder}: {errno.errorcode.get(error.errno or 0, 'unknown')}"
        if error.errno in _PASSING:
            raise RetryLater(reason, hint="is the disk full?") from error
        raise Misconfigured(reason, hint="is it a folder this process may write to?") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
