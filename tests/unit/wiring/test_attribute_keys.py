"""The attribute policy of a configuration, and the file of its keys: what is refused, and by which words."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured
from pipeline.model.facts import TableFacts
from pipeline.settings import Settings
from pipeline.testing.fakes import FakeObjectStore
from pipeline.wiring.attributes import guard_of, key_findings, make_key, mirror_of, read_keys
from pipeline.wiring.policies import kept_from, restoring_of, revealing_of
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
        (['drop_attributes = [" mail"]'], "topologies.copy.drop_attributes", "without spaces at its ends"),
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
    sealed, policy = guard.image(ITEM), settings.topologies["copy"].attributes
    assert restoring_of(policy, revealing_of(settings, "copy", reveal=True))(sealed) == ITEM
    with pytest.raises(Misconfigured, match="attribute name is encrypted"):
        restoring_of(policy, revealing_of(settings, "copy", reveal=False))(sealed)
    plain = configured(tmp_path)
    assert guard_of(plain.topologies["copy"]) is None
    with pytest.raises(Misconfigured, match="attributes_key_file: is missing, to reveal"):
        revealing_of(plain, "copy", reveal=True)


def test_what_an_archive_ever_lacked_is_not_restored_into_the_live_table(tmp_path: Path) -> None:
    """A policy that was taken out of the settings is still told by the archive: its items lack what they lack."""

    async def story() -> None:
        store = FakeObjectStore()
        dropping = configured(tmp_path, 'drop_attributes = ["card"]').topologies["copy"]
        await store.create(*dropping.attributes.note)
        kept = await kept_from(store, configured(tmp_path).topologies["copy"])
        with pytest.raises(Misconfigured, match="does not have the attribute card of all items"):
            restoring_of(kept, None)
        other = await kept_from(FakeObjectStore(), configured(tmp_path).topologies["copy"])
        odd = b'{"id":{"S":"1"},"text":{"S":"fanout-hash:hello"},"bin":{"B":"ZmFub3V0LmUxAA=="}}'
        assert restoring_of(other, None)(odd) == odd

    asyncio.run(story())


@pytest.mark.parametrize("key", ["drop_attributes", "hash_attributes", "encrypt_attributes"])
def test_an_empty_variable_does_not_switch_a_policy_off(tmp_path: Path, key: str) -> None:
    """`${X:-}` of a container's file is refused by its name; so is a slip of the variable's."""
    text = RIGHT.replace("[topologies.copy]", '[topologies.copy]\ndrop_attributes = ["card"]')
    with pytest.raises(Misconfigured, match=f"variable FANOUT_TOPOLOGIES_COPY_{key.upper()} is empty"):
        load_text(tmp_path, text, {f"FANOUT_TOPOLOGIES_COPY_{key.upper()}": " "})
    with pytest.raises(Misconfigured, match="there is no such setting") as told:
        load_text(tmp_path, text, {f"FANOUT_TOPOLOGY_COPY_{key.upper()}": "mail"})
    assert f"FANOUT_TOPOLOGIES_COPY_{key.upper()}" in told.value.hint


def test_a_copy_is_compared_under_its_policy(tmp_path: Path) -> None:
    """What a replica is to have lacks what it may not have, whatever the topology itself does to an item."""
    text = (
        RIGHT.split("[topologies.copy]")[0] + '[topologies.replica]\nregion = "eu-west-1"\ndrop_attributes = ["name"]\n'
    )
    mirror = mirror_of(load_text(tmp_path, text).topologies["replica"])
    assert mirror is not None
    assert mirror.expected(ITEM) == b'{"id":{"S":"1"}}'
    assert mirror.held(ITEM) == ITEM
    assert mirror_of(configured(tmp_path).topologies["copy"]) is None
