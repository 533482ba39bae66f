"""What destinations hold, as one file to keep, and how much a sink holds itself."""

import gc
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import orjson

from pipeline.testing.context import Stores


def dump(stores: Stores) -> bytes:
    """Return all that buckets, folders and tables hold, as JSON."""
    state = {
        "objects": {
            place: {name: b64encode(data).decode() for name, data in store.objects.items()}
            for place, store in stores.buckets.items()
        },
        "items": {
            region: {table.name: [image.decode() for image in table.items.values()] for table in store.tables.values()}
            for region, store in stores.regions.items()
        },
        "positions": {
            region: [[*row, at] for row, at in store.positions.items()] for region, store in stores.regions.items()
        },
    }
    return orjson.dumps(state, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def restore(stores: Stores, data: bytes) -> None:
    """Put what `dump` returned into empty stores."""
    state = orjson.loads(data)
    for place, objects in state["objects"].items():
        bucket, _, prefix = place.partition("/")
        held = stores.objects(bucket, prefix).objects
        held |= {name: b64decode(text) for name, text in objects.items()}
    for region, tables in state["items"].items():
        for table, images in tables.items():
            for image in images:
                stores.items(region).tables[table].put(image.encode())
    for region, rows in state["positions"].items():
        stores.items(region).positions |= {(table, row): at for table, row, at in rows}


def keep(stores: Stores, path: Path) -> None:
    """Store what destinations hold, for the versions to come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dump(stores))


def reachable_bytes(root: object, *, besides: object) -> int:
    """Return the size of everything an object holds, but for what `besides` holds too, and for code."""
    seen: set[int] = set()
    _measure(besides, seen)
    return _measure(root, seen)


def _measure(root: object, seen: set[int]) -> int:
    total, waiting = 0, [root]
    while waiting:
        each: Any = waiting.pop()
        if id(each) in seen or isinstance(each, (type, FunctionType, ModuleType)):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        waiting += gc.get_referents(each)
    return total
