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
    Trouble.REFUSED: ("R5",),
    Trouble.TAKEN: ("E6",),
    Trouble.TWICE: ("E2",),
}

CONTRACT: Mapping[str, tuple[str, ...]] = {
    "test_07_every_type_survives": ("T1", "T2"),
    "test_07_nesting_to_the_limit_survives": ("T2",),
    "test_05_the_largest_items": ("K11",),
    "test_22_old_after_new_is_ignored": ("R2", "R3"),
    "test_23_a_late_delete_removes_nothing_newer": ("R3",),
    "test_20_overlapping_batches_count_once": ("S4",),
    "test_12_a_kill_after_any_effect": ("P1", "A1"),
    "test_14_a_kill_within_a_batch": ("P1", "A1"),
    "test_37_a_cancel_at_any_call": ("P2",),
    "test_16_a_lost_answer_at_any_call": ("N1", "S3"),
    "test_24_order_holds_when_part_of_a_batch_fails": ("R1",),
    "test_32_a_throttle_at_any_call_is_tried_again": ("N1", "R4"),
    "test_28_an_old_owner_that_wakes_up": ("P4", "S4"),
    "test_29_two_owners_side_by_side": ("A2", "S4", "X5"),
    "test_36_a_call_that_hangs_ends_at_its_deadline": ("X2", "N1"),
    "test_38_a_hang_is_seen_and_holds_up_no_other_shard": ("X2",),
    "test_39_a_connection_that_is_half_open": ("N1",),
    "test_50_nothing_piles_up": ("X4",),
}
