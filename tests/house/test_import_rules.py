"""`make check` fails when someone imports what is not theirs, or adds a module without saying what it is for.

The repository is copied, violations are planted, and the commands of `make check` are run on the copy.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

CORE = "The core knows no vendor, no clock, no chance and no thread"
SURFACE = "Topologies see the plugin surface only"
LAYERS = "A change flows one way through the layers"
PLANTED = [
    ("topologies/planted.py", "import pipeline.model.change", SURFACE, "topologies.planted -> pipeline.model.change"),
    ("topologies/planted_too.py", "import pipeline.delivery", SURFACE, "topologies.planted_too -> pipeline.delivery"),
    ("pipeline/capture/planted.py", "import boto3", CORE, "pipeline.capture.planted -> boto3"),
    ("pipeline/delivery/planted.py", "import faust", CORE, "pipeline.delivery.planted -> faust"),
    ("pipeline/history/planted.py", "import time", CORE, "pipeline.history.planted -> time"),
    ("pipeline/wire/planted.py", "import random", CORE, "pipeline.wire.planted -> random"),
    (
        "pipeline/model/planted.py",
        "import orjson",
        "The model and the ports need the standard library only",
        "pipeline.model.planted -> orjson",
    ),
    (
        "pipeline/cli/planted.py",
        "import boto3",
        "Only the adapters import the AWS SDK",
        "pipeline.cli.planted -> boto3",
    ),
    ("pipeline/aws/planted.py", "import faust", "Only the worker imports Faust", "pipeline.aws.planted -> faust"),
    (
        "topologies/planted_third.py",
        "import topologies.planted",
        "Topologies do not know each other",
        "topologies.planted_third -> topologies.planted",
    ),
    (
        "pipeline/worker/planted.py",
        "import topologies.planted",
        "The pipeline knows topologies by name, never by import",
        "pipeline.worker.planted -> topologies.planted",
    ),
    (
        "pipeline/local/planted.py",
        "import pipeline.testing",
        "The test kit stays out of production",
        "pipeline.local.planted -> pipeline.testing",
    ),
    (
        "pipeline/coordination/planted.py",
        "import pipeline.aws",
        LAYERS,
        "pipeline.coordination.planted -> pipeline.aws",
    ),
    ("pipeline/drawer.py", '"""Anything."""', LAYERS, "pipeline.drawer"),
]


def copied(to: Path) -> Path:
    """Return a copy of the repository without what was built or downloaded."""
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(".git", ".*cache*", ".venv", "__pycache__", ".hypothesis"))
    return to


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run one of the commands of `make check` in a tree, on the code of that tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    arguments = [sys.executable, "-m", *command] if command[0] == "pytest" else [str(BIN / command[0]), *command[1:]]
    return subprocess.run(arguments, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=60)


def plant(tree: Path, path: str, text: str) -> None:
    """Add a module."""
    (tree / path).write_text(text + "\n")


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Return what the import linter says about a tree with all violations in it."""
    tree = copied(tmp_path_factory.mktemp("planted") / "tree")
    for path, text, _, _ in PLANTED:
        plant(tree, path, text)
    return run(tree, "lint-imports", "--no-cache")


def test_make_check_runs_the_rules() -> None:
    """The commands tried here are those of `make check`."""
    done = subprocess.run(["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert ".venv/bin/lint-imports\n" in done.stdout
    assert ".venv/bin/python -m pytest tests/test_tidy.py\n" in done.stdout


def test_the_tree_as_it_is_passes(tmp_path: Path) -> None:
    """The rules hold before anything is planted, so that the planted module is what breaks them."""
    done = run(copied(tmp_path / "tree"), "lint-imports", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_violation_fails_the_check(verdict: subprocess.CompletedProcess[str]) -> None:
    """The exit code is not 0."""
    assert verdict.returncode == 1, verdict.stdout + verdict.stderr


@pytest.mark.parametrize(("path", "text", "contract", "named"), PLANTED, ids=[f"{p[0]}: {p[1]}" for p in PLANTED])
def test_every_violation_is_named(
    verdict: subprocess.CompletedProcess[str], path: str, text: str, contract: str, named: str
) -> None:
    """The broken contract is named by what it protects, with the module and what it imports."""
    assert f"{contract} BROKEN" in verdict.stdout
    assert named in verdict.stdout


def test_a_module_named_in_no_doc_fails_the_check(tmp_path: Path) -> None:
    """A new module that the page of modules does not have is named, with what to do about it."""
    tree = copied(tmp_path / "tree")
    plant(tree, "pipeline/wire/planted.py", '"""Bytes."""')
    done = run(tree, "pytest", "tests/test_tidy.py", "-p", "no:cacheprovider", "-k", "names_every_module")
    assert done.returncode == 1, done.stdout + done.stderr
    assert (
        "pipeline/wire/planted.py is named in no doc: give it a first line and run `fanout reference .`" in done.stdout
    )
