"""Planted bugs of delivery, of what it drops as repeats, and of the sinks."""

from tests.simulation.planting import Mutant

DELIVERY = (
    Mutant(
        "settled-when-taken",
        "a batch counts as settled when it is handed over",
        "pipeline.delivery.cursor:Cursor._cut",
        "    return Batch(",
        "    self.settled = after\n    return Batch(",
    ),
    Mutant(
        "sink-not-awaited",
        "the sink's write is started and not awaited",
        "pipeline.delivery.deadline:_outcome",
        "Outcome(await call(), None)",
        "Outcome(asyncio.ensure_future(call()).add_done_callback(lambda task: task.exception()), None)",
    ),
    Mutant(
        "halted-batch-skipped",
        "a batch that the sink refused to take is passed by",
        "pipeline.delivery.topology:TopologyRunner.deliver",
        "Flow.HALTED, batch, error, attempt)\n            await",
        "Flow.HALTED, batch, error, attempt)\n            return\n            await",
    ),
    Mutant(
        "retried-batch-skipped",
        "a batch is given up after a call that failed",
        "pipeline.delivery.topology:TopologyRunner.deliver",
        "self._say(report, Flow.RETRYING, batch, error, attempt)",
        "return",
    ),
    Mutant(
        "delivery-last-page-dropped",
        "delivery drops the records of the page that has no next iterator",
        "pipeline.delivery.reader:ShardReader.read",
        "self._page(records, None",
        "self._page(records if raw.next else [], None",
    ),
    Mutant(
        "delivery-expired-iterator-at-latest",
        "after an expired iterator delivery goes on at the end of the shard",
        "pipeline.delivery.reader:ShardReader._fetch",
        "except IteratorExpired as error:\n        self._iterator = None",
        "except IteratorExpired as error:\n"
        "        self._iterator, self.place = None, self.place._replace(sequence=10**70)",
    ),
    Mutant(
        "corrupt-record-skipped",
        "a record that cannot be decoded is passed by",
        "pipeline.delivery.reader:ShardReader.read",
        "            if not records:\n                raise\n",
        "            if not records:\n                continue\n",
    ),
    Mutant(
        "claim-digest-not-checked",
        "a claimed object is used without a look at its digest",
        "pipeline.wire.compact:check_claim",
        "if frame is None or hashlib.sha256(frame).hexdigest() != claim.sha256:",
        "if frame is None:",
    ),
    Mutant(
        "ring-joined-behind-its-end",
        "a cursor joins a ring behind the page that says the shard has ended",
        "pipeline.delivery.ring:Ring.join",
        "if self.ended:",
        "if False:",
    ),
    Mutant(
        "ring-joined-before-its-start",
        "a cursor whose place the ring has passed joins it at its oldest page",
        "pipeline.delivery.ring:Ring.join",
        "        return None\n    for",
        "        return self.oldest\n    for",
    ),
    Mutant(
        "ring-fallen-off",
        "a cursor that the ring has left behind goes on at its oldest page",
        "pipeline.delivery.cursor:Cursor.follow",
        "            self.index = None\n            return",
        "            self.index = ring.oldest",
    ),
    Mutant(
        "ring-restart-takes-all-along",
        "when the ring begins again, cursors that are further back follow it too",
        "pipeline.delivery.shard:ShardDelivery._restart",
        "if cursor.place == place]",
        "if True]",
    ),
    Mutant(
        "delivery-child-before-parent",
        "a topology starts a child shard before it has ended the parent",
        "pipeline.delivery.beginning:Beginnings.of",
        "        return None\n",
        "        pass\n",
    ),
    Mutant(
        "shard-finished-before-saved",
        "a shard is marked as finished before its last checkpoint is saved",
        "pipeline.delivery.shard:ShardDelivery.ended",
        "follower.slot.saved.ended",
        "follower.cursor.ended",
    ),
    Mutant(
        "ended-with-batches-out",
        "a shard has ended for a topology that still has batches to write",
        "pipeline.delivery.cursor:Cursor.idle",
        "self._inflight or ",
        "",
    ),
    Mutant(
        "progress-past-batches-out",
        "records without a wanted change are settled although batches before them are not",
        "pipeline.delivery.cursor:Cursor._advance",
        "if self._inflight:",
        "if False:",
    ),
    Mutant(
        "drain-saves-unsettled",
        "a stopping worker saves what it has taken and not settled",
        "pipeline.delivery.stream:StreamDelivery._save",
        "    try:\n",
        "    for cursor in [f.cursor for f in delivery.followers.values() if f.cursor._inflight]:\n"
        "        cursor.settled = cursor._inflight[-1].after\n"
        "    try:\n",
    ),
)

REPEATS = (
    Mutant(
        "dedupe-off",
        "repeats are delivered",
        "pipeline.model.progress:Seen.fresh_above",
        "else self._state.get((shard, lane), NOTHING)[0]",
        "else -1",
    ),
    Mutant(
        "dedupe-forgets-at-a-reshard",
        "a child shard does not know what its parents had seen",
        "pipeline.delivery.beginning:Beginnings._behind",
        "seen.merge(each.seen)",
        "pass",
    ),
    Mutant(
        "dedupe-window-too-small",
        "what was seen of a lane is forgotten after two seconds",
        "pipeline.model.progress:Seen.snapshot",
        "arrival_ms - SEEN_KEPT_MS",
        "arrival_ms - 2_000",
    ),
    Mutant(
        "dedupe-merge-takes-the-last",
        "of two parents of a merge the last one's word counts, not the higher",
        "pipeline.model.progress:Seen.note",
        "if sequence > self._state.get((shard, lane), NOTHING)[0]:",
        "if True:",
    ),
    Mutant(
        "repeats-within-a-record",
        "a record that holds something new is delivered whole",
        "pipeline.delivery.cursor:Cursor._accept",
        "if change.sequence > known)",
        "if fresh[-1].sequence > known)",
    ),
    Mutant(
        "position-not-restored",
        "positions count from zero again after a restart",
        "pipeline.delivery.cursor:Cursor.begin",
        "self._position = checkpoint.position",
        "self._position = 0",
    ),
    Mutant(
        "delivered-not-restored",
        "after a restart a range of positions without a wanted change belongs to no batch",
        "pipeline.delivery.cursor:Cursor.begin",
        "checkpoint.delivered",
        "checkpoint.position",
    ),
)

SINKS = (
    Mutant(
        "taken-name-is-success",
        "an object that is already there is taken for ours",
        "pipeline.wire.rangelog:RangeLog._extend",
        "if await self._objects.create(name, data):",
        "if await self._objects.create(name, data) or True:",
    ),
    Mutant(
        "stale-link-trusted",
        "after another worker has written, the log is continued from the object remembered",
        "pipeline.wire.rangelog:RangeLog.append",
        "    adopting = link is None or link.last != batch.first - 1",
        "    adopting = link is None\n    link = link and Link(max(link.last, batch.first - 1), link.name, link.seal)",
    ),
    Mutant(
        "position-refusal-is-success",
        "a transaction that was refused because the row is elsewhere counts as applied",
        "pipeline.wire.positions:Positions.move",
        "if moved:",
        "if moved or True:",
    ),
    Mutant(
        "position-unconditional",
        "the position row is moved from wherever it is",
        "pipeline.wire.positions:Positions.move",
        "row.at, part.last)",
        "await self._items.position(self.table, self._row(part.shard)), part.last)",
    ),
    Mutant(
        "first-change-of-an-item",
        "of several changes of an item in a batch the first is written",
        "topologies.replica:last_changes",
        "for position, change in batch}",
        "for position, change in reversed(list(batch))}",
    ),
    Mutant(
        "unprocessed-items-ignored",
        "what BatchWriteItem left unprocessed is not written",
        "topologies.replica:write_economy",
        "left = [*unprocessed, *left]",
        "pass",
    ),
    Mutant(
        "tombstone-missing",
        "mode guarded deletes items and leaves no tombstone",
        "topologies.replica:write_guarded",
        "(items.put_newer(guarded(change, targets), VERSION, version_of(change)) for",
        "(items.put_newer(guarded(change, targets), VERSION, version_of(change)) if change.after"
        " else write_economy(items, [(0, change)], targets) for",
    ),
    Mutant(
        "version-compared-as-text",
        "versions of mode guarded are not padded, so that 10 is below 9",
        "topologies.replica:version_of",
        ":040d}",
        "}",
    ),
)
