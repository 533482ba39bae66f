"""Rules between settings: what each value alone cannot tell. All of them hold before anything is written."""

from collections.abc import Iterator

from pipeline.model.errors import Misconfigured
from pipeline.model.gap import LOG_KEPT_MS_MIN
from pipeline.model.lane import LANES_MAX, valid_lanes
from pipeline.settings.convert import convert
from pipeline.settings.declaration import Settings
from pipeline.settings.destinations import Place, PlaceKind, destinations
from pipeline.settings.forms import BucketOrNone, ObjectPrefix, Region, StreamName, TableName
from pipeline.wire.attributes import AttributePolicy

LOG_KEPT_HOURS_MIN = LOG_KEPT_MS_MIN // 3_600_000
_FORMS = {PlaceKind.TABLE: TableName, PlaceKind.STREAM: StreamName, PlaceKind.BUCKET: BucketOrNone}


def check_rules(settings: Settings) -> None:
    """Raise Misconfigured, naming the setting, for the first rule that does not hold."""
    if not valid_lanes(settings.stream.lanes):
        raise Misconfigured(
            "stream.lanes: is not a power of two", hint=f"give a power of two from 1 to {LANES_MAX}, such as 64"
        )
    if settings.quarantine.bucket and settings.quarantine.folder:
        raise Misconfigured("quarantine.folder: given together with quarantine.bucket", hint="remove one of the two")
    if 0 < settings.stream.retention_hours_max <= LOG_KEPT_HOURS_MIN:
        raise Misconfigured(
            "stream.retention_hours_max: is no more than every stream keeps", hint="give 0, or 25 to 8760 hours"
        )
    _check_names(settings)
    _check_no_loop(settings)
    _check_one_writer(settings)
    for configured in settings.topologies.values():
        _check_attributes(f"topologies.{configured.name}", configured.attributes)


def check_topologies(settings: Settings) -> None:
    """Raise Misconfigured when there is nothing to deliver to: capture alone needs no topology, delivery does."""
    if not settings.topologies:
        raise Misconfigured(
            "topologies: none is configured",
            hint="add a section such as [topologies.replica], or name some in FANOUT_TOPOLOGIES",
        )


def _check_attributes(at: str, policy: AttributePolicy) -> None:
    """One thing is done to an attribute, and the key is there for what needs it."""
    twice = [name for name in policy.names if policy.names.count(name) > 1]
    if twice:
        raise Misconfigured(
            f"{at}: the attribute {twice[0]} is named twice",
            hint="name it in one of drop_attributes, hash_attributes and encrypt_attributes",
        )
    if (policy.hash or policy.encrypt) and not policy.key_file:
        raise Misconfigured(
            f"{at}.attributes_key_file: is missing, to hash or encrypt attributes",
            hint="make a key, `fanout attributes keygen FILE`, and name the file",
        )


def _check_names(settings: Settings) -> None:
    """The names of places have forms of their own, though a topology declares them as text."""
    for field, place in destinations(settings):
        if place.region:
            convert(place.region, Region, f"{field.rpartition('.')[0]}.region")
        if place.kind in _FORMS:
            convert(place.name, _FORMS[place.kind], field)
            convert(place.prefix, ObjectPrefix, f"{field.rpartition('.')[0]}.prefix")


def _check_no_loop(settings: Settings) -> None:
    """Nothing written may come back as a change: not to a source table, not to the stream that is read."""
    sources = [Place(PlaceKind.TABLE, settings.source.region, name) for name in settings.source.tables]
    stream = Place(PlaceKind.STREAM, settings.stream.region, settings.stream.name)
    books = list(_books(settings))
    for field, place in books:
        if place in sources:
            raise Misconfigured(
                f"{field}: {place.region}/{place.name} is also a source table, so that every checkpoint would be a"
                " change",
                hint="give it a table of its own",
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
        if taken := next((book for book, its in books if its == place), None):
            raise Misconfigured(
                f"{field}: {place.region}/{place.name} is the table of {taken}", hint="give one of them another table"
            )


def _books(settings: Settings) -> Iterator[tuple[str, Place]]:
    """Yield the tables in which the pipeline keeps its own progress."""
    yield "state.table", Place(PlaceKind.TABLE, settings.state.region, settings.state.table)
    for topology in settings.topologies.values():
        table, region = (getattr(topology.options, name, "") for name in ("positions_table", "region"))
        if table:
            field = f"topologies.{topology.name}.positions_table"
            yield field, Place(PlaceKind.TABLE, region or settings.source.region, table)


def _check_one_writer(settings: Settings) -> None:
    """Two topologies in one place would overwrite or adopt each other's work."""
    writers: list[tuple[str, Place]] = []
    if settings.stream.claim_bucket:
        prefix = settings.stream.claim_prefix.strip("/")
        writers.append(("stream.claim_bucket", Place(PlaceKind.BUCKET, "", settings.stream.claim_bucket, prefix)))
    writers += _quarantine(settings)
    for field, place in destinations(settings):
        for other, taken in writers:
            if place.is_same(taken):
                own = ", for example by another prefix" if place.kind is PlaceKind.BUCKET else ""
                raise Misconfigured(f"{field}: the same {place.kind} as {other}", hint=f"give each its own{own}")
        writers.append((field, place))


def _quarantine(settings: Settings) -> list[tuple[str, Place]]:
    quarantine = settings.quarantine
    if quarantine.bucket:
        prefix = quarantine.prefix.strip("/")
        return [("quarantine.bucket", Place(PlaceKind.BUCKET, "", quarantine.bucket, prefix))]
    folder = quarantine.folder.rstrip("/")
    return [("quarantine.folder", Place(PlaceKind.FOLDER, "", folder))] if folder else []
