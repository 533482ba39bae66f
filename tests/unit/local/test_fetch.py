"""Fetching emulators."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from pipeline.local import fetch
from pipeline.local.child import Unavailable

TEXT = b"console.log('hello')"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fetch.Package:
    """A package in a private cache, and an `npm` that packs it."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package/main.js").write_bytes(TEXT)
    with tarfile.open(tmp_path / "p-1.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
    npm = tmp_path / "bin/npm"
    npm.parent.mkdir()
    npm.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\ncp {tmp_path}/p-1.tgz .\n")
    npm.chmod(0o755)
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    return fetch.Package("p", "1", "main.js", hashlib.sha256(TEXT).hexdigest())


def test_fetches_once(package: fetch.Package, tmp_path: Path) -> None:
    """The second call uses the cache, and nothing but the package is left in it."""
    first = fetch.fetched(package)
    assert fetch.fetched(package) == first
    assert (first / "main.js").read_bytes() == TEXT
    assert (tmp_path / "runs").read_text() == "run\n"
    assert [entry.name for entry in fetch.cache_folder().iterdir()] == ["p-1"]


def test_refuses_other_content(package: fetch.Package) -> None:
    """A file that is not the pinned one is never handed out."""
    with pytest.raises(Unavailable, match="not the package that was tested"):
        fetch.fetched(package._replace(sha256="0" * 64))


def test_loses_the_race_gracefully(package: fetch.Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another process renames first, its copy is used."""
    npm = tmp_path / "bin/npm"
    cache = tmp_path / "cache"
    npm.write_text(f"{npm.read_text()}mkdir {cache}/p-1 && cp {tmp_path}/package/main.js {cache}/p-1/\n")
    assert (fetch.fetched(package) / "main.js").read_bytes() == TEXT
    assert [entry.name for entry in cache.iterdir()] == ["p-1"]


def test_says_that_npm_is_missing(package: fetch.Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without npm the reason names npm and what it is needed for."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unavailable, match="npm is not installed, fetching p needs it"):
        fetch.fetched(package)
