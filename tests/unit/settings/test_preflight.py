"""What is wrong with the resources a configuration names is found before the start, each with its fix."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.model.facts import LogFacts, TableFacts
from pipeline.settings.preflight import Finding, Severity, findings
from tests.unit.settings.configurations import RIGHT, load_text

KEYS = (("id", "S"), ("at", "N"))
SOURCE = TableFacts("ACTIVE", KEYS, "NEW_AND_OLD_IMAGES")
TEXT = RIGHT.replace("[state]", 'claim_bucket = "claims"\n[state]') + 'bucket = "archive"\nstream = "onward"'


@dataclass(frozen=True)
class Account:
    """An account in memory: the inspector sees what is in it, and is refused what is in `denied`."""

    tables: Mapping[tuple[str, str], TableFacts] = field(
        default_factory=lambda: {
            ("us-east-1", "orders"): SOURCE,
            ("us-east-1", "users"): SOURCE,
            ("us-east-1", "fanout-state"): TableFacts("ACTIVE", (("key", "S"),), ""),
            ("eu-west-1", "orders-copy"): TableFacts("ACTIVE", KEYS, ""),
        }
    )
    logs: Mapping[tuple[str, str], LogFacts] = field(
        default_factory=lambda: {
            ("us-east-1", "orders-changes"): LogFacts("ACTIVE", 4, 1 << 20, obeys_hash_keys=True, kept_hours=24),
            ("eu-west-1", "onward"): LogFacts("ACTIVE", 1, 1 << 20, obeys_hash_keys=True, kept_hours=24),
        }
    )
    buckets: Mapping[str, str] = field(default_factory=lambda: {"claims": "us-east-1", "archive": "eu-west-1"})
    denied: Mapping[str, Exception] = field(default_factory=dict)

    async def table(self, region: str, name: str) -> TableFacts | None:
        """Return a table of the account."""
        self._refuse(name)
        return self.tables.get((region, name))

    async def log(self, region: str, name: str) -> LogFacts | None:
        """Return a stream of the account."""
        self._refuse(name)
        return self.logs.get((region, name))

    async def bucket(self, name: str) -> str | None:
        """Return the region of a bucket of the account."""
        self._refuse(name)
        return self.buckets.get(name)

    async def has_lock(self, bucket: str) -> bool:
        """Return True for a bucket whose name says so."""
        self._refuse(bucket)
        return "locked" in bucket

    def _refuse(self, name: str) -> None:
        if name in self.denied:
            raise self.denied[name]

    def with_table(self, region: str, name: str, facts: TableFacts) -> "Account":
        """Return the account with a table changed."""
        return replace(self, tables={**self.tables, (region, name): facts})

    def with_log(self, **changed: object) -> "Account":
        """Return the account with its stream changed."""
        place = ("us-east-1", "orders-changes")
        return replace(self, logs={**self.logs, place: self.logs[place]._replace(**changed)})  # type: ignore[arg-type]  # fields by name, each of its own type

    def without(self, what: str, name: object) -> "Account":
        """Return the account with something removed."""
        return replace(self, **{what: {key: value for key, value in getattr(self, what).items() if key != name}})


def look(tmp_path: Path, account: Account, text: str = TEXT) -> list[Finding]:
    """Return the findings of a configuration in an account."""
    return asyncio.run(findings(load_text(tmp_path, text), account))


def test_nothing_to_find(tmp_path: Path) -> None:
    """When everything exists and fits, there is no finding."""
    assert look(tmp_path, Account()) == []


ACCOUNTS: dict[str, tuple[Account, str, str, str]] = {
    "no source": (
        Account().without("tables", ("us-east-1", "users")),
        "source.tables",
        "no table us-east-1/users",
        "the credentials; for development `fanout setup --source-keys",
    ),
    "source being deleted": (
        Account().with_table("us-east-1", "orders", SOURCE._replace(status="DELETING")),
        "source.tables",
        "table us-east-1/orders is DELETING",
        "ACTIVE",
    ),
    "stream off": (
        Account().with_table("us-east-1", "orders", SOURCE._replace(stream_view="")),
        "source.tables",
        "stream of table us-east-1/orders is off",
        (
            "aws dynamodb update-table --region us-east-1 --table-name orders"
            " --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
        ),
    ),
    "keys only": (
        Account().with_table("us-east-1", "orders", SOURCE._replace(stream_view="KEYS_ONLY")),
        "source.tables",
        "carries KEYS_ONLY, not NEW_AND_OLD_IMAGES",
        "--stream-specification StreamEnabled=false && aws dynamodb wait",
    ),
    "no stream": (
        Account().without("logs", ("us-east-1", "orders-changes")),
        "stream.name",
        "no Kinesis data stream us-east-1/orders-changes",
        "fanout setup",
    ),
    "stream being made": (Account().with_log(status="CREATING"), "stream.name", "is CREATING", "wait"),
    "stream without order": (
        Account().with_log(obeys_hash_keys=False),
        "stream.name",
        "breaks the order",
        "USER_PARTITION_KEY",
    ),
    "records too large": (
        Account().with_log(record_bytes_max=1000),
        "stream.record_bytes_max",
        "up to 1000 bytes",
        "MaxRecordSizeInKiB",
    ),
    "too many shards": (Account().with_log(shards=65), "stream.lanes", "64 lanes leave some of the 65", "merge"),
    "no claim bucket": (Account().without("buckets", "claims"), "stream.claim_bucket", "no bucket claims", "setup"),
    "no state": (
        Account().without("tables", ("us-east-1", "fanout-state")),
        "state.table",
        "no table us-east-1/fanout-state",
        "fanout setup",
    ),
    "no replica": (
        Account().without("tables", ("eu-west-1", "orders-copy")),
        "topologies.copy.table",
        "no table eu-west-1/orders-copy",
        "fanout setup",
    ),
    "other key": (
        Account()
        .with_table("us-east-1", "users", SOURCE._replace(keys=(("id", "S"),)))
        .with_table("eu-west-1", "orders-copy", TableFacts("ACTIVE", KEYS, "")),
        "topologies.copy.table",
        "has the key id (S), at (N), source table users has id (S)",
        "create it anew",
    ),
    "no archive": (Account().without("buckets", "archive"), "topologies.copy.bucket", "no bucket archive", "setup"),
    "no onward stream": (
        Account().without("logs", ("eu-west-1", "onward")),
        "topologies.copy.stream",
        "no Kinesis data stream eu-west-1/onward",
        "create it",
    ),
    "denied": (
        Account(denied={"archive": Misconfigured("s3:ListBucket is not permitted", hint="add it to the policy")}),
        "topologies.copy.bucket",
        "cannot look at bucket archive: s3:ListBucket is not permitted",
        "add it to the policy",
    ),
    "no answer": (
        Account(denied={"orders-changes": RetryLater("no answer in 5 s")}),
        "stream.name",
        "no answer in 5 s",
        "try again",
    ),
}


@pytest.mark.parametrize("case", ACCOUNTS)
def test_one_thing_wrong(tmp_path: Path, case: str) -> None:
    """One wrong resource is one finding, with the setting, the reason and the fix."""
    account, name, reason, fix = ACCOUNTS[case]
    (finding,) = look(tmp_path, account)
    assert finding.severity is (Severity.WARNING if name == "stream.lanes" else Severity.ERROR)
    assert finding.field == name
    assert reason in finding.reason
    assert fix in finding.fix


def test_a_replica_without_an_index_is_a_warning(tmp_path: Path) -> None:
    """It works without, and whoever reads by the index there would miss it; an index of its own is no finding."""
    by_state = "by-state (global: state HASH; ALL)"
    account = Account().with_table("us-east-1", "orders", SOURCE._replace(indexes=(by_state, "other")))
    account = account.with_table("eu-west-1", "orders-copy", TableFacts("ACTIVE", KEYS, "", ("other", "own")))
    (finding,) = look(tmp_path, account)
    assert (finding.severity, finding.field) == (Severity.WARNING, "topologies.copy.table")
    assert f"no index {by_state}, as source table orders has it" in finding.reason


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """A resource that is missing or denied does not hide the next."""
    nothing = Account(tables={}, logs={}, buckets={}, denied={"orders": Misconfigured("dynamodb:DescribeTable")})
    fields = [finding.field for finding in look(tmp_path, nothing)]
    assert fields == [
        "source.tables",
        "source.tables",
        "stream.name",
        "stream.claim_bucket",
        "state.table",
        "topologies.copy.table",
        "topologies.copy.stream",
        "topologies.copy.bucket",
    ]


def test_what_is_only_a_warning(tmp_path: Path) -> None:
    """No topology and no bucket for large changes are told, and do not hinder."""
    found = look(tmp_path, Account(), RIGHT.partition("[topologies.copy]")[0])
    assert [(f.severity, f.field) for f in found] == [
        (Severity.WARNING, "stream.claim_bucket"),
        (Severity.WARNING, "topologies"),
    ]


@pytest.mark.parametrize(("bucket", "expected"), [("locked-log", []), ("log", ["topologies.audit.retention_days"])])
def test_a_retention_needs_object_lock(tmp_path: Path, bucket: str, expected: list[str]) -> None:
    """Where objects are to be kept, a bucket without Object Lock is found before the first write is refused."""
    text = RIGHT.partition("[topologies.copy]")[0] + f'[topologies.audit]\nbucket = "{bucket}"\nretention_days = 30\n'
    account = replace(Account(), buckets={**Account().buckets, bucket: "us-east-1"})
    assert [each.field for each in look(tmp_path, account, text) if "retention" in each.field] == expected
