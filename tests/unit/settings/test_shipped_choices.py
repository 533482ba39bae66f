"""A choice that a shipped topology does not have is refused with the file, before anything runs."""

from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured
from pipeline.settings import load
from tests.unit.settings.configurations import RIGHT, load_text

COMMON = RIGHT.partition("[topologies.copy]")[0]


@pytest.mark.parametrize(
    ("section", "field", "known"),
    [
        ('[topologies.replica]\nregion = "eu-west-1"\nmode = "fast"', "topologies.replica.mode", "exact"),
        ('[topologies.archive]\nbucket = "b-1"\ncompression = "lz4"', "topologies.archive.compression", "gzip"),
    ],
)
def test_an_unknown_choice_names_the_field_and_what_there_is(
    section: str, field: str, known: str, tmp_path: Path
) -> None:
    """The field, and every value it may have, are in the message; the wrong value is not."""
    with pytest.raises(Misconfigured) as caught:
        load_text(tmp_path, COMMON + section)
    assert str(caught.value).startswith(f"{field}: is not of the right form (give one of ")
    assert f'"{known}"' in caught.value.hint


@pytest.mark.parametrize(("name", "value"), [("FANOUT_TOPOLOGIES_REPLICA_MODE", "fast")])
def test_an_unknown_choice_in_the_environment_names_the_variable(name: str, value: str, tmp_path: Path) -> None:
    """A variable with an unknown value is named as the variable it is."""
    (tmp_path / "fanout.toml").write_text(COMMON + '[topologies.replica]\nregion = "eu-west-1"')
    with pytest.raises(Misconfigured, match=name):
        load(None, {name: value}, tmp_path)
