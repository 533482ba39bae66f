"""The pages keep their word: files they show are run, commands they name exist, links lead somewhere.

A code block whose info string has `file=PATH` is that file of a working folder: all of a page's files together are one.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path, PurePosixPath

import click
import pytest

from pipeline.cli.main import fanout
from pipeline.settings import load
from tests import house_rules

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text() for path in house_rules.files(ROOT) if path.suffix == ".md"
}
BLOCK = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)(?P<target>[^)#\s]+)[^)]*\)")
HOW_TO = "docs/how-to/write-a-topology.md"
FOR_READERS = sorted(path for path in PAGES if not path.startswith("docs/reference/"))


def files_of(page: str) -> dict[str, str]:
    """Return the files a page shows, by path."""
    found = {}
    for block in BLOCK.finditer(page):
        if name := re.search(r"\bfile=(\S+)", block["info"]):
            assert not PurePosixPath(name[1]).is_absolute()
            found[name[1]] = block["text"]
    return found


def written(folder: Path, page: str) -> Path:
    """Write a page's files into a folder, and return it."""
    for name, text in files_of(page).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def commands_of(page: str) -> list[list[str]]:
    """Return the `fanout` and `make` commands of a page's shell blocks, without their comments."""
    lines = [line for block in BLOCK.finditer(page) if block["info"] == "sh" for line in block["text"].splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True)) and words[0] in {"fanout", "make"}]


def pytest_in(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a working folder as its owner would."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.parametrize("path", [path for path in FOR_READERS if "fanout.toml" in files_of(PAGES[path])])
def test_the_configuration_of_a_page_is_right(path: str, tmp_path: Path) -> None:
    """What a page shows as fanout.toml loads, with every topology it names."""
    settings = load(None, {}, written(tmp_path, PAGES[path]))
    assert settings.topologies


def test_the_how_to_ends_in_a_topology_that_is_switched_on(tmp_path: Path) -> None:
    """The plugin of the how-to is loaded by configuration, and gets its settings."""
    settings = load(None, {}, written(tmp_path, PAGES[HOW_TO]))
    postbox = settings.topologies["postbox"]
    assert postbox.topology.name == "postbox"
    assert (postbox.options.bucket, postbox.options.prefix) == ("orders-postbox", "in/")


def test_the_test_of_the_how_to_passes(tmp_path: Path) -> None:
    """The plugin of the how-to keeps the whole contract."""
    done = pytest_in(written(tmp_path, PAGES[HOW_TO]))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_test_of_the_how_to_finds_a_sink_that_returns_early(tmp_path: Path) -> None:
    """What the page invites its reader to try is found: a sink that leaves out the last create of a batch."""
    folder = written(tmp_path, PAGES[HOW_TO])
    plugin = folder / "topologies" / "postbox.py"
    right = plugin.read_text()
    wrong = right.replace("in batch:", "in list(batch)[:-1]:")
    assert wrong != right
    plugin.write_text(wrong)
    done = pytest_in(folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_11_a_written_batch_can_be_read_back_at_once" in done.stdout


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Fail unless the words are a command, its options and its arguments."""
    if isinstance(command, click.Group):
        context = click.Context(command, parent, **command.context_settings)
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]}"
        parse(found, words[1:], context)
    else:
        command.make_context(command.name, words, parent)


@pytest.mark.parametrize("path", FOR_READERS)
def test_commands_exist(path: str) -> None:
    """Every `fanout` and `make` command a page tells its reader to type is one, with its options."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for name, *words in commands_of(PAGES[path]):
        if name == "make":
            assert words[0] in targets
        else:
            parse(fanout, words)


@pytest.mark.parametrize("path", FOR_READERS)
def test_links_lead_to_files(path: str) -> None:
    """Every relative link of a page leads to a file that exists."""
    folder = (ROOT / path).parent
    dead = [link["target"] for link in LINK.finditer(PAGES[path]) if not (folder / link["target"]).exists()]
    assert dead == []
