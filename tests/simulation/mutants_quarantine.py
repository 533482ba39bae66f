"""Planted bugs of the quarantine."""

from tests.simulation.planting import Mutant

QUARANTINE = (
    Mutant(
        "checkpoint-before-parked",
        "a batch is settled although its parked changes are not stored yet",
        "pipeline.delivery.parking:Parking._set_aside",
        "await asyncio.gather(",
        "asyncio.gather(",
    ),
    Mutant(
        "later-change-not-parked",
        "only the refused change of a key is parked, its later ones are written",
        "pipeline.delivery.parking:Parking._of_parked_keys",
        "place >= key.first",
        "place == key.first",
    ),
    Mutant(
        "redrive-out-of-order",
        "a key's changes are put through from the last to the first",
        "pipeline.delivery.redrive:Redrive._names",
        "return names",
        "return names[::-1]",
    ),
    Mutant(
        "redrive-without-waiting",
        "changes are put through while a batch is on its way",
        "pipeline.delivery.redrive:Redrive._put_through",
        "while cursor.busy and not cursor.standing:",
        "while False:",
    ),
    Mutant(
        "redrive-beside-new-changes",
        "batches are taken while changes of their keys are put through",
        "pipeline.delivery.cursor:Cursor.take",
        "if self.held:",
        "if self.held and self.redriven is not None and not self.redriven.taken:",
    ),
    Mutant(
        "redrive-after-the-end",
        "changes are put through on a shard that has ended, while its child has the key already",
        "pipeline.delivery.redrive:Redrive._look",
        "if self._cursor.ended:",
        "if False:",
    ),
    Mutant(
        "quarantine-forgotten-at-a-reshard",
        "a child shard does not know which keys its parents had parked",
        "pipeline.delivery.beginning:Beginnings._behind",
        "parked.update(here(each.parked, self._shard))",
        "pass",
    ),
    Mutant(
        "quarantine-inherited-by-both",
        "both children of a split park a key, also the one that never sees it",
        "pipeline.model.progress:here",
        "if shard.holds(key.hash_key)",
        "",
    ),
    Mutant(
        "placeholder-missing",
        "archive and audit log keep nothing in the place of a parked change",
        "pipeline.model.change:Batch.without",
        "parked=tuple(sorted((*self.parked, *parked))),",
        "",
    ),
    Mutant(
        "released-before-put-through",
        "a key is let go although its changes were refused again",
        "pipeline.delivery.redrive:Redrive._put_through",
        "if redriven.refused:",
        "if False:",
    ),
    Mutant(
        "parked-count-not-kept",
        "a checkpoint does not say how many changes of a key are parked",
        "pipeline.delivery.cursor:Cursor.settle",
        "parked=dict(self.parked)",
        "parked={**self.parked, **head.after.parked, **self.settled.parked}",
    ),
)
