"""Planted bugs of capture, checkpoints and leases."""

from tests.simulation.planting import Mutant

CAPTURE = (
    Mutant(
        "capture-checkpoint-before-put",
        "capture moves its checkpoint, then puts the changes into the stream",
        "pipeline.capture.shard:ShardCapture.step",
        "    if changes:\n        await self._forward(changes)\n    if changes or closed:\n"
        "        await self._save(changes, closed)\n",
        "    if changes or closed:\n        await self._save(changes, closed)\n"
        "    if changes:\n        await self._forward(changes)\n",
    ),
    Mutant(
        "capture-ended-before-put",
        "capture calls a shard ended while the changes of its last page are still to be put",
        "pipeline.capture.shard:ShardCapture.step",
        "    if changes:\n        await self._forward",
        "    self.ended = closed\n    if changes:\n        await self._forward",
    ),
    Mutant(
        "capture-last-page-dropped",
        "capture drops the changes of the page that has no next iterator",
        "pipeline.capture.shard:ShardCapture._gather",
        "changes += page.changes\n",
        "changes += page.changes if page.next else ()\n",
    ),
    Mutant(
        "capture-expired-iterator-at-latest",
        "after an expired iterator capture goes on at the end of the shard",
        "pipeline.capture.shard:ShardCapture._page",
        "except IteratorExpired as error:\n        self._iterator = None",
        "except IteratorExpired as error:\n        self._iterator, self._read = None, 10**40",
    ),
    Mutant(
        "capture-reads-on-after-a-halt",
        "after a halt capture goes on behind the changes it did not put",
        "pipeline.capture.shard:ShardCapture._go_back",
        "self._iterator, self._read, self._passing = None, self._slot.saved.sequence, None",
        "pass",
    ),
    Mutant(
        "capture-child-before-parent",
        "capture starts a child shard while its parent is still read",
        "pipeline.model.shard:ready",
        "return all(",
        "return True or all(",
    ),
    Mutant(
        "capture-believes-one-listing",
        "capture takes a parent that one listing lacks for trimmed",
        "pipeline.capture.table:TableCapture._lease",
        "known = self._known | {shard: Shard(shard) for shard in self._absent}",
        "known = self._known",
    ),
    Mutant(
        "capture-drain-ends-shards",
        "capture marks its shards as read to their end when it is stopped",
        "pipeline.capture.table:TableCapture._leave",
        "release_all()",
        'release_all({shard: {"checkpoint": SHARD_END} for shard in self.captures})',
    ),
    Mutant(
        "capture-forgets-absent-parent",
        "capture does not count parents that the listing lacks",
        "pipeline.capture.table:TableCapture._discover",
        "for parent in parents - set(self._known)}",
        "for parent in ()}",
    ),
    Mutant(
        "put-refused-is-stored",
        "an entry that PutRecords refused counts as stored",
        "pipeline.capture.outbox:Outbox._wave",
        "refused.add(code)\n                continue",
        "refused.add(code)",
    ),
    Mutant(
        "put-unknown-is-stored",
        "a PutRecords call that failed as a whole counts as stored",
        "pipeline.capture.outbox:Outbox._wave",
        "refused.add(error.reason)\n            continue",
        "answers = (None,) * len(lanes)",
    ),
    Mutant(
        "put-naive-retry",
        "all records of a lane travel in one call, and those refused are sent again",
        "pipeline.capture.outbox:Outbox.put_all",
        "    while waiting:\n        refused = await self._wave(waiting)",
        "    flat = [record for records in waiting.values() for record in records]\n"
        "    while flat:\n"
        "        try:\n"
        "            answers = await self._log.put(flat[:500])\n"
        "        except RetryLater:\n"
        "            continue\n"
        "        flat = [r for r, code in zip(flat, answers) if code] + flat[500:]\n"
        "        refused = {code for code in answers if code}",
    ),
    Mutant(
        "put-suffix-retry",
        "all records of a lane travel in one call, and from the first refused one on they are sent again",
        "pipeline.capture.outbox:Outbox.put_all",
        "    while waiting:\n        refused = await self._wave(waiting)",
        "    while waiting:\n"
        "        flat = [(lane, r) for lane, records in waiting.items() for r in records][:500]\n"
        "        try:\n"
        "            answers = await self._log.put([r for _, r in flat])\n"
        "        except RetryLater:\n"
        "            continue\n"
        "        stuck = set()\n"
        "        for (lane, _), code in zip(flat, answers):\n"
        "            if code or lane in stuck:\n"
        "                stuck.add(lane)\n"
        "            else:\n"
        "                waiting[lane].popleft()\n"
        "        waiting = {lane: records for lane, records in waiting.items() if records}\n"
        "        refused = {code for code in answers if code}",
    ),
    Mutant(
        "put-gives-up",
        "after a third failure in a row what is left is not put",
        "pipeline.capture.outbox:Outbox.put_all",
        "while waiting:",
        "while waiting and attempt < 3:",
    ),
    Mutant(
        "lane-of-the-change",
        "the lane depends on the change and not on its key alone",
        "pipeline.capture.packing:Packer.by_lane",
        "hash_key_of(change.keys)",
        "str(change.sequence).encode()",
    ),
)

CHECKPOINTS = (
    Mutant(
        "checkpoint-unfenced",
        "a checkpoint is written over whatever is there",
        "pipeline.coordination.checkpoints:CheckpointSlot._put",
        "done = await self._store.write(put.row, put.expected)",
        "there = await self._read()\n"
        "            done = await self._store.write(put.row, there.version if there else None)",
    ),
    Mutant(
        "checkpoint-version-stays",
        "neither a claim nor a save raises the version of the row",
        "pipeline.coordination.checkpoints:CheckpointSlot._next",
        "else expected + 1",
        "else expected",
    ),
    Mutant(
        "checkpoint-refusal-is-success",
        "a save that was refused counts as stored",
        "pipeline.coordination.checkpoints:CheckpointSlot._put",
        "            return False",
        "            self._version = put.row.version\n            return True",
    ),
    Mutant(
        "checkpoint-without-seen",
        "what was seen is not stored with the checkpoint",
        "pipeline.wire.checkpoint:to_fields",
        "sorted(checkpoint.seen.items())",
        "()",
    ),
    Mutant(
        "checkpoint-names-last-read",
        "a checkpoint names the last record read, not the last one settled",
        "pipeline.delivery.cursor:Cursor._cut",
        "sequence=record.sequence",
        "sequence=self.place",
    ),
)

LEASES = (
    Mutant(
        "dead-processor-renewed",
        "the lease of a processor that has died is renewed for ever",
        "pipeline.coordination.crew:Crew._bury",
        "if not task.done() and not stalled:",
        "if not stalled or task.done():",
    ),
    Mutant(
        "lease-taken-from-the-living",
        "every lease counts as expired",
        "pipeline.model.lease:Sightings.hold",
        "if free_for < 0:",
        "if False:",
    ),
    Mutant(
        "lease-share-rounded-down",
        "a worker's share of leases is rounded down, and what is left is nobody's",
        "pipeline.model.balance:to_take",
        "wanted = max(0, share - held[me])\n    if free:\n"
        "        beyond = [lease for lease in left if lease not in free[:wanted]]",
        "wanted = max(0, len(leases) // len(held) - held[me])\n    if free:\n        beyond = []",
    ),
    Mutant(
        "lease-never-expires",
        "a dead worker's leases are never taken",
        "pipeline.model.lease:Sightings.free_at",
        "self._lease_seconds if lease.owner",
        "math.inf if lease.owner",
    ),
)
