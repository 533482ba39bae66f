"""The audit log as an auditor meets it: keys, signed roots in two places, real commands, and somebody who edits it."""

import json
import stat
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.wire import chain, packed
from tests.blackbox.stack import Stack, eventually
from tests.tampering import lines_of

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

CHANGES = 60


def ask(stack: Stack, *words: str) -> tuple[int, Any]:
    """Return a command's exit code and its JSON."""
    done = stack.fanout(*words, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[0])


def write(stack: Stack, number: int) -> None:
    """Put one item, as somebody."""
    item = {"pk": {"S": f"k{number % 7}"}, "n": {"N": str(number)}, "by": {"S": ["ann", "bob"][number % 2]}}
    stack.client("dynamodb").put_item(TableName=stack.tables[0], Item=item)


def test_a_signed_log_proves_itself(stack_of: Callable[..., Stack]) -> None:
    """Roots are signed once the key is there, and whoever edits the log or its roots is found, by object and entry."""
    stack = stack_of()
    bucket = f"{stack.name}-log"
    audit: dict[str, object] = {
        "bucket": bucket,
        "actor_attribute": "by",
        "signing_key_file": str(stack.folder / "key.pem"),
        "root_entries": 20,
        "root_minutes": 0.01,
        "witness_folder": str(stack.folder / "witness"),
    }
    config = stack.write(stack.sections({"audit": audit}))
    stack.create(config, shards=2)
    service = stack.service("run", config, "run").start()
    for number in range(CHANGES):
        write(stack, number)
    eventually("the missing key is told", 90, lambda: "keygen" in roots(service)["trouble"])
    code, report = ask(stack, "audit", "keygen", str(stack.folder / "key.pem"))
    assert code == 0
    assert stat.S_IMODE((stack.folder / "key.pem").stat().st_mode) == 0o600
    (stack.folder / "public.pem").write_text(report["public_key"])
    verify = ("audit", "verify", "--public-key", str(stack.folder / "public.pem"))
    eventually("all is vouched for", 120, lambda: ask(stack, *verify)[1]["vouched_entries"] == CHANGES, 2.0)
    assert service.terminate() == 0
    code, report = ask(stack, *verify)
    assert (code, report["verified"], report["roots"]["keys"]) == (0, True, [keygen_id(stack)])
    spoil_an_entry(stack, bucket)
    code, report = ask(stack, *verify)
    assert (code, report["verified"]) == (1, False)
    assert "this entry was changed" in [each["reason"].partition(",")[0] for each in report["problems"]]
    shown = stack.fanout("audit", "show", "pk=k1", "--actor", "ann", "--json")
    assert shown.returncode == 4 or {json.loads(line)["actor"] for line in shown.stdout.splitlines()} == {"ann"}


def roots(service: Any) -> dict[str, Any]:
    """Return what the status page says of the roots."""
    found: dict[str, Any] = service.status().get("roots", {}).get("audit", {"trouble": ""})
    return found


def keygen_id(stack: Stack) -> str:
    """Return the fingerprint of the key whose public half was written down."""
    from pipeline.wire.signature import public_keys

    (key,) = public_keys((stack.folder / "public.pem").read_bytes())
    return key.id


def spoil_an_entry(stack: Stack, bucket: str) -> None:
    """Change an actor in the log and pack the object again."""
    s3 = stack.client("s3")
    names = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=chain.KIND.folder)["Contents"]]
    for name in names:
        lines = lines_of(s3.get_object(Bucket=bucket, Key=name)["Body"].read())
        if len(lines) > 2:
            lines[1] = lines[1].replace(b'"actor":{"S":"ann"}', b'"actor":{"S":"eve"}').replace(b'"bob"', b'"eve"')
            s3.put_object(Bucket=bucket, Key=name, Body=packed.pack(lines))
            return
    raise AssertionError("no object has an entry")
