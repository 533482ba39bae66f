"""The reference pages say what the code does now."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.cli.pages import PAGES
from pipeline.plugin import Topology
from pipeline.settings.reference import topology_part

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_fresh(path: str) -> None:
    """A page that differs from its generator fails here: run `fanout reference` in the checkout."""
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path]()


def test_pages_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`fanout reference` writes every page below the folder it is given."""
    assert main(["reference", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == list(PAGES)
    assert all((tmp_path / path).read_text().startswith("# ") for path in PAGES)


@dataclass(frozen=True)
class ShoutSettings:
    """The keys of `[topologies.shout]`."""

    words: tuple[str, ...]
    """What to shout,
    word by word."""
    volume: int = 11
    quiet: bool = False
    """A | B."""


def test_a_plugin_is_described_by_its_own_words() -> None:
    """A setting's docstring is its meaning; a pipe in it does not break the table."""
    part = topology_part(Topology("shout", ShoutSettings, lambda _settings, _context: None))  # type: ignore[arg-type, return-value]  # no sink is made here
    assert "| `words` | a list, each text | required | What to shout, word by word. |" in part
    assert "| `volume` | a whole number | `11` |  |" in part
    assert "| `quiet` | true or false | `false` | A \\| B. |" in part
