"""What somebody could do to the objects of an audit log, whole or in their middle; see `tests.tampering`."""

from collections.abc import Mapping

import orjson

from pipeline.testing.changes import STREAM
from pipeline.wire import chain, packed
from tests.tampering import Expected, Spoilt, Tampering, lines_of, position_in, resealed, rewrite


def an_object_removed(spoilt: Spoilt) -> Expected:
    """An object is deleted."""
    name = spoilt.an_object()
    del spoilt.log[name]
    return Expected(name)


def a_tail_cut(spoilt: Spoilt) -> Expected:
    """A chain's last objects are deleted."""
    name = spoilt.an_object()
    for each in spoilt.chain_from(name):
        del spoilt.log[each]
    return Expected(name)


def a_tail_cut_inside(spoilt: Spoilt) -> Expected:
    """A chain ends in the middle of an object, which is closed properly; what came later is deleted."""
    name = spoilt.an_object(entries=2)
    lines = lines_of(spoilt.log[name])
    keep = spoilt.chance.randrange(1, len(lines) - 2)
    position = position_in(lines[keep + 1])
    header = orjson.loads(lines[0]) | {"last": position_in(lines[keep])}
    for each in spoilt.chain_from(name)[1:]:
        del spoilt.log[each]
    rewrite(spoilt, name, [orjson.dumps(header), *lines[1 : keep + 1], lines[-1]])
    return Expected(name, keep + 1, position)


def an_object_renamed(spoilt: Spoilt) -> Expected:
    """An object has the name of another position."""
    name = spoilt.an_object()
    folder, _, last = name.rpartition("/")
    at = int(last[:20]) + spoilt.chance.randint(1, 3) * spoilt.chance.choice([1, 1000])
    spoilt.log[f"{folder}/{at:020d}{chain.KIND.suffix}"] = spoilt.log.pop(name)
    return Expected(name)


def two_objects_exchanged(spoilt: Spoilt) -> Expected:
    """Two objects have each other's name."""
    one, two = spoilt.chance.sample(spoilt.chains, 2)
    spoilt.log[one], spoilt.log[two] = spoilt.log[two], spoilt.log[one]
    return Expected(min(one, two))


def an_object_added(spoilt: Spoilt) -> Expected:
    """A branch of the chain is stored beside it: an object, sound in itself, that starts inside another."""
    name = spoilt.an_object(entries=2)
    lines = lines_of(spoilt.log[name])
    header = orjson.loads(lines[0])
    first = spoilt.chance.randint(header["first"] + 1, header["last"])
    header |= {"first": first, "parents": []}
    kept = [line for line in lines[1:-1] if position_in(line) >= first]
    added = chain.KIND.name(STREAM, header["shard"], first)
    spoilt.log[added] = packed.pack(resealed([orjson.dumps(header), *kept, lines[-1]])[0])
    return Expected(added)


def a_chain_moved(spoilt: Spoilt) -> Expected:
    """A whole chain lies under the name of another shard."""
    first = spoilt.chain_from(spoilt.an_object())[0]
    folder = first.rpartition("/")[0]
    whole = [each for each in spoilt.chains if each.startswith(f"{folder}/")]
    for each in whole:
        spoilt.log[each.replace(folder, f"{folder}9")] = spoilt.log.pop(each)
    return Expected(whole[0])


def a_foreign_object(spoilt: Spoilt) -> Expected:
    """Something lies in the log that is none of it."""
    name = f"chain/{STREAM}/{spoilt.chance.choice(['note', 'shardId-000000000000/x.jsonl.zst'])}"
    spoilt.log[name] = b"not ours"
    return Expected(name)


OBJECT_TAMPERINGS: Mapping[str, Tampering] = {
    "an object removed": an_object_removed,
    "a tail of objects cut": a_tail_cut,
    "a tail of entries cut, closed anew": a_tail_cut_inside,
    "an object renamed": an_object_renamed,
    "objects exchanged": two_objects_exchanged,
    "a fork": an_object_added,
    "a chain moved to another shard": a_chain_moved,
    "a foreign object": a_foreign_object,
}
