"""What of an item a topology may keep: attributes left out, replaced by a keyed hash, or encrypted.

Equal values become equal results, so what is delivered again is the same to the byte. What was done once is not done
twice: a hash and a ciphertext show whose key made them.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
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
_HASH = re.compile(rf"{HASHED}([A-Za-z0-9_-]{{43}})")
_SETS = frozenset({"SS", "BS"})

POLICIES = "policies/"
"""What the names of those objects of an archive begin with that tell of its policies."""

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

    @property
    def note(self) -> tuple[str, bytes]:
        """Return the object that tells readers of an archive what was kept from it: its name, and what is in it."""
        data = orjson.dumps({"drop": self.drop, "hash": self.hash, "encrypt": self.encrypt})
        return f"{POLICIES}{hashlib.sha256(data).hexdigest()[:16]}.json", data

    def joined(self, name: str, note: bytes) -> "AttributePolicy":
        """Return what either this or a note names. Raises Corrupt, naming the object, for one that is none."""
        try:
            found = _note.decode(note)
        except UNREADABLE as error:
            raise Corrupt(
                f"object {name} is damaged", hint="restore it from a version or a copy of the bucket"
            ) from error
        return AttributePolicy(
            _both(self.drop, found.drop),
            _both(self.hash, found.hash),
            _both(self.encrypt, found.encrypt),
            self.key_file,
        )


def _both(ours: Iterable[str], theirs: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*ours, *theirs)))


class _Note(msgspec.Struct):
    drop: tuple[str, ...]
    hash: tuple[str, ...]
    encrypt: tuple[str, ...]


_note = msgspec.json.Decoder(_Note)


class AttributeKey:
    """One secret of KEY_BYTES random bytes: hashes and encrypts values, and knows what it made."""

    def __init__(self, secret: bytes) -> None:
        assert len(secret) == KEY_BYTES
        self._tag, self._proof, sealing = (_derived(secret, use) for use in (b"tag", b"proof", b"seal"))
        self._siv = AESSIV(sealing)

    def hashed(self, name: str, value: Any) -> dict[str, str]:
        """Return the hash of an attribute's value, as an attribute's value: a tag, and the tag's own hash as proof."""
        tag = hmac.digest(self._tag, name.encode() + b"\0" + _plain(name, value), "sha256")[:TAG_BYTES]
        return {"S": self._spelt(name, tag)}

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

    def made_hash(self, name: str, value: Any) -> bool:
        """Return True for what `hashed` returns under this name, to the letter: what stood beside it would pass."""
        text = value.get("S") if isinstance(value, dict) and len(value) == 1 else None
        found = _HASH.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            return False
        data = base64.urlsafe_b64decode(found[1] + "=")
        return hmac.compare_digest(self._spelt(name, data[:TAG_BYTES]), found[0])

    def _spelt(self, name: str, tag: bytes) -> str:
        proof = hmac.digest(self._proof, name.encode() + b"\0" + tag, "sha256")[:PROOF_BYTES]
        return HASHED + base64.urlsafe_b64encode(tag + proof).decode().rstrip("=")


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
            elif name in self.policy.hash:
                if not any(key.made_hash(name, item[name]) for key in self.keys):
                    item[name] = self.keys[0].hashed(name, item[name])
            elif all(key.opened(name, item[name]) is None for key in self.keys):
                item[name] = self.keys[0].sealed(name, item[name])
        return orjson.dumps(item) if found else image

    def resealed(self, image: bytes) -> bytes:
        """Return a stored item as the present key would have made it, where an older key encrypted."""
        return orjson.dumps(self._resealed(image)) if _SEALED_TEXT.encode() in image else image

    def _resealed(self, image: bytes) -> dict[str, Any]:
        item = _item(image)
        for name in self.policy.encrypt:
            found = next(filter(None, (key.opened(name, item.get(name)) for key in self.keys[1:])), None)
            if found is not None:
                item[name] = self.keys[0].sealed(name, found)
        return item

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


class Revealing:
    """Decrypts an item's attributes. What none of the keys made stays as it is, and is named in `closed`."""

    def __init__(self, keys: Sequence[AttributeKey]) -> None:
        self._keys = keys
        self.closed: set[str] = set()
        """Attributes that look encrypted, and could not be decrypted."""

    def __call__(self, image: bytes) -> bytes:
        """Return an item decrypted."""
        if _SEALED_TEXT.encode() not in image:
            return image
        item = _item(image)
        for name, value in item.items():
            if is_sealed(value):
                item[name] = self._opened(name, value)
        return orjson.dumps(item)

    def _opened(self, name: str, value: Any) -> Any:
        for key in self._keys:
            if (found := key.opened(name, value)) is not None:
                return found
        self.closed.add(name)
        return value


def must_be_open(image: bytes, names: Iterable[str]) -> bytes:
    """Return an item, as it is. Raises Misconfigured when one of these attributes is encrypted."""
    if _SEALED_TEXT.encode() in image:
        item = _item(image)
        for name in names:
            if is_sealed(item.get(name)):
                raise Misconfigured(
                    f"attribute {name} is encrypted in the archive",
                    hint="give --reveal, with a line for its key in attributes_key_file; without the key it is lost",
                )
    return image


def without(image: bytes, names: Collection[str]) -> bytes:
    """Return an item without some of its attributes."""
    item = _item(image)
    found = item.keys() & set(names)
    return orjson.dumps({name: value for name, value in item.items() if name not in found}) if found else image


def is_sealed(value: Any) -> bool:
    """Return True for a value that looks like a ciphertext of ours."""
    return isinstance(value, dict) and str(value.get("B", "")).startswith(_SEALED_TEXT)


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
