"""Records into Kinesis, one unacknowledged record to a lane."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from pipeline.model.backoff import CALLS
from pipeline.model.errors import RetryLater
from pipeline.ports import Chance, Clock, Log, OutRecord

CALL_RECORDS_MAX = 500
CALL_BYTES_MAX = 4 * 1024 * 1024
"""Below the service's 10 MiB: a call that fails as a whole is repeated as a whole."""


class Outbox:
    """Puts each lane's records in order: the next only after the last was acknowledged.

    PutRecords promises no order inside a call and may store a later record while an earlier one fails, so two records
    of one lane never travel in one call, and only the entries that failed are sent again.
    """

    def __init__(self, log: Log, clock: Clock, chance: Chance, retried: Callable[[RetryLater, int], None]) -> None:
        self._log = log
        self._clock = clock
        self._chance = chance
        self._retried = retried

    async def put_all(self, lanes: Mapping[int, Sequence[OutRecord]]) -> None:
        """Return when every record is stored in the stream; repeats for as long as that takes.

        Raises whatever the stream raises but RetryLater; what was stored by then is stored, and comes again later.
        """
        waiting = {lane: deque(records) for lane, records in lanes.items() if records}
        attempt = 0
        while waiting:
            refused = await self._wave(waiting)
            attempt = attempt + 1 if refused else 0
            if refused:
                error = RetryLater(f"Kinesis stream {self._log.name} refused records: {', '.join(sorted(refused))}")
                self._retried(error, attempt)
                await self._clock.sleep(CALLS.seconds(attempt, self._chance.fraction()))

    async def _wave(self, waiting: dict[int, deque[OutRecord]]) -> set[str]:
        """Put the first record of every lane, drop what was acknowledged, return the error codes of the rest."""
        refused: set[str] = set()
        for lanes in _calls(waiting):
            try:
                answers = await self._log.put([waiting[lane][0] for lane in lanes])
            except RetryLater as error:
                refused.add(error.reason)
                continue
            assert len(answers) == len(lanes)
            for lane, code in zip(lanes, answers, strict=True):
                if code is not None:
                    refused.add(code)
                    continue
                waiting[lane].popleft()
                if not waiting[lane]:
                    del waiting[lane]
        return refused


def _calls(waiting: Mapping[int, deque[OutRecord]]) -> list[list[int]]:
    """Return the lanes of each call: at most CALL_RECORDS_MAX records and CALL_BYTES_MAX bytes."""
    calls: list[list[int]] = []
    size_bytes = CALL_BYTES_MAX
    for lane, records in waiting.items():
        size_bytes += len(records[0].data) + len(records[0].partition_key)
        if size_bytes > CALL_BYTES_MAX or len(calls[-1]) == CALL_RECORDS_MAX:
            calls.append([])
            size_bytes = len(records[0].data) + len(records[0].partition_key)
        calls[-1].append(lane)
    return calls
