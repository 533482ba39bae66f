"""Warns before anything is lost: in the log, once for each change of state."""

import logging
from collections.abc import Mapping

from pipeline.model.retention import Retention, RetentionState

logger = logging.getLogger(__name__)


class LossWatch:
    """Remembers what was said of each reader of a shard."""

    def __init__(self) -> None:
        self._told: dict[str, RetentionState] = {}

    def look(self, found: Mapping[str, Retention]) -> bool:
        """Say which readers have used up half of what they have, most or all of it, or are well again.

        `found` is by name. Returns whether one of them is near to a loss, or beyond: then more is lost every minute.
        """
        for reader, each in found.items():
            told = self._told.get(reader, RetentionState.AMPLE)
            if each.state in (told, RetentionState.UNKNOWN):
                continue
            self._told[reader] = each.state
            if each.state is RetentionState.AMPLE:
                logger.info("%s is within half of the retention again", reader)
            else:
                left = (each.time_to_loss_seconds or 0) / 3600
                logger.warning("%s: retention %s; unread changes are trimmed in %.1f h", reader, each.state, left)
        self._told = {reader: state for reader, state in self._told.items() if reader in found}
        return any(each.state in {RetentionState.NEARLY_USED, RetentionState.PASSED} for each in found.values())
