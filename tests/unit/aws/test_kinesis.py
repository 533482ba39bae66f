"""Kinesis answers that no emulator gives."""

import asyncio

import orjson
import pytest
from botocore.exceptions import ReadTimeoutError

from pipeline.aws.kinesis import KinesisControl, KinesisLog
from pipeline.aws.session import CONTROL, READ, WRITE, Aws
from pipeline.model.errors import Corrupt, Gap, IteratorExpired, Misconfigured, RetryLater
from pipeline.ports import OutRecord
from pipeline.testing.fakes import ManualClock
from tests.unit.aws.canned import Answer, Canned, error

RECORDS = [OutRecord(b"%d" % i, "key", i) for i in range(3)]


def _log(aws: Aws, *answers: Answer) -> tuple[KinesisLog, Canned]:
    reads, writes = aws.kinesis("us-east-1", READ), aws.kinesis("us-east-1", WRITE)
    Canned(reads.client, *answers)
    return KinesisLog(reads, writes, "changes"), Canned(writes.client, *answers)


@pytest.mark.fault("K1")
def test_a_partial_failure_is_told_entry_by_entry(aws: Aws) -> None:
    """Stored records are None, refused ones their code, in the order of the call; nothing is sent again by itself."""
    stored = {"SequenceNumber": "1", "ShardId": "s"}
    refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "m"}
    log, canned = _log(aws, (200, {"FailedRecordCount": 1, "Records": [stored, refused, stored]}))
    assert asyncio.run(log.put(RECORDS)) == (None, "ProvisionedThroughputExceededException", None)
    (body,) = canned.bodies
    sent = orjson.loads(body)["Records"]
    assert [(r["Data"], r["PartitionKey"], r["ExplicitHashKey"]) for r in sent][1] == ("MQ==", "key", "1")


def test_an_answer_for_other_records_is_corrupt(aws: Aws) -> None:
    """An answer that does not match the call is never taken for an acknowledgement."""
    log, _ = _log(aws, (200, {"FailedRecordCount": 0, "Records": []}))
    with pytest.raises(Corrupt):
        asyncio.run(log.put(RECORDS))


@pytest.mark.fault("K2")
@pytest.mark.parametrize(
    "answer", [error("ProvisionedThroughputExceededException"), error("x", 503), ReadTimeoutError(endpoint_url="u")]
)
def test_a_put_that_failed_as_a_whole_is_sent_once(aws: Aws, answer: Answer) -> None:
    """The outcome is unknown and the SDK does not try again, or a late copy could overtake its successor."""
    log, canned = _log(aws, answer)
    with pytest.raises(RetryLater):
        asyncio.run(log.put(RECORDS))
    assert len(canned.bodies) == 1


def test_a_sequence_of_another_stream_is_a_gap(aws: Aws) -> None:
    """A stream made anew under the old name does not know our place: that is a loss, not a wrong setting."""
    shard = {
        "ShardId": "s",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
        "SequenceNumberRange": {"StartingSequenceNumber": "4"},
    }
    log, _ = _log(aws, (200, {"Shards": [shard]}), error("InvalidArgumentException"))
    with pytest.raises(Gap):
        asyncio.run(log.iterator("s", 5))


def _page(*sequences: int, behind_ms: int = 0) -> Answer:
    record = {"Data": "", "PartitionKey": "k", "ApproximateArrivalTimestamp": 1}
    records = [{"SequenceNumber": str(number), **record} for number in sequences]
    return (200, {"Records": records, "NextShardIterator": "next", "MillisBehindLatest": behind_ms})


@pytest.mark.fault("K7")
@pytest.mark.parametrize(
    ("pages", "held"),
    [
        ([_page(5)], True),
        ([_page(behind_ms=9_000), _page(5)], True),
        ([_page(7)], False),
        ([_page(behind_ms=9_000), _page(7, behind_ms=1)], False),
        ([_page()], False),
    ],
)
def test_a_trimmed_record_is_told_by_what_comes_first(aws: Aws, pages: list[Answer], held: bool) -> None:
    """Asked for a record, Kinesis gives it or the oldest left, also after empty pages; an empty shard is no proof."""
    log, _ = _log(aws, (200, {"Shards": []}), (200, {"ShardIterator": "at"}), *pages)
    assert asyncio.run(log.holds("s", 5)) is held


@pytest.mark.fault("K5")
def test_an_old_iterator_is_told_apart(aws: Aws) -> None:
    """An expired iterator asks for a new one, it loses nothing."""
    log, _ = _log(aws, error("ExpiredIteratorException"))
    with pytest.raises(IteratorExpired):
        asyncio.run(log.read("old"))


def test_a_stream_that_ignores_partition_keys_is_refused(aws: Aws) -> None:
    """Automatic distribution would break the order of a key, so it is found before anything runs."""
    caller = aws.kinesis("us-east-1", CONTROL)
    summary = {
        "StreamName": "changes",
        "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/changes",
        "StreamStatus": "ACTIVE",
        "RetentionPeriodHours": 24,
        "OpenShardCount": 1,
        "RecordDistributionStrategy": "AUTO",
    }
    Canned(caller.client, (200, {"StreamDescriptionSummary": summary}))
    with pytest.raises(Misconfigured, match="USER_PARTITION_KEY"):
        asyncio.run(KinesisControl(caller, ManualClock()).describe("changes"))
