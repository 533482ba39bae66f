"""Which stream of a table is captured, and since when no shard of it may be missing."""

from pipeline.capture.gaps import GapTeller
from pipeline.coordination.gaps import accept_hint
from pipeline.model.errors import Gap, LeaseLost, RetryLater
from pipeline.model.gap import TABLE_STREAM_KEPT_MS, GapCause, GapRecord
from pipeline.ports import Clock, FieldValue, StateRow, StateStore, TableStream


class Epochs:
    """The row that says which stream of a table a pipeline captures.

    Another stream than the one captured last is a gap: what changed in between is in neither. It is taken up only when
    that gap was accepted, and then nobody captures the earlier one any more: a change of the earlier stream behind one
    of the later would be out of order.
    """

    def __init__(self, store: StateStore, log_name: str, stream: TableStream, teller: GapTeller, clock: Clock) -> None:
        self._store = store
        self._key = f"table:{log_name}/{stream.table}"
        self._stream = stream
        self._teller = teller
        self._clock = clock

    async def admit(self) -> bool:
        """Return whether the capture has begun: every shard that was gone before it is marked.

        Raises Gap when the stream may not be captured yet, LeaseLost when it is not captured any more, RetryLater.
        """
        row = await self._row()
        epoch = str(row.fields.get("epoch"))
        if epoch < self._stream.epoch:
            await self._take_up(row)
            return False
        if epoch > self._stream.epoch:
            msg = f"table {self._stream.table} has the stream {epoch}, and this process reads {self._stream.epoch}"
            raise LeaseLost(msg, hint="it goes on with the table's later stream when it sees that")
        return row.fields.get("begun") == 1

    async def note_begun(self) -> None:
        """Remember that from now on a shard that is gone unread is a gap. Raises RetryLater."""
        row = await self._row()
        if row.fields.get("epoch") == self._stream.epoch:
            await self._store.write(StateRow(row.key, row.version + 1, {**row.fields, "begun": 1}), row.version)

    async def _row(self) -> StateRow:
        row = (await self._store.read([self._key])).get(self._key)
        if row is None:
            row = StateRow(self._key, 0, self._fields())
            if not await self._store.write(row, None):
                raise RetryLater(f"the capture of table {self._stream.table} was begun by another worker")
        return row

    async def _take_up(self, row: StateRow) -> None:
        gap = await self._teller.note(self._gap(row))
        if not gap.passes(self._clock.now_ms(), TABLE_STREAM_KEPT_MS):
            raise Gap(gap.reason, hint=accept_hint(gap))
        await self._teller.tell_end(gap, "")
        if not await self._store.write(StateRow(row.key, row.version + 1, self._fields()), row.version):
            raise RetryLater(f"the capture of table {self._stream.table} was changed by another worker")

    def _gap(self, row: StateRow) -> GapRecord:
        table, epoch = self._stream.table, self._stream.epoch
        before, known = str(row.fields.get("epoch")), row.fields.get("tableId", "")
        anew = bool(known) and known != self._stream.table_id
        reason = (
            f"table {table} {'was made anew and ' if anew else ''}has the stream {epoch}, captured was {before}:"
            " its changes between the two, and what was unread of the first, are lost"
        )
        cause = GapCause.NEW_TABLE if anew else GapCause.NEW_STREAM
        return GapRecord(cause, table, epoch, "", "", before, reason)

    def _fields(self) -> dict[str, FieldValue]:
        return {"epoch": self._stream.epoch, "tableId": self._stream.table_id, "entityType": "TABLE"}
