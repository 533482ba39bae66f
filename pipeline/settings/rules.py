"""Rules between settings: what each value alone cannot tell. All of them hold before anything is written."""

from pipeline.model.errors import Misconfigured
from pipeline.model.lane import LANES_MAX, valid_lanes
from pipeline.settings.declaration import Settings
from pipeline.settings.destinations import Place, PlaceKind, destinations


def check_rules(settings: Settings) -> None:
    """Raise Misconfigured, naming the setting, for the first rule that does not hold."""
    if not valid_lanes(settings.stream.lanes):
        raise Misconfigured(
            "stream.lanes: is not a power of two", hint=f"give a power of two from 1 to {LANES_MAX}, such as 64"
        )
    _check_no_loop(settings)
    _check_one_writer(settings)


def check_topologies(settings: Settings) -> None:
    """Raise Misconfigured when there is nothing to deliver to: capture alone needs no topology, delivery does."""
    if not settings.topologies:
        raise Misconfigured(
            "topologies: none is configured",
            hint="add a section such as [topologies.replica], or name some in FANOUT_TOPOLOGIES",
        )


def _check_no_loop(settings: Settings) -> None:
    """Nothing written may come back as a change: not to a source table, not to the stream that is read."""
    sources = {Place(PlaceKind.TABLE, settings.source.region, name): name for name in settings.source.tables}
    state = Place(PlaceKind.TABLE, settings.state.region, settings.state.table)
    stream = Place(PlaceKind.STREAM, settings.stream.region, settings.stream.name)
    if state in sources:
        raise Misconfigured(
            f"state.table: {state.name} is also a source table, so that every checkpoint would be a change",
            hint="give the state a table of its own",
        )
    for field, place in destinations(settings):
        if place in sources:
            raise Misconfigured(
                f"{field}: {place.region}/{place.name} is also a source table, so that every write would be a change",
                hint="write to another table or another region",
            )
        if place == stream:
            raise Misconfigured(
                f"{field}: {place.region}/{place.name} is the stream that delivery reads, so that every write would be"
                " delivered again",
                hint="write to another stream",
            )
        if place == state:
            raise Misconfigured(
                f"{field}: {place.region}/{place.name} is the state table",
                hint="give the state, or this topology, another table",
            )


def _check_one_writer(settings: Settings) -> None:
    """Two topologies in one place would overwrite or adopt each other's work."""
    writers: dict[Place, str] = {}
    if settings.stream.claim_bucket:
        claims = Place(PlaceKind.BUCKET, "", settings.stream.claim_bucket, settings.stream.claim_prefix.strip("/"))
        writers[claims] = "stream.claim_bucket"
    for field, place in destinations(settings):
        other = writers.setdefault(place, field)
        if other != field:
            raise Misconfigured(
                f"{field}: the same {place.kind} as {other}",
                hint="give each its own"
                + (", for example by another prefix" if place.kind is PlaceKind.BUCKET else ""),
            )
