"""What somebody could do to the signed roots of an audit log, in one place or in both; see `tests.tampering`."""

from collections.abc import Mapping

import orjson

from pipeline.testing.changes import STREAM
from pipeline.testing.signing import FakeSigner
from pipeline.wire import root
from tests.tampering import Expected, Objects, Spoilt, Tampering, flip


def places(spoilt: Spoilt) -> list[Objects]:
    """Return where a root is spoilt: in one place or in both."""
    return spoilt.chance.choice([[spoilt.log], [spoilt.witness], [spoilt.log, spoilt.witness]])


def a_byte_of_a_root(spoilt: Spoilt) -> Expected:
    """A bit or byte of a root is turned over."""
    name = spoilt.chance.choice(spoilt.roots)
    data = flip(spoilt.log[name], spoilt.chance)
    for place in places(spoilt):
        place[name] = data
    return Expected(name)


def a_root_forged(spoilt: Spoilt) -> Expected:
    """A root tells another head, and is signed by another key, under that key's name or under the right one's."""
    name = spoilt.chance.choice(spoilt.roots)
    forger = FakeSigner("a forger")
    told = orjson.loads(root.decode(name, spoilt.log[name]).statement)
    next(iter(told["heads"].values()))["seal"] = "0" * 64
    told["key"] = spoilt.chance.choice([told["key"], forger.public.id])
    words = orjson.dumps(told)
    for place in places(spoilt):
        place[name] = root.signed(words, forger.key.sign(words))
    return Expected(name)


def a_root_removed(spoilt: Spoilt) -> Expected:
    """A root is deleted, in one place or in both."""
    name = spoilt.chance.choice(spoilt.roots)
    for place in places(spoilt):
        del place[name]
    return Expected(name)


def roots_rolled_back(spoilt: Spoilt) -> Expected:
    """The last roots are deleted, with what they vouch for in the log or without."""
    first = spoilt.chance.choice(spoilt.roots)
    vouched = [each.name(STREAM) for each in root.decode(first, spoilt.log[first]).root.objects]
    for place in places(spoilt):
        for name in [each for each in place if each.startswith("roots/") and each >= first]:
            del place[name]
    if spoilt.chance.random() < 0.5:
        for name in vouched:
            for each in spoilt.chain_from(name):
                del spoilt.log[each]
    return Expected(first)


def a_root_replayed(spoilt: Spoilt) -> Expected:
    """An earlier root has the name of a later one, or of one that is not written yet."""
    old = spoilt.chance.choice(spoilt.roots)
    at = spoilt.chance.randint(root.number_of(old) or 0, len(spoilt.roots)) + 1
    name = root.root_name(STREAM, at)
    data = spoilt.log[old]
    for place in places(spoilt):
        place[name] = data
    return Expected(name)


ROOT_TAMPERINGS: Mapping[str, Tampering] = {
    "a byte of a root": a_byte_of_a_root,
    "a root forged": a_root_forged,
    "a root removed": a_root_removed,
    "roots rolled back": roots_rolled_back,
    "a root replayed": a_root_replayed,
}
