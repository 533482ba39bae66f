"""The forms a value can have, and how each is said in words: one place for the check, the errors and the page."""

from typing import Annotated, Any

import msgspec.inspect as shapes
from msgspec import Meta

Region = Annotated[str, Meta(pattern=r"^[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}\Z", title='an AWS region such as "eu-west-1"')]
RegionOrNone = Annotated[
    str, Meta(pattern=r"^([a-z]{2,8}(-[a-z]+)+-[0-9]{1,2})?\Z", title='an AWS region such as "eu-west-1", or ""')
]
TableName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.-]{3,255}\Z", title="a table name: 3 to 255 of A-Z a-z 0-9 _ . -")
]
TableOrNone = Annotated[
    str, Meta(pattern=r"^([A-Za-z0-9_.-]{3,255})?\Z", title="a table name: 3 to 255 of A-Z a-z 0-9 _ . -")
]
StreamName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}\Z", title="a Kinesis stream name: 1 to 128 of A-Z a-z 0-9 _ . -")
]
BucketOrNone = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?\Z",
        title='a bucket name: 3 to 63 of a-z 0-9 . -, or ""',
    ),
]
ObjectPrefix = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9._=/-]{0,512}\Z", title="an object prefix: up to 512 of A-Z a-z 0-9 . _ = / -")
]
AttributeName = Annotated[
    str, Meta(pattern=r"^\S(.{0,253}\S)?\Z", title="the name of a top-level attribute, without spaces at its ends")
]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,255}\Z", title="a host name or address, without port")]
WorkerId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{0,64}\Z", title='up to 64 of A-Z a-z 0-9 _ . : -, or ""')]

TOPOLOGY_NAME = r"[a-z][a-z0-9_-]{0,62}"
"""A topology's name travels in a channel name, in row keys and in the names of environment variables."""


def in_words(declared: Any) -> str:
    """Return what a value of a declared type looks like, for example "a whole number from 1 to 4096"."""
    return _words(shapes.type_info(declared), "")


def help_of(declared: Any) -> str:
    """Return the description given in a field's Meta, "" without one."""
    shape = shapes.type_info(declared)
    return _extra(shape, "description") if isinstance(shape, shapes.Metadata) else ""


def is_list(declared: Any) -> bool:
    """Return True when a declared type holds several values, which an environment variable separates by commas."""
    return isinstance(_bare(shapes.type_info(declared)), (shapes.CollectionType, shapes.VarTupleType))


def _bare(shape: shapes.Type) -> shapes.Type:
    return _bare(shape.type) if isinstance(shape, shapes.Metadata) else shape


def _extra(shape: shapes.Metadata, key: str) -> str:
    return str((shape.extra_json_schema or {}).get(key, ""))


def _words(shape: shapes.Type, title: str) -> str:
    match shape:
        case shapes.Metadata():
            words = _words(shape.type, title or _extra(shape, "title"))
        case shapes.VarTupleType() | shapes.CollectionType():
            words = title or f"a list, each {_words(shape.item_type, '')}"
        case shapes.UnionType():
            words = title or " or ".join(_words(t, "") for t in shape.types if not isinstance(t, shapes.NoneType))
        case shapes.IntType() | shapes.FloatType():
            words = title or ("a whole number" if isinstance(shape, shapes.IntType) else "a number") + _bounds(shape)
        case shapes.LiteralType():
            words = title or "one of " + ", ".join(f'"{value}"' for value in shape.values)
        case _:
            plain = {shapes.BoolType: "true or false", shapes.StrType: "text"}
            words = title or plain.get(type(shape), type(shape).__name__.removesuffix("Type").lower())
    return words


def _bounds(shape: shapes.IntType | shapes.FloatType) -> str:
    low, high = shape.ge, shape.le
    if low is not None and high is not None:
        return f" from {low:.12g} to {high:.12g}"
    return f" of at least {low:.12g}" if low is not None else f" of at most {high:.12g}" if high is not None else ""
