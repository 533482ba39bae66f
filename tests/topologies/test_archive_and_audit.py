"""Archive and audit: what the contract cannot ask of every sink."""

import asyncio

import orjson

from pipeline.testing.changes import batch, history, put
from pipeline.testing.context import Stores
from pipeline.wire import chain
from topologies import archive, audit


def test_the_audit_log_names_the_actor() -> None:
    """The attribute that is configured says who made the change."""
    stores = Stores()
    sink = audit.Audit(audit.Settings("b", actor_attribute="by"), stores.context())
    asyncio.run(sink.write(batch([put("a", 1, {"by": {"S": "ann"}})], 1, 1)))
    ((name, data),) = stores.objects("b").objects.items()
    assert orjson.loads(chain.decode(name, data).lines[1])["actor"] == {"S": "ann"}


def test_archive_and_audit_can_share_a_bucket_and_prefix() -> None:
    """Their objects have folders of their own."""
    stores, changes = Stores(), history(["a"])
    asyncio.run(archive.Archive(archive.Settings("b", "p/"), stores.context()).write(batch(changes, 1, 1)))
    asyncio.run(audit.Audit(audit.Settings("b", "p/"), stores.context()).write(batch(changes, 1, 1)))
    assert [name.partition("/")[0] for name in sorted(stores.objects("b", "p/").objects)] == ["chain", "segments"]
