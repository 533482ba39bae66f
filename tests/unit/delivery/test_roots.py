"""Signed roots: when they are written, by whom, and that delivery never depends on them."""

import asyncio
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from pipeline.delivery.roots import Rhythm
from pipeline.model.errors import Misconfigured, RetryLater
from pipeline.testing.changes import SHARD, STREAM, batches
from pipeline.testing.signing import FakeSigner
from pipeline.wire import chain, root
from tests.signed_log import CHANGES, OTHER, SignedLog, root_names, signed_log

Run = Callable[[Any], Any]
MISSING = Misconfigured("the key is not there")


def test_a_root_ties_all_chains_together(run: Run) -> None:
    """A root names the end of every chain, what was added since the one before, and that one's hash."""

    async def test() -> None:
        made = await signed_log()
        roots = [root.decode(name, made.log.objects[name]) for name in root_names(made.log)]
        assert [each.root.number for each in roots] == [1, 2, 3]
        assert [each.root.previous for each in roots] == [root.genesis(STREAM), roots[0].digest, roots[1].digest]
        assert {shard: end.last for shard, end in roots[2].root.heads.items()} == {SHARD: 12, OTHER: 12}
        assert [(each.shard, each.first, each.last) for each in roots[1].root.objects] == [(SHARD, 4, 7), (OTHER, 4, 7)]
        assert all(made.signer.public.made(each.signature, each.statement) for each in roots)
        assert made.witness is not None
        assert {name: made.log.objects[name] for name in root_names(made.log)} == made.witness.objects

    run(test())


def test_a_root_waits_until_it_is_due(run: Run) -> None:
    """Few entries wait for their minutes, then are signed; without new entries no root follows."""

    async def test() -> None:
        made = SignedLog()
        writer = made.writer(rhythm=Rhythm(entries=100, minutes=5))
        await made.append(*batches(CHANGES, 3))
        await writer.look()
        assert (root_names(made.log), writer.report.waiting_entries) == ([], 12)
        await made.clock.advance(301)
        await writer.look()
        await made.clock.advance(3600)
        await writer.look()
        assert len(root_names(made.log)) == 1

    run(test())


@pytest.mark.fault("A4")
def test_a_missing_key_lets_the_chain_go_on(run: Run) -> None:
    """Without its key nothing is signed and the report says so; once it is back, one root covers all."""

    async def test() -> None:
        made = SignedLog()
        writer = made.writer()
        made.signer.faults.before("public_key", MISSING, times=2)
        await made.append(*batches(CHANGES, 3))
        await writer.look()
        await writer.look()
        assert root_names(made.log) == []
        assert "the key is not there" in writer.report.trouble
        await writer.look()
        report, trust = await made.verify()
        assert (report.sound, report.vouched, trust.count, writer.report.trouble) == (True, 12, 2, "")

    run(test())


@pytest.mark.fault("A4")
def test_a_new_key_leaves_old_signatures_valid(run: Run) -> None:
    """After a rotation the log verifies with both public keys; without the old one its roots are named."""

    async def test() -> None:
        made = await signed_log()
        new = FakeSigner("a new key")
        await made.append(*batches(CHANGES, 3, shard="shardId-000000000002"))
        await made.writer(signer=new).look()
        report, trust = await made.verify([made.signer.public, new.public])
        assert (report.sound, trust.keys) == (True, {made.signer.public.id, new.public.id})
        report, _ = await made.verify([new.public])
        assert {problem.object for problem in report.problems} == set(root_names(made.log)[:3])

    run(test())


@pytest.mark.fault("A2")
def test_two_signers_make_no_fork(run: Run) -> None:
    """Whoever writes a root second finds its number taken, tells so, and goes on above the other's."""

    async def test() -> None:
        made = SignedLog()
        one, two = made.writer(), made.writer()
        await made.append(*batches(CHANGES, 3)[:1])
        await one.look()
        await two.look()
        await made.append(*batches(CHANGES, 3), *batches(CHANGES, 3, shard=OTHER))
        await asyncio.gather(one.look(), two.look())
        assert not any(problem for problem in (await made.verify())[0].problems)
        for writer in (one, two):
            await writer.look()
        report, trust = await made.verify()
        assert (report.sound, report.vouched, trust.count) == (True, 24, len(root_names(made.log)))
        assert one.report.number == two.report.number

    run(test())


@pytest.mark.parametrize("gone", ["log", "witness"])
def test_a_root_in_one_place_is_copied_to_the_other(run: Run, gone: str) -> None:
    """A writer that died between the two, and a second location that came later, are made up for."""

    async def test() -> None:
        made = await signed_log()
        assert made.witness is not None
        if gone == "witness":
            made.witness.objects.clear()
        else:
            del made.log.objects[root_names(made.log)[-1]]
            made.store.rows.clear()  # it died before it could note that both had it
        writer = made.writer()
        await writer.look()
        assert writer.report.trouble == ""
        assert {name: made.log.objects[name] for name in root_names(made.log)} == made.witness.objects

    run(test())


@pytest.mark.fault("A3")
def test_nothing_is_signed_on_top_of_what_was_removed(run: Run) -> None:
    """Where the places disagree about a root, or both lack one that was written, the writer stops and says so."""

    async def test() -> None:
        for spoil in ("both", "differ", "two of the log", "the last of the log"):
            made = await signed_log()
            writer = made.writer()
            await writer.look()
            assert made.witness is not None
            names = root_names(made.log)
            if spoil == "differ":
                made.log.objects[names[-1]] = made.log.objects[names[-1]].replace(b'"time_ms":1', b'"time_ms":2')
            elif spoil == "both":
                del made.log.objects[names[-1]], made.witness.objects[names[-1]]
            elif spoil == "the last of the log":
                del made.log.objects[names[-1]]
            else:
                del made.log.objects[names[-1]], made.log.objects[names[-2]]
            await made.append(*batches(CHANGES, 3, shard="shardId-000000000002"))
            await writer.look()
            assert "fanout audit verify" in writer.report.trouble
            assert len(root_names(made.witness)) == (2 if spoil == "both" else 3)

    run(test())


def test_a_root_that_both_had_is_not_put_back_in_silence(run: Run) -> None:
    """The newest root, deleted in the log alone, is told of by a worker that starts later too, and stays missing."""

    async def test() -> None:
        made = await signed_log()
        gone = root_names(made.log)[-1]
        del made.log.objects[gone]
        writer = made.writer()
        await writer.look()
        assert "root 3 was deleted in the log" in writer.report.trouble
        assert gone not in made.log.objects

    run(test())


@pytest.mark.parametrize("call", ["create", "read", "names"])
def test_a_failing_bucket_is_told_and_tried_again(run: Run, call: str) -> None:
    """Whatever call of the log's bucket fails, the next look finishes, and no number is taken twice."""

    async def test() -> None:
        for skip, lost in product(range(4), (False, True)):
            made = SignedLog()
            await made.append(*batches(CHANGES, 3))
            writer = made.writer()
            (made.log.faults.after if lost else made.log.faults.before)(call, RetryLater("no answer"), skip=skip)
            for _ in range(5):
                await writer.look()
            report, trust = await made.verify()
            assert (report.sound, report.vouched, writer.report.trouble) == (True, 12, "")
            assert trust.count == len(root_names(made.log))

    run(test())


def test_a_broken_object_is_not_vouched_for(run: Run) -> None:
    """An object whose hashes do not fit is never signed: the writer says which it is, and signs the other chains."""

    async def test() -> None:
        made = SignedLog()
        await made.append(*batches(CHANGES, 3), *batches(CHANGES, 3, shard=OTHER))
        name = chain.KIND.name(STREAM, SHARD, 4)
        made.log.objects[name] = b"broken"
        writer = made.writer()
        await writer.look()
        assert name in writer.report.trouble
        newest = root.decode(root_names(made.log)[-1], made.log.objects[root_names(made.log)[-1]])
        assert {shard: end.last for shard, end in newest.root.heads.items()} == {SHARD: 3, OTHER: 12}

    run(test())
