"""Where topologies write to, as far as their settings tell.

A topology's settings are its own, but these names mean the same in all of them: `region` with `table`, `bucket` with
`prefix`, `stream`, `path`, and for a second copy `witness_bucket` with `witness_prefix`, or `witness_folder`. That is
enough to find loops and two writers of one place.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from pipeline.settings.declaration import ConfiguredTopology, Settings


class PlaceKind(StrEnum):
    """What kind of place changes are written to."""

    TABLE = "table"
    STREAM = "Kinesis stream"
    BUCKET = "bucket and prefix"
    FOLDER = "folder"


class Place(NamedTuple):
    """One place. `region` is "" for a folder, and for a bucket whose topology names none."""

    kind: PlaceKind
    region: str
    name: str
    prefix: str = ""

    def is_same(self, other: "Place") -> bool:
        """Return True for the same place; a bucket's name is one wherever it is looked at from."""
        regions_matter = self.kind is not PlaceKind.BUCKET
        return self == (other if regions_matter else other._replace(region=self.region))


def destinations(settings: Settings) -> Iterator[tuple[str, Place]]:
    """Yield (dotted name of the setting, place) for every place a topology writes to."""
    for topology in settings.topologies.values():
        for name, place in _places(topology, settings):
            yield f"topologies.{topology.name}.{name}", place


def _places(topology: ConfiguredTopology, settings: Settings) -> Iterator[tuple[str, Place]]:
    def given(name: str) -> str:
        value = getattr(topology.options, name, "")
        return value if isinstance(value, str) else ""

    if hasattr(topology.options, "table"):
        region = given("region") or settings.source.region
        names = (given("table"),) if given("table") else topology.tables
        yield from (("table", Place(PlaceKind.TABLE, region, name)) for name in names)
    if given("stream"):
        yield "stream", Place(PlaceKind.STREAM, given("region") or settings.stream.region, given("stream"))
    if given("bucket"):
        yield "bucket", Place(PlaceKind.BUCKET, given("region"), given("bucket"), given("prefix").strip("/"))
    if given("witness_bucket"):
        prefix = given("witness_prefix").strip("/")
        yield "witness_bucket", Place(PlaceKind.BUCKET, given("witness_region"), given("witness_bucket"), prefix)
    if given("witness_folder"):
        yield "witness_folder", Place(PlaceKind.FOLDER, "", given("witness_folder").rstrip("/"))
    if given("path"):
        yield "path", Place(PlaceKind.FOLDER, "", given("path").rstrip("/"))
