"""The attribute policy of a configuration, and the file of its keys: what is refused, and by which words."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured
from pipeline.model.facts import TableFacts
from pipeline.settings import Settings
from pipeline.wiring.attributes import guard_of, key_findings, make_key, read_keys, restoring_of, revealing_of
from tests.unit.settings.configurations import RIGHT, load_text
from tests.unit.settings.test_preflight import TEXT, Account, look

ITEM = b'{"id":{"S":"1"},"name":{"S":"Ada"}}'


def configured(tmp_path: Path, *lines: str, text: str = RIGHT) -> Settings:
    """Return the right configuration with these lines in the section of its topology."""
    return load_text(tmp_path, text.replace("[topologies.copy]", "\n".join(["[topologies.copy]", *lines])))


@pytest.mark.parametrize(
    ("lines", "reason", "fix"),
    [
        (['drop_attributes = ["a"]', 'hash_attributes = ["a"]'], "attribute a is named twice", "in one of"),
        (['hash_attributes = ["a"]'], "topologies.copy.attributes_key_file: is missing", "attributes keygen"),
        (['encrypt_attributes = ["a"]'], "topologies.copy.attributes_key_file: is missing", "attributes keygen"),
        (['drop_attributes = [""]'], "topologies.copy.drop_attributes", "name of a top-level attribute"),
        (['drop_attributes = "a"'], "topologies.copy.drop_attributes", "list"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(tmp_path: Path, lines: list[str], reason: str, fix: str) -> None:
    """An attribute with two fates, a policy without its key and a name that is none are told by setting and fix."""
    with pytest.raises(Misconfigured) as told:
        configured(tmp_path, *lines)
    assert (reason in told.value.reason, fix in f"{told.value.reason} {told.value.hint}") == (True, True), told.value


def test_a_key_attribute_is_found_before_the_start(tmp_path: Path) -> None:
    """`fanout check` names the attribute and the table whose key it is of."""
    text = TEXT.replace("[topologies.copy]", '[topologies.copy]\ndrop_attributes = ["at"]')
    keys = TableFacts("ACTIVE", (("id", "S"),), "NEW_AND_OLD_IMAGES")
    found = look(tmp_path, Account().with_table("us-east-1", "users", keys), text)
    mine = [each for each in found if "neither left out" in each.reason]
    assert [(each.field, each.severity) for each in mine] == [("topologies.copy", "error")]
    assert "attribute at is of the key of table orders" in mine[0].reason


def test_a_new_key_is_its_owners_alone_and_never_put_over_another(tmp_path: Path) -> None:
    """The file can be read by its owner; what is there is left; the fingerprint tells keys apart and shows nothing."""
    file = tmp_path / "a.key"
    made = make_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
    assert len(read_keys(file)) == 1
    assert made["fingerprint"] not in file.read_text()
    with pytest.raises(Misconfigured, match="is there already"):
        make_key(file)
    assert make_key(tmp_path / "b.key")["fingerprint"] != made["fingerprint"]


def _readable(file: Path) -> None:
    make_key(file)
    file.chmod(0o644)


def _half(file: Path) -> None:
    make_key(file)
    file.write_text(file.read_text()[:60] + "\n")


def _another(file: Path) -> None:
    make_key(file)
    file.write_text(f"{file.read_text()}secret-of-mine\n")


def _empty(file: Path) -> None:
    file.touch(0o600)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: None, "cannot be read"),
        (_readable, "others may read this key"),
        (_half, "line 1 is no key"),
        (_another, "line 2 is no key"),
        (_empty, "has no key"),
    ],
)
def test_a_file_that_is_no_key_is_told_and_not_shown(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    """Missing, readable by others, cut, with a line too many, empty: told by name, also by `fanout check`."""
    file = tmp_path / "a.key"
    spoil(file)
    settings = configured(tmp_path, 'encrypt_attributes = ["name"]', f'attributes_key_file = "{file}"')
    with pytest.raises(Misconfigured, match=reason) as told:
        guard_of(settings.topologies["copy"])
    assert "secret-of-mine" not in str(told.value)
    assert [each.field for each in key_findings(settings)] == ["topologies.copy.attributes_key_file"]


def test_what_is_encrypted_goes_into_the_live_table_revealed_or_not_at_all(tmp_path: Path) -> None:
    """With --reveal an item is whole again; without it, and from a topology that drops, a restore is refused."""
    file = tmp_path / "a.key"
    make_key(file)
    settings = configured(tmp_path, 'encrypt_attributes = ["name"]', f'attributes_key_file = "{file}"')
    guard = guard_of(settings.topologies["copy"])
    assert guard is not None
    sealed = guard.image(ITEM)
    assert restoring_of(settings, "copy", reveal=True)(sealed) == ITEM
    with pytest.raises(Misconfigured, match="attribute name is encrypted"):
        restoring_of(settings, "copy", reveal=False)(sealed)
    dropping = configured(tmp_path, 'drop_attributes = ["name"]')
    with pytest.raises(Misconfigured, match="the live table would lose it"):
        restoring_of(dropping, "copy", reveal=False)
    with pytest.raises(Misconfigured, match="attributes_key_file: is missing, to reveal"):
        revealing_of(dropping, "copy", reveal=True)
    assert guard_of(configured(tmp_path).topologies["copy"]) is None
