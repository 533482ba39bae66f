"""Which fault a trouble of the simulated worlds, or a case of the sink contract, stands for.

A test asserts that each is there, and that the worlds of `make test` do meet every trouble.
"""

from collections.abc import Mapping

from tests.simulation.troubles import Trouble

WORLDS: Mapping[Trouble, tuple[str, ...]] = {
    Trouble.KILLED: ("P1",),
    Trouble.STOPPED: ("P2",),
    Trouble.PAUSED: ("P4",),
    Trouble.STOOD_STILL: ("P4",),
    Trouble.SKEWED: ("C1",),
    Trouble.REQUEST_LOST: ("N1",),
    Trouble.ANSWER_LOST: ("E1", "K2", "S3", "N1"),
    Trouble.REQUEST_LATE: ("P4", "S4", "N1"),
    Trouble.ANSWER_LATE: ("N1",),
    Trouble.THROTTLED: ("K3", "R4"),
    Trouble.DENIED: ("G2",),
    Trouble.ROLLED: ("D4",),
    Trouble.DIVIDED: ("D4",),
    Trouble.SPLIT: ("K4",),
    Trouble.MERGED: ("K4",),
    Trouble.TRIMMED: (),
    Trouble.UNLISTED: ("D3",),
    Trouble.PUT_REFUSED: ("K1",),
    Trouble.ITERATOR_EXPIRED: ("D1", "K5"),
    Trouble.UNPROCESSED: ("R1",),
    Trouble.ROTTEN: ("S5",),
    Trouble.CLAIMED: ("K11",),
    Trouble.SLOW: ("R4",),
    Trouble.TAKEN: ("E6",),
    Trouble.TWICE: ("E2",),
}

CONTRACT: Mapping[str, tuple[str, ...]] = {
    "test_every_type_survives": ("T1", "T2"),
    "test_nesting_to_the_limit_survives": ("T2",),
    "test_the_largest_items_survive": ("K11",),
    "test_old_after_new_is_ignored": ("R2", "R3"),
    "test_a_late_delete_removes_nothing_newer": ("R3",),
    "test_overlapping_batches_count_once": ("S4",),
    "test_a_crash_at_any_call": ("P1", "A1"),
    "test_a_cancel_at_any_call": ("P2",),
    "test_a_slow_destination_at_any_call": ("N1", "R4", "S3"),
    "test_an_old_owner_that_wakes_up": ("P4", "S4"),
    "test_two_owners_side_by_side": ("A2", "S4", "X5"),
    "test_nothing_piles_up": ("X4",),
}
