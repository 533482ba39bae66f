"""Reading items by their keys: how many at once, and what it takes of the table's capacity."""

from collections.abc import Iterable

GET_ITEMS_MAX = 100
"""What BatchGetItem takes, and `ItemStore.get`."""
READ_UNIT_BYTES = 4096


def units_of_get(asked: int, images: Iterable[bytes]) -> int:
    """Return the units of reading so many items consistently: one each, and more for the large ones that are there."""
    return asked + sum(len(image) // READ_UNIT_BYTES for image in images)
