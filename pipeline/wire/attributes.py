"""What of an item a topology may keep: attributes left out, replaced by a keyed hash, or encrypted.

Equal values become equal results, so what is delivered again is the same to the byte. What was done once is not done
twice: a hash and a ciphertext show whose key made them.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.model.change import Batch, Change, ChangeKind
from pipeline.model.errors import Corrupt, Misconfigured
from pipeline.wire.diff import number
from pipeline.wire.json import UNREADABLE

KEY_BYTES = 64
HASHED = "fanout-hash:"
"""What a hash in the place of a value begins with: the value is then a text, whatever it was."""
TAG_BYTES = 24
PROOF_BYTES = 8
SEALED = b"fanout.e1"
"""What a ciphertext in the place of a value begins with: nine bytes, so that its base64 is one text."""
_SEALED_TEXT = base64.b64encode(SEALED).decode()
_MARKS = (_SEALED_TEXT.encode(), HASHED.encode())
_SETS = frozenset({"SS", "BS"})

Image = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class AttributePolicy:
    """Which top-level attributes a topology does not get as they are; none is named twice."""

    drop: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    encrypt: tuple[str, ...] = ()
    key_file: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return all attributes named."""
        return (*self.drop, *self.hash, *self.encrypt)


class AttributeKey:
    """One secret of KEY_BYTES random bytes: hashes and encrypts values, and knows what it made."""

    def __init__(self, secret: bytes) -> None:
        assert len(secret) == KEY_BYTES
        self._tag, self._proof, sealing = (_derived(secret, use) for use in (b"tag", b"proof", b"seal"))
        self._siv = AESSIV(sealing)

    def hashed(self, name: str, value: Any) -> dict[str, str]:
        """Return the hash of an attribute's value, as an attribute's value."""
        tag = hmac.digest(self._tag, name.encode() + b"\0" + _plain(name, value), "sha256")[:TAG_BYTES]
        return {"S": HASHED + base64.urlsafe_b64encode(tag + self._proven(tag)).decode().rstrip("=")}

    def sealed(self, name: str, value: Any) -> dict[str, str]:
        """Return an attribute's value encrypted (AES-SIV, RFC 5297: equal values give equal ciphertexts)."""
        text = SEALED + self._siv.encrypt(_plain(name, value), [name.encode()])
        return {"B": base64.b64encode(text).decode()}

    def opened(self, name: str, value: Any) -> Any:
        """Return the value that `sealed` was given, None for one that it did not make under this name."""
        if not is_sealed(value):
            return None
        try:
            data = base64.b64decode(value["B"], validate=True)
            return orjson.loads(self._siv.decrypt(data[len(SEALED) :], [name.encode()]))
        except (InvalidTag, binascii.Error, ValueError):
            return None

    def made(self, name: str, value: Any) -> bool:
        """Return True for a value that this key hashed or, under this name, sealed."""
        if is_sealed(value):
            return self.opened(name, value) is not None
        text = value.get("S", "") if isinstance(value, dict) else ""
        if not isinstance(text, str) or not text.startswith(HASHED):
            return False
        try:
            data = base64.urlsafe_b64decode(text[len(HASHED) :] + "=")
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(data[TAG_BYTES:], self._proven(data[:TAG_BYTES]))

    def _proven(self, tag: bytes) -> bytes:
        return hmac.digest(self._proof, tag, "sha256")[:PROOF_BYTES]


@dataclass(frozen=True, slots=True)
class AttributeGuard:
    """A policy, and the keys it needs, the present one first: what a topology is given went through it."""

    policy: AttributePolicy
    keys: Sequence[AttributeKey] = ()
    _known: set[str] = field(default_factory=set)
    """Tables whose key has none of the attributes."""

    def __post_init__(self) -> None:
        assert self.keys or not (self.policy.hash or self.policy.encrypt)

    def batch(self, batch: Batch) -> Batch:
        """Return a batch as the topology may have it. Raises Misconfigured for key attributes, and Corrupt."""
        return replace(batch, changes=tuple(map(self._change, batch.changes)))

    def image(self, image: bytes) -> bytes:
        """Return an item as the topology may have it. Raises Corrupt for what is no item."""
        item = _item(image)
        found = [name for name in self.policy.names if name in item]
        for name in found:
            if name in self.policy.drop:
                del item[name]
            elif not any(key.made(name, item[name]) for key in self.keys):
                made = self.keys[0].hashed if name in self.policy.hash else self.keys[0].sealed
                item[name] = made(name, item[name])
        return orjson.dumps(item) if found else image

    def _change(self, change: Change) -> Change:
        if change.table not in self._known and change.kind is not ChangeKind.GAP:
            must_be_no_keys(self.policy, change.table, tuple(orjson.loads(change.keys)))
            self._known.add(change.table)
        return turned(change, self.image)


def must_be_no_keys(policy: AttributePolicy, table: str, names: Sequence[str]) -> None:
    """Raise Misconfigured when one of a table's key attributes, `names`, is in a policy."""
    for name in names:
        if name in policy.names:
            raise Misconfigured(
                f"attribute {name} is of the key of table {table}: it can be neither left out, hashed nor encrypted",
                hint="remove it from drop_attributes, hash_attributes and encrypt_attributes",
            )


def turned(change: Change, form: Image) -> Change:
    """Return a change with both images in another form; a gap's record is no image."""
    if change.kind is ChangeKind.GAP:
        return change
    return change._replace(before=change.before and form(change.before), after=change.after and form(change.after))


def revealing(keys: Sequence[AttributeKey]) -> Image:
    """Return what decrypts an item's attributes. It raises Misconfigured where none of the keys made one."""

    def revealed(image: bytes) -> bytes:
        if _SEALED_TEXT.encode() not in image:
            return image
        item = _item(image)
        for name, value in item.items():
            if is_sealed(value):
                item[name] = _opened(keys, name, value)
        return orjson.dumps(item)

    return revealed


def must_be_whole(image: bytes) -> bytes:
    """Return an item, as it is. Raises Misconfigured when a hash or a ciphertext stands in the place of a value."""
    if not any(mark in image for mark in _MARKS):
        return image
    for name, value in _item(image).items():
        if is_sealed(value):
            raise Misconfigured(f"attribute {name} is encrypted in the archive", hint="give --reveal, with its key")
        if str(value.get("S", "")).startswith(HASHED):
            raise Misconfigured(
                f"attribute {name} is only a hash in the archive: its value cannot be restored",
                hint="restore into a table of its own, or --file",
            )
    return image


def is_sealed(value: Any) -> bool:
    """Return True for a value that looks like a ciphertext of ours."""
    return isinstance(value, dict) and str(value.get("B", "")).startswith(_SEALED_TEXT)


def _opened(keys: Sequence[AttributeKey], name: str, value: Any) -> Any:
    for key in keys:
        if (found := key.opened(name, value)) is not None:
            return found
    raise Misconfigured(
        f"attribute {name} was encrypted with a key that is not in attributes_key_file",
        hint="add the old key as another line of that file; without it the value is lost",
    )


def _derived(secret: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, None, b"fanout attributes " + use).derive(secret)


def _item(image: bytes) -> dict[str, Any]:
    try:
        item = orjson.loads(image)
    except UNREADABLE as error:
        raise Corrupt("an image is no DynamoDB JSON") from error
    if not isinstance(item, dict):
        raise Corrupt("an image is no DynamoDB JSON")
    return item


def _plain(name: str, value: Any) -> bytes:
    """Return a value in one spelling, so that equal values have equal bytes; it is read back as that."""
    try:
        return orjson.dumps(_settled(value))
    except (*UNREADABLE, AttributeError, TypeError, ArithmeticError) as error:
        raise Corrupt(f"attribute {name} is no DynamoDB JSON") from error


def _settled(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    if kind == "N":
        content = number(content)
    elif kind == "NS":
        content = sorted(map(number, content))
    elif kind in _SETS:
        content = sorted(content)
    elif kind == "L":
        content = list(map(_settled, content))
    elif kind == "M":
        content = {name: _settled(content[name]) for name in sorted(content)}
    return {kind: content}
