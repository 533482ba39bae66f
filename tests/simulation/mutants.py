"""Bugs that the simulation must find, planted one at a time in the real code (see `planting.py`)."""

from tests.simulation.mutants_capture import CAPTURE, CHECKPOINTS, LEASES
from tests.simulation.mutants_containment import CONTAINMENT
from tests.simulation.mutants_delivery import DELIVERY, REPEATS, SINKS
from tests.simulation.mutants_quarantine import QUARANTINE

MUTANTS = {
    each.name: each
    for each in (*CAPTURE, *CHECKPOINTS, *LEASES, *DELIVERY, *REPEATS, *SINKS, *QUARANTINE, *CONTAINMENT)
}
