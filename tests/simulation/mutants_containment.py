"""Planted bugs of what stands around a sink's calls: its keeper and its breaker."""

from tests.simulation.planting import Mutant

CONTAINMENT = (
    Mutant(
        "refused-write-counts",
        "a write that raised what it has to say counts as written",
        "pipeline.delivery.keeper:SinkKeeper._call",
        "raise judged(error, batch, self._name)",
        "return",
    ),
    Mutant(
        "breaker-stays-open",
        "a destination that answers again is asked by single probes for ever",
        "pipeline.delivery.breaker:Breaker._answered",
        "self.state = BreakerState.CLOSED\n",
        "self._probe_at = float('inf')\n",
    ),
    Mutant(
        "probe-lost",
        "when the shard of the probe is lost, nobody else probes",
        "pipeline.delivery.breaker:Breaker.offer",
        "self.state = BreakerState.OPEN",
        "pass",
    ),
)
